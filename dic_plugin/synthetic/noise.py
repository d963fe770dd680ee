"""Small tileable noise textures, made once from fixed seeds; skin, hair, brows and backgrounds look them up."""
from functools import lru_cache

import cv2
import numpy as np

SIDE = 256


def _octave(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    """White noise on a rows x cols torus, enlarged smoothly to SIDE x SIDE."""
    margin = 2
    cells = np.pad(rng.standard_normal((rows, cols)), margin, mode='wrap').astype(np.float32)
    step_y, step_x = SIDE // rows, SIDE // cols
    big = cv2.resize(cells, (cells.shape[1] * step_x, cells.shape[0] * step_y), interpolation=cv2.INTER_CUBIC)
    return big[margin * step_y:margin * step_y + SIDE, margin * step_x:margin * step_x + SIDE]


def _normalised(texture: np.ndarray) -> np.ndarray:
    return ((texture - texture.mean()) / texture.std()).astype(np.float32)


@lru_cache(maxsize=None)
def cloud_texture() -> np.ndarray:
    """Isotropic 1/f noise (SIDE, SIDE), zero mean, unit variance: skin mottling, cloth, clutter."""
    rng = np.random.Generator(np.random.PCG64(101))
    return _normalised(sum(_octave(rng, n, n) / n**0.7 for n in (4, 8, 16, 32, 64, 128)))


@lru_cache(maxsize=None)
def grain_texture() -> np.ndarray:
    """Fine isotropic noise (SIDE, SIDE), zero mean, unit variance: pores, stubble."""
    rng = np.random.Generator(np.random.PCG64(102))
    return _normalised(_octave(rng, 128, 128) + 0.5 * _octave(rng, 64, 64))


@lru_cache(maxsize=None)
def strand_texture() -> np.ndarray:
    """Noise (SIDE, SIDE) stretched along rows' axis (vertical strands), zero mean, unit variance: hair."""
    rng = np.random.Generator(np.random.PCG64(103))
    return _normalised(
        sum(_octave(rng, r, c) * w for r, c, w in ((4, 16, 0.8), (4, 32, 1.0), (8, 64, 1.0), (8, 128, 0.8))))


@lru_cache(maxsize=None)
def _white_texture() -> np.ndarray:
    return np.random.Generator(np.random.PCG64(104)).standard_normal((2 * SIDE, 2 * SIDE)).astype(np.float32)


def sensor_noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """White noise (size, size), size <= SIDE, of unit variance: a random part of one fixed sheet, which is cheap."""
    top, left = (int(v) for v in rng.integers(0, SIDE, 2))
    return _white_texture()[top:top + size, left:left + size]


def lookup(texture: np.ndarray, col: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The texture at float32 positions (col, row), in texels, wrapping round."""
    col = col - SIDE * np.floor(col * np.float32(1 / SIDE))
    row = row - SIDE * np.floor(row * np.float32(1 / SIDE))
    return cv2.remap(texture, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
