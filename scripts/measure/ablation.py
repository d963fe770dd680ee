"""The paper's ablations in small: trains variants of a compact DIC and compares them.

    python scripts/measure/ablation.py [--seeds 0 1 2] [--iterations 550] [--jobs 2] [--evaluator FILE]
    python scripts/measure/ablation.py -opt options/train_DIC_photos.yml --force_yml train:ema_decay=0.99

Every variant is the option file (default: options/train_DIC.yml, synthetic faces) with the options below changed,
trained by BasicSR's own loop in a process of one thread. All see the same unseen faces, of the file's validation set.
What is trained already is not trained again; what was interrupted is resumed.

Prints a Markdown table of means and standard deviations over the seeds, and writes it with all figures into
results/ablation/. Landmark errors (inter-ocular) are of the landmarks that the network itself finds at its last step
and, with --evaluator, of those that a separate network (options/train_landmarks.yml) finds on the last image.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np
import torch
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import dic_plugin  # noqa: E402 (before basicsr, whose import it repairs)

# isort: split
from basicsr.archs import build_network  # noqa: E402
from basicsr.data import build_dataset  # noqa: E402
from basicsr.utils import tensor2img  # noqa: E402
from basicsr.utils.options import ordered_yaml  # noqa: E402

from dic_plugin.checkpoints.files import load_params  # noqa: E402
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator  # noqa: E402
from dic_plugin.evaluation.protocols import compare  # noqa: E402
from dic_plugin.landmarks.errors import nrmse  # noqa: E402
from dic_plugin.landmarks.heatmaps import decode_heatmaps  # noqa: E402

PROTOCOL = 'basicsr-y'


class Variant(NamedTuple):
    """A row of the table: what it is called, and the options that make it (BasicSR's --force_yml)."""
    title: str
    changes: List[str]


VARIANTS = {
    'full': Variant('DIC', []),
    'one_step': Variant('without iteration: 1 step', ['network_g:num_steps=1']),
    'no_fusion': Variant('without attentive fusion: landmarks guide nothing', ['network_g:num_fusion_block=~']),
    'detached': Variant('heatmaps detached: image losses do not train them', ['network_g:detach_attention=true']),
}


def train(name: str, seed: int, args: argparse.Namespace) -> Path:
    """Train a variant unless it is trained; returns its weights."""
    iterations = args.iterations
    run = f'ablation_{args.opt.stem}_{name}_{iterations}_seed{seed}'
    weights = ROOT / 'experiments' / run / 'models' / 'net_g_latest.pth'
    if not weights.exists():
        overrides = [
            f'name={run}', f'manual_seed={seed}', f'train:total_iter={iterations}',
            f'train:scheduler:periods=[{iterations}]', f'val:val_freq={iterations + 1}', 'logger:use_tb_logger=false',
            *args.force_yml, *VARIANTS[name].changes
        ]
        command = [
            sys.executable, 'basicsr/train.py', '-opt',
            str(args.opt), '--auto_resume', '--force_yml', *overrides
        ]
        env = dict(os.environ, OMP_NUM_THREADS='1')
        done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f'{run} failed:\n{(done.stdout + done.stderr)[-2000:]}')
        print(f'trained {run}', flush=True)
    return weights


