"""Measures how much of pictures lies on the grid of a network's last layer, as dots that GAN training leaves there.

    python scripts/measure/grid_dots.py --gt datasets/celeba_test_1000 results/test_DIC_photos/visualization/celeba

A pattern that repeats every p pixels has its energy at multiples of 1/p of the sampling frequency, on rows and
columns. For each folder of results, luma, 8 pixels cropped, p = 4 (the stride of DIC's last transposed convolution):
the mean power at these frequencies, divided by that at their neighbours 2 and 3 lines away. Pictures without a grid
give about 1, however sharp they are; the originals' own figure stands beside. Sharpness is the mean absolute
Laplacian, divided by that of the originals. Prints a table in Markdown.
"""
import argparse
import os
import sys
from pathlib import Path
from typing import List, Tuple

import cv2
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import dic_plugin  # noqa: E402, F401 (before basicsr, whose import it repairs)

# isort: split
from basicsr.metrics.metric_util import to_y_channel  # noqa: E402

from dic_plugin.evaluation.files import open_images, open_results, pair_names  # noqa: E402

BORDER = 8
NEIGHBOURS = (-3, -2, 2, 3)


def power_on_grid(luma: np.ndarray, period: int) -> Tuple[float, float]:
    """Return the mean power of a square picture at the grid's frequencies, and at their neighbours.

    Args:
        luma: (N, N), N a multiple of ``period``.
        period: in pixels.
    """
    power = np.abs(np.fft.fft2(luma - luma.mean()))**2
    size = len(luma)
    lines = [size * k // period for k in range(period)]
    points = [(u, v) for u in lines for v in lines if (u, v) != (0, 0)]
    grid = np.mean([power[u, v] for u, v in points])
    near = np.mean(
        [power[(u + du) % size, (v + dv) % size] for u, v in points for du in NEIGHBOURS for dv in NEIGHBOURS])
    return float(grid), float(near)


def figures_of(lumas: List[np.ndarray], period: int) -> Tuple[float, float]:
    """Return the ratio of the sums over pictures of the two powers, and the mean absolute Laplacian."""
    grid, near = np.sum([power_on_grid(luma, period) for luma in lumas], axis=0)
    return grid / near, float(np.mean([np.abs(cv2.Laplacian(luma, cv2.CV_64F)).mean() for luma in lumas]))


def luma_of(rgb: np.ndarray) -> np.ndarray:
    return to_y_channel(rgb[BORDER:-BORDER, BORDER:-BORDER, ::-1])[:, :, 0].astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'results', type=os.path.expanduser, nargs='+', help='folders of results, named as dic-evaluate expects')
    parser.add_argument('--gt', type=os.path.expanduser, required=True, help='folder or LMDB of the originals')
    parser.add_argument('--period', type=int, default=4, help='pixels (default: %(default)s)')
    args = parser.parse_args()
    originals = open_images(args.gt)
    lumas = {name: luma_of(originals.read(row)) for row, name in enumerate(tqdm(originals.names, 'gt', disable=None))}
    print('| Results | Pictures | Grid | Grid of the originals | Sharpness |')
    print('| --- | --- | --- | --- | --- |')
    for folder in args.results:
        results = open_results(folder)
        pairs = [(row, originals.names[original]) for row, original in pair_names(results.names, originals.names).pairs]
        if not pairs:
            sys.exit(f'{folder}: no picture is named as one of {args.gt}.')
        ours, sharpness = figures_of([luma_of(results.read(row)) for row, _ in pairs], args.period)
        theirs, true_sharpness = figures_of([lumas[name] for _, name in pairs], args.period)
        print(f'| {folder} | {len(pairs)} | {ours:.2f} | {theirs:.2f} | {sharpness / true_sharpness:.2f} |')


if __name__ == '__main__':
    main()
