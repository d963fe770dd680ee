"""The campaign of interruptions: killed at random moments, every command goes on as if nothing had happened."""
import json
import os
import random
import shutil
import signal
import subprocess
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

import numpy as np
import torch
import yaml
from PIL import Image
from reliability_parts.forked import Interruption, run_forked
from reliability_parts.samples import build, command, launched
from safetensors import SafetensorError, safe_open

from dic_plugin import launch
from dic_plugin.cli import benchmark, convert, export, infer, prepare
from dic_plugin.synthetic import draw_face

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LIMIT = 180  # seconds for a command that is not interrupted
SMALL = (64, 4096)  # KiB of the file system that is too small
FEW = 50  # signals, below which slow commands and full disks are left out
SLOW = ('dic-export', 'dic-benchmark')
Content = Dict[str, Any]


class Task(NamedTuple):
    """A command to interrupt.

    Attributes:
        run: Runs it in the folder of valid files; the same command goes on.
        results: What must be as in an undisturbed run.
        weight: How often it is chosen.
    """
    run: Callable[[], Optional[int]]
    results: Callable[[Path], Content]
    weight: float = 1


def _tasks(valid: Path) -> Dict[str, Task]:
    for index in range(4, 16):
        Image.fromarray(draw_face(0, index, 64)[0]).save(valid / f'gt/face_{index}.png')
    train = launched(launch.train, '-opt', 'tiny.yml', '--auto_resume', '--force_yml', 'name=run',
                     'train:total_iter=12', 'logger:save_checkpoint_freq=2', 'val:val_freq=5', 'train:ema_decay=0.9',
                     'datasets:train:num_worker_per_gpu=1', 'datasets:train:use_hflip=true')  # yapf: disable
    faces = ('gt', '--landmarks', 'gt.csv', '--split', '3', '--size', '32', '--gt-size', '32', '--workers', '2')
    _write_csv(valid)
    return {
        'dic-prepare, LMDB': Task(command(prepare.main, *faces, '-o', 'out'), files_in('out'), 3),
        'dic-prepare, PNG': Task(command(prepare.main, *faces, '-o', 'out', '--store', 'png'), files_in('out'), 2),
        'dic-train': Task(train, last_iteration, 5),
        'dic-convert': Task(command(convert.main, 'weights.pth', 'out/new.safetensors'), files_in('out')),
        'dic-infer': Task(command(infer.main, '-i', 'gt', '-o', 'out', '-w', 'weights.pth', '--aligned', '--visualise',
                                  '--device', 'cpu', '--batch', '2'), files_in('out'), 2),
        'dic-export': Task(command(export.main, '-w', 'weights.pth', '-o', 'out/dic.onnx', '--no-check',
                                   '--steps', '1'), files_in('out'), 0.5),
        'dic-benchmark': Task(command(benchmark.main, '-opt', 'plan.yml', '--gpus', 'none', '--jobs', '1', '-o', 'out'),
                              figures, 0.3),
    }  # yapf: disable


def _write_csv(valid: Path) -> None:
    """Landmarks of the faces in gt, and the plan of a benchmark."""
    header = ['filename', 'confidence', 'success', *(f'{axis}_{i}' for axis in 'xy' for i in range(68))]
    rows = [[f'face_{i}.png', '0.9', '1', *map(str, draw_face(0, i, 64)[1].T.ravel().round(2))]
            for i in [0, 1, 2, *range(4, 16)]]  # yapf: disable
    (valid / 'gt.csv').write_text('\n'.join(','.join(row) for row in [header, *rows]) + '\n')
    opt = yaml.safe_load((valid / 'tiny.yml').read_text().split('\n', 1)[1])
    faces = dict(type='SyntheticFaceDataset', num_images=2, gt_size=64)
    shared = {key: opt[key] for key in ('scale', 'manual_seed', 'datasets', 'val', 'logger')}
    train = dict(opt['train'], total_iter=4, scheduler=dict(type='MultiStepLR', milestones=[2]))
    plan = dict(
        name='plan', title='Plan', test_set=dict(faces, name='test', seed=3), evaluators={}, protocols=['basicsr-y'],
        gallery=1, speed_batch_size=1, compare_with='DIC', defaults=dict(shared, model_type='SRModel', train=train),
        models=dict(bicubic=dict(title='Bicubic', untrained=True, network_g=dict(type='Bicubic', upscale=8)),
                    DIC=dict(model_type='DICModel', network_g=opt['network_g'])))  # yapf: disable
    (valid / 'plan.yml').write_text(yaml.safe_dump(plan, sort_keys=False))