def measure(name: str, weights: Path, args: argparse.Namespace,
            evaluator: Optional[LandmarkEvaluator]) -> Dict[str, float]:
    """PSNR, SSIM and NRMSE of the last step's images, means over unseen faces."""
    with open(args.opt, encoding='utf-8') as file:
        opt = yaml.load(file, Loader=ordered_yaml()[0])
    network_opt = dict(opt['network_g'])
    for change in VARIANTS[name].changes:
        key, value = change.split('=')
        network_opt[key.split(':')[1]] = yaml.safe_load(value)
    network = build_network(network_opt).eval()
    network.load_state_dict(load_params(str(weights), 'params_ema'))
    faces_opt = dict(opt['datasets']['val'], phase='val', scale=opt['scale'])
    if 'num_images' in faces_opt:
        faces_opt['num_images'] = args.images
    faces = build_dataset(faces_opt)
    values: Dict[str, List[float]] = {'psnr': [], 'ssim': [], 'nrmse': [], 'nrmse_evaluator': []}
    for index in range(len(faces)):
        face = faces[index]
        landmarks = face['landmarks'].numpy()
        with torch.no_grad():
            steps = network(face['lq'][None], return_steps=True)
        sr = steps.sr[-1].clamp(0, 1)
        quality = compare(tensor2img(sr, rgb2bgr=False), tensor2img(face['gt'], rgb2bgr=False), [PROTOCOL])[PROTOCOL]
        values['psnr'].append(quality.psnr)
        values['ssim'].append(quality.ssim)
        values['nrmse'].append(float(nrmse(decode_heatmaps(steps.heatmap[-1])[0].numpy(), landmarks)))
        if evaluator is not None:
            values['nrmse_evaluator'].append(float(nrmse(evaluator.landmarks(sr)[0].numpy(), landmarks)))
    return {key: float(np.mean(series)) for key, series in values.items() if series}


def table(figures: Dict[str, List[Dict[str, float]]]) -> str:
    """Means and standard deviations over the seeds, as Markdown."""
    columns = {
        'psnr': ('PSNR (dB)', 2),
        'ssim': ('SSIM', 4),
        'nrmse': ('NRMSE, own', 4),
        'nrmse_evaluator': ('NRMSE, evaluator', 4)
    }
    columns = {
        key: column
        for key, column in columns.items() if all(key in run for runs in figures.values() for run in runs)
    }
    lines = [
        '| Variant | ' + ' | '.join(title for title, _ in columns.values()) + ' |', '| --- ' * (len(columns) + 1) + '|'
    ]
    for name, runs in figures.items():
        cells = [VARIANTS[name].title]
        for key, (_, digits) in columns.items():
            series = [run[key] for run in runs]
            spread = f' ± {statistics.stdev(series):.{digits}f}' if len(series) > 1 else ''
            cells.append(f'{statistics.mean(series):.{digits}f}{spread}')
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '-opt',
        type=lambda path: Path(path).expanduser().resolve(),
        default=ROOT / 'options' / 'train_DIC.yml',
        metavar='FILE',
        help='of a DIC (default: options/train_DIC.yml)')
    parser.add_argument('--force_yml', nargs='+', default=[], metavar='KEY=VALUE', help='further changes, of all')
    parser.add_argument('--variants', nargs='+', choices=sorted(VARIANTS), default=list(VARIANTS), metavar='NAME')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--iterations', type=int, default=550)
    parser.add_argument('--images', type=int, default=200, help='unseen synthetic faces (default: %(default)s)')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='trainings at a time (default: all cores)')
    parser.add_argument(
        '--evaluator', type=os.path.expanduser, metavar='FILE', help='weights of a separate landmark network')
    args = parser.parse_args()
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = [(name, seed) for seed in args.seeds for name in args.variants]
        weights = dict(zip(runs, pool.map(lambda run: train(*run, args), runs)))
    evaluator = LandmarkEvaluator(args.evaluator, torch.device('cpu')) if args.evaluator else None
    figures = {
        name: [measure(name, weights[name, seed], args, evaluator) for seed in args.seeds]
        for name in args.variants
    }
    folder = ROOT / 'results' / 'ablation'
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        'dic_plugin': dic_plugin.__version__,
        'protocol': PROTOCOL,
        **vars(args), 'opt': str(args.opt),
        'figures': figures
    }
    (folder / 'ablation.json').write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
    (folder / 'ablation.md').write_text(table(figures) + '\n', encoding='utf-8')
    print(table(figures))
    return 0


if __name__ == '__main__':
    sys.exit(main())
