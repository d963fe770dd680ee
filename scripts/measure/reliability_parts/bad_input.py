"""The campaign of bad input: every kind of file, spoilt in every way."""
import hashlib
import os
import random
import shutil
import stat
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from PIL import Image
from reliability_parts.forked import GIB, SECONDS, Ending, run_forked
from reliability_parts.samples import Sample, build, command, launched
from tqdm import tqdm

from dic_plugin import launch
from dic_plugin.cli import export, infer

MEMORY = 2 * GIB
DEVICES = ('/dev/null', '/dev/full')
NAMES = ('two\nlines.png', 'tab\t.png', '-o.png', ' .png', '%s%n.png', '{0}.png', 'quote"\'.png', 'ß→λ.png', '..png',
         'é' * 120 + '.png', '#1?x=2.png', '[a].png', '*.png', '\udcff.png', '.hidden.png', 'UPPER.PNG', 'a.b.c.png',
         '~.png', '$HOME.png', '\\x.png')  # yapf: disable
FORCED = (
    'scale=0', 'scale=-8', 'scale=x', 'num_gpu=99', 'num_gpu=-1', 'name=', 'name=../up', 'name=a/b',
    'model_type=DICMode', 'train:total_iter=0', 'train:total_iter=1e99', 'train:optim_g:lr=-1', 'train:optim_g:lr=nan',
    'train:optim_g:type=Adan', 'train:scheduler:type=x', 'train:pixel_opt:loss_weight=inf', 'train:nothing=1',
    'nothing=1', 'network_g:num_feat=0', 'network_g:num_feat=x', 'network_g:num_steps=-1', 'network_g:type=DICC',
    'network_g:num_groups=0', 'network_g=5', 'datasets:train=x', 'datasets:train:batch_size_per_gpu=0',
    'datasets:train:num_images=0', 'datasets:train:gt_size=63', 'datasets:train:type=FaceLandmarkDataset',
    'datasets:train:dataroot_gt=nowhere', 'datasets:train:num_worker_per_gpu=-1',
    'path:pretrain_network_g=nowhere.pth', 'path:pretrain_network_g=photos', 'path:resume_state=nowhere.state', 'val=3',
    'val:val_freq=0', 'val:metrics:psnr:type=calculate_x', 'val:metrics:psnr:crop_border=-1',
    'val:metrics:psnr:crop_border=99', 'logger:print_freq=0', 'logger:save_checkpoint_freq=0', 'logger=x',
    'manual_seed=x', 'a:b:c=1', '=1', 'scale', ':=', 'x=y=z')  # yapf: disable
OUTPUTS = (*DEVICES, '/proc/x.onnx', '', '.', 'out', 'nowhere/' * 40 + 'x.onnx', 'x' * 300 + '.onnx', 'tiny.yml/x.onnx',
           'weights.pth', 'ß\n.onnx')  # yapf: disable


class Case(NamedTuple):
    """A case: what is spoilt and how, and what must be named by a message about it."""
    kind: str
    way: str
    run: Callable[[], Optional[int]]
    names: List[str]
    spoil: Callable[[Path], None]


def cases(valid: Path, samples: Dict[str, Sample], number: int, seed: int) -> Iterator[Case]:
    """Yield ``number`` cases, in turn of every kind and way."""
    others = [valid / sample.file for sample in samples.values()]
    ways = [(kind, way) for kind, sample in samples.items() for way in sample.mutations]
    fixed = [*_names(), *_forced(), *_outputs()]
    yield from fixed[:number]
    for count in range(max(number - len(fixed), 0)):
        kind, way = ways[count % len(ways)]
        sample = samples[kind]
        rng = random.Random(f'{seed}/{count}')
        yield Case(kind, way, sample.run,
                   [Path(sample.file).name, Path(sample.file).stem, *sample.names],
                   partial(_spoil, sample, way, rng, others))


def _spoil(sample: Sample, way: str, rng: random.Random, others: List[Path], folder: Path) -> None:
    sample.mutations[way](folder / sample.file, rng, others)