def files_in(folder: str) -> Callable[[Path], Content]:
    """Every file byte for byte, without the lock of an LMDB and what a killed process could not remove."""
    return lambda root: {
        os.fspath(path.relative_to(root)): path.read_bytes()
        for path in sorted((root / folder).rglob('*'))
        if path.is_file() and path.name != 'lock.mdb' and not _is_temporary(path)
    }


def _is_temporary(path: Path) -> bool:
    """Whether a file has no final name yet; what is ``.unfinished`` is taken up by the same command."""
    return any(part.startswith('.') and part.endswith('.tmp') or part.endswith('.unfinished') for part in path.parts)


def last_iteration(root: Path) -> Content:
    """Weights, optimizers, schedulers and sampler of a training's last iteration."""
    content: Content = {}
    for file in ('models/net_g_12.pth', 'training_states/12.state'):
        _flatten(torch.load(root / 'experiments/run' / file, weights_only=True), file, content)
    return content


def _flatten(value: Any, name: str, content: Content) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if key != 'date':
                _flatten(item, f'{name}/{key}', content)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _flatten(item, f'{name}/{index}', content)
    else:
        content[name] = value.contiguous().numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value)


def figures(root: Path) -> Content:
    """What a benchmark measured of the pictures; times differ."""
    rows = json.loads((root / 'out/plan/table.json').read_text())['rows']
    return {f"{row['table']} {row['model']}": repr((row['failed'], row.get('psnr'), row.get('ssim'))) for row in rows}


def damaged(root: Path) -> Optional[str]:
    """Return the first file under a final name that cannot be read whole; None if there is none."""
    for path in sorted(path for path in root.rglob('*') if path.is_file() and not _is_temporary(path)):
        try:
            if path.suffix in ('.png', '.jpg'):
                Image.open(path).load()
            elif path.suffix in ('.pth', '.state'):
                torch.load(path, weights_only=True)
            elif path.suffix == '.npz':
                {name: array.shape for name, array in np.load(path).items()}
            elif path.suffix == '.json':
                json.loads(path.read_text())
            elif path.suffix == '.safetensors':
                with safe_open(path, 'pt') as file:
                    list(file.keys())
        except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, SafetensorError) as error:
            return f'{path.relative_to(root)} ({type(error).__name__}: {str(error)[:100]})'
    return None


def run_kills(work: Path, number: int, seed: int) -> Dict[str, Any]:
    """Run the campaign in a folder of its own; ``number`` is that of signals that met a running process."""
    valid, folder, log = work / 'valid', work / 'case', work / 'said.txt'
    build(valid)
    tasks = _tasks(valid)
    if number < FEW:
        tasks = {name: task for name, task in tasks.items() if name not in SLOW}
    rng = random.Random(seed)
    expected: Dict[str, Content] = {}
    seconds: Dict[str, float] = {}
    findings: List[Dict[str, Any]] = []
    kinds: Dict[str, Counter] = {name: Counter() for name in tasks}
    for name, task in tasks.items():
        _fresh(valid, folder)
        ending = run_forked(task.run, folder, log, LIMIT)
        if ending.status:
            raise RuntimeError(f'{name}, not interrupted: status {ending.status}: {ending.said[-2000:]}')
        expected[name], seconds[name] = task.results(folder), ending.seconds
    met = 0
    while met < number:
        name = rng.choices(list(tasks), [task.weight for task in tasks.values()])[0]
        _fresh(valid, folder)
        for wrong, signum in _interrupted(tasks[name], folder, log, seconds[name], rng):
            met += signum is not None
            if signum is not None:
                kinds[name][signal.Signals(signum).name] += 1
            if wrong:
                _note(findings, dict(kind=name, way=str(signum), wrong=wrong, said=log.read_text()[-800:]))
        wrong = _difference(tasks[name], folder, expected[name])
        if wrong:
            _note(findings, dict(kind=name, way='', wrong=wrong, said=log.read_text()[-800:]))
        print(f'{met} signals', flush=True)
    if number >= FEW:
        _fill_disks(valid, work, tasks, expected, rng, kinds, findings)
    return dict(cases=met, by_kind={name: dict(counts) for name, counts in kinds.items()}, findings=findings)


