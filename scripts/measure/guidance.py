"""Measures what a trained DIC makes of its guidance: the heatmaps that guide a step are exchanged before the fusion.

    python scripts/measure/guidance.py --gt datasets/helen_test/test.lmdb --annotations datasets/helen_test/test.npz

The network stays as it is; only what the attentive fusion sees changes: the heatmaps that the network has found, those
of the true landmarks, none (every facial component counts alike), and those of another face. PSNR of the last step on
luma, 8 pixels cropped, and the mean difference from the first row with its 95 % bootstrap interval over the faces.
Prints a table in Markdown.
"""
import argparse
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import dic_plugin  # noqa: E402, F401 (before basicsr, whose import it repairs)

# isort: split
from basicsr.metrics import calculate_psnr  # noqa: E402
from basicsr.utils import tensor2img  # noqa: E402

from dic_plugin import FaceRestorer  # noqa: E402
from dic_plugin.data.face_landmark_dataset import FaceLandmarkDataset  # noqa: E402
from dic_plugin.evaluation.summary import estimate  # noqa: E402
from dic_plugin.landmarks.heatmaps import render_heatmaps  # noqa: E402

# From the heatmaps found, B,K,h,w, and the true landmarks, B,K,2, to the heatmaps that guide.
GUIDANCE: Dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    'found by the network': lambda found, _: found,
    'true landmarks': lambda found, landmarks: render_heatmaps(landmarks, tuple(found.shape[2:])),
    'none': lambda found, _: torch.zeros_like(found),
    'of another face': lambda found, _: found.roll(1, 0),
}


@torch.no_grad()
def measure(network: torch.nn.Module, faces: DataLoader) -> Dict[str, np.ndarray]:
    """Return the PSNR of every face by kind of guidance; a batch of one face has no other, and is left out."""
    figures: Dict[str, List[float]] = {name: [] for name in GUIDANCE}
    for batch in tqdm(faces, disable=None):
        if len(batch['lq']) < 2:
            continue
        for name, change in GUIDANCE.items():

            def exchange(_: torch.nn.Module, args: Any) -> Any:
                return args[0], change(args[1], batch['landmarks'])

            hook = network.block.fusion.register_forward_pre_hook(exchange)
            images = network(batch['lq'])
            hook.remove()
            figures[name] += [
                calculate_psnr(tensor2img([image]), tensor2img([gt]), 8, test_y_channel=True)
                for image, gt in zip(images, batch['gt'])
            ]
    return {name: np.array(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--gt', type=os.path.expanduser, required=True, help='folder or LMDB of face crops')
    parser.add_argument('--annotations', type=os.path.expanduser, required=True, help='their landmarks (.npz)')
    parser.add_argument('-w', '--weights', type=os.path.expanduser, help='default: the shipped ones')
    args = parser.parse_args()
    restorer = FaceRestorer(args.weights, 'cpu')
    if restorer.num_steps < 2 or restorer.network.block.fusion is None:
        sys.exit(f'{restorer.path}: nothing guides this network; expected several steps and attentive fusion.')
    faces = FaceLandmarkDataset(
        dict(
            name='faces',
            type='FaceLandmarkDataset',
            phase='test',
            scale=restorer.upscale,
            gt_size=restorer.input_size * restorer.upscale,
            dataroot_gt=args.gt,
            annotation_file=args.annotations,
            num_keypoints=restorer.num_keypoints))
    figures = measure(restorer.network, DataLoader(faces, batch_size=8))
    print('| Guidance | PSNR (dB) | Difference (dB) |')
    print('| --- | --- | --- |')
    base = next(iter(figures.values()))
    for name, values in figures.items():
        difference = estimate(values - base)
        interval = f'[{difference.low:+.3f}, {difference.high:+.3f}]'
        print(f'| {name} | {values.mean():.2f} | {difference.mean:+.3f} {interval} |')


if __name__ == '__main__':
    main()