def _names() -> List[Case]:

    def rename(name: str, folder: Path) -> None:
        os.rename(folder / 'face.png', folder / 'photos' / name)

    return [
        Case('file name', repr(name),
             command(infer.main, '-i', 'photos', '-o', 'out', '-w', 'weights.pth', '--aligned', '--device', 'cpu'),
             [name], partial(rename, name)) for name in NAMES
    ]  # yapf: disable


def _forced() -> List[Case]:
    return [
        Case('--force_yml', forced, launched(launch.train, '-opt', 'tiny.yml', '--force_yml', 'name=new', forced),
             [forced.split('=')[0].split(':')[-1],
              forced.split('=')[-1], 'force_yml'], lambda folder: None) for forced in FORCED
    ]


def _outputs() -> List[Case]:
    return [
        Case('path of an export', repr(path[:40]),
             command(export.main, '-w', 'weights.pth', '-o', path, '--no-check', '--steps', '1'),
             [path or 'weights', repr(path)[1:-1], path.split('/')[0]], lambda folder: None) for path in OUTPUTS
    ]  # yapf: disable


def judge(case: Case, ending: Ending, before: Dict[str, str], folder: Path) -> Optional[str]:
    """Return what is wrong with how a case ended; None if nothing is."""
    if ending.seconds > SECONDS:
        return f'hang: more than {SECONDS} s'
    if ending.status is None:
        return 'ended by a signal'
    if ending.memory > MEMORY:
        return f'memory: {ending.memory / GIB:.1f} GiB'
    if ending.outlived:
        return 'left a process behind'
    if 'Traceback (most recent call last)' in ending.said:
        return 'traceback'
    if (folder / 'RAN').exists():
        return 'ran code of the file'
    if not all(stat.S_ISCHR(os.stat(device).st_mode) for device in DEVICES):
        return 'put a file in the place of a device'
    if ending.status and not any(name in ending.said for name in case.names):
        return f'status {ending.status}, and no line names {case.names[0]!r}'
    after = fingerprints(folder)
    changed = [name for name in before if before[name] != after.get(name)]
    if changed:
        return f'changed an input: {changed[0]}'
    return next((f'left behind: {name}' for name in after if name not in before and _is_damaged(folder / name)), None)


def fingerprints(folder: Path) -> Dict[str, str]:
    """Return what every file in a folder is, without following links or opening what is no file."""
    found = {}
    for path in folder.rglob('*'):
        name = os.fspath(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            # locks of LMDB change when it is read
            found[name] = '' if path.name == 'lock.mdb' else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _is_damaged(path: Path) -> bool:
    """Whether a result is half written, or a picture that cannot be read."""
    if path.name.endswith('.tmp'):
        return True
    if path.suffix in ('.png', '.jpg'):
        try:
            Image.open(path).load()
        except OSError:
            return True
    return False


def run_bad_input(work: Path, number: int, seed: int) -> Dict[str, Any]:
    """Run the campaign in a folder of its own.

    Returns:
        Number of cases, how they ended by kind, and the findings.
    """
    valid, folder = work / 'valid', work / 'case'
    samples = build(valid)
    # imports what each fork would import anew
    command(export.main, '-w', str(valid / 'weights.pth'), '-o', str(work / 'x.onnx'), '--no-check')()
    kinds: Dict[str, Counter] = {}
    findings = []
    for case in tqdm(list(cases(valid, samples, number, seed)), unit='case', mininterval=10):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(valid, folder, symlinks=True)
        case.spoil(folder)
        before = fingerprints(folder)
        ending = run_forked(case.run, folder, work / 'said.txt')
        wrong = judge(case, ending, before, folder)
        how = 'wrong' if wrong else 'right result' if ending.status == 0 else 'refused in one line'
        kinds.setdefault(case.kind, Counter())[how] += 1
        if wrong:
            findings.append(dict(kind=case.kind, way=case.way, wrong=wrong, said=ending.said[-600:]))
            tqdm.write(f'{case.kind}, {case.way}: {wrong}: {ending.said[-300:]!r}')
    return dict(cases=number, by_kind={kind: dict(counts) for kind, counts in kinds.items()}, findings=findings)