def _note(findings: List[Dict[str, Any]], finding: Dict[str, Any]) -> None:
    findings.append(finding)
    print(f"{finding['kind']}, {finding['way']}: {finding['wrong']}: {finding['said'][-300:]!r}", flush=True)


def _fresh(valid: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(valid, folder, symlinks=True)


def _interrupted(task: Task, folder: Path, log: Path, usual: float, rng: random.Random) -> Iterator:
    """Run a task with up to three interruptions, then to its end; yields what is wrong and the signal, or None."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        interruption = Interruption(rng.uniform(0, 1.05 * usual), int(rng.choice(SIGNALS)), rng.random() < 0.5)
        ending = run_forked(task.run, folder, log, LIMIT, interruption)
        met = ending.status != 0
        wrong = damaged(folder)
        if ending.outlived:
            wrong = 'processes outlived it'
        elif met and interruption.signum != signal.SIGKILL and 'Traceback' in ending.said:
            wrong = 'traceback'
        elif ending.seconds > LIMIT:
            wrong = f'hang after {signal.Signals(interruption.signum).name}'
        yield wrong, interruption.signum if met else None
        if not met:
            return
    ending = run_forked(task.run, folder, log, LIMIT)
    yield (f'the same command ends with {ending.status}' if ending.status != 0 else None), None


def _difference(task: Task, folder: Path, expected: Content) -> Optional[str]:
    try:
        results = task.results(folder)
    except (OSError, ValueError) as error:
        return f'no result: {error}'
    differing = sorted(name for name in expected.keys() | results.keys() if expected.get(name) != results.get(name))
    return f'other than undisturbed: {", ".join(differing[:3])}' if differing else None


def _fill_disks(valid: Path, work: Path, tasks: Dict[str, Task], expected: Dict[str, Content], rng: random.Random,
                kinds: Dict[str, Counter], findings: List[Dict[str, Any]]) -> None:
    """Run every task on a file system that is too small, then with room. Needs root."""
    small, log = work / 'small', work / 'said.txt'
    small.mkdir()
    if os.geteuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200m', 'tmpfs', small]).returncode:
        print('A disk that fills up needs root and a file system to mount: not tried.')
        return
    try:
        for name, task in tasks.items():
            for _ in range(1 if task.results is figures else 6):
                folder = small / 'case'
                subprocess.run(['mount', '-o', 'remount,size=200m', small], check=True)
                _fresh(valid, folder)
                used = shutil.disk_usage(small).used // 1024
                room = int(np.exp(rng.uniform(*np.log(SMALL))))
                subprocess.run(['mount', '-o', f'remount,size={used + room}k', small], check=True)
                ending = run_forked(task.run, folder, log, LIMIT)
                wrong = damaged(folder)
                if ending.status != 0 and 'Traceback' in ending.said:
                    wrong = 'full disk: traceback'
                kinds[name]['full disk' if ending.status else 'disk large enough'] += 1
                said = ending.said[-800:]
                subprocess.run(['mount', '-o', 'remount,size=200m', small], check=True)
                again = run_forked(task.run, folder, log, LIMIT)
                wrong = wrong or (f'with room it ends with {again.status}' if again.status else None)
                wrong = wrong or _difference(task, folder, expected[name])
                if wrong:
                    _note(findings,
                          dict(kind=name, way=f'{room} KiB', wrong=wrong, said=said + '\n---\n' + again.said[-400:]))
    finally:
        subprocess.run(['umount', small], check=True)
