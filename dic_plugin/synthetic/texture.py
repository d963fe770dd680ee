"""Small tileable noise textures, float32 (SIDE, SIDE) with zero mean and unit variance, made from fixed seeds."""
from typing import Sequence, Tuple

import cv2
import numpy as np

SIDE = 256


def _noise(seed: int, octaves: Sequence[Tuple[int, int, float]], falloff: float = 0.0) -> np.ndarray:
    """Return the sum of octaves (rows, columns, weight): white noise on a torus, enlarged smoothly."""
    rng = np.random.Generator(np.random.PCG64(seed))
    margin = 2
    total = np.zeros((SIDE, SIDE), np.float32)
    for rows, cols, weight in octaves:
        cells = np.pad(rng.standard_normal((rows, cols)), margin, mode='wrap').astype(np.float32)
        y, x = SIDE // rows, SIDE // cols
        big = cv2.resize(cells, (cells.shape[1] * x, cells.shape[0] * y), interpolation=cv2.INTER_CUBIC)
        total += big[margin * y:margin * y + SIDE, margin * x:margin * x + SIDE] * weight / rows**falloff
    return (total - total.mean()) / total.std()


CLOUD = _noise(101, [(n, n, 1) for n in (4, 8, 16, 32, 64, 128)], 0.7)  # 1/f: mottled skin, cloth
GRAIN = _noise(102, [(128, 128, 1), (64, 64, 0.5)])  # fine: pores, stubble
STRAND = _noise(103, [(4, 16, 0.8), (4, 32, 1.0), (8, 64, 1.0), (8, 128, 0.8)])  # stretched vertically: hair
SENSOR = np.random.Generator(np.random.PCG64(104)).standard_normal((2 * SIDE, 2 * SIDE)).astype(np.float32)


def window(texture: np.ndarray, rng: np.random.Generator, limit: int, rows: int, cols: int) -> np.ndarray:
    """Return a random part (rows, cols) of a texture, its top left corner above and left of `limit`."""
    top, left = (int(v) for v in rng.integers(0, limit, 2))
    return texture[top:top + rows, left:left + cols]


def lookup(texture: np.ndarray, col: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the texture at float32 positions (col, row), in texels, wrapping round."""
    col = col - SIDE * np.floor(col * np.float32(1 / SIDE))
    row = row - SIDE * np.floor(row * np.float32(1 / SIDE))
    return cv2.remap(texture, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
