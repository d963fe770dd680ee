"""Surfaces given as a radius over (angle, height) around the vertical axis, and curves and blobs to build them from.

The head's frame has x to the image's right, y down, z towards the camera when it looks straight ahead; the unit is half
the width of an average face. The surface is r(theta, y) around the y axis, theta = 0 being the nose. It is kept on a
regular grid over u = sin(theta / 2) and y, finer in front than behind.
"""
from dataclasses import dataclass
from functools import lru_cache
from typing import Sequence, Tuple

import cv2
import numpy as np

NUM_U, NUM_Y = 132, 128
U_MAX = 0.88
Y_MIN, Y_MAX = -1.75, 2.55
STEP_U = 2 * U_MAX / (NUM_U - 1)
STEP_Y = (Y_MAX - Y_MIN) / (NUM_Y - 1)


@dataclass(frozen=True)
class Grid:
    """Constant coordinates of the grid; vectors over columns (theta, sin, cos, x) and over rows (y)."""
    theta: np.ndarray
    sin: np.ndarray
    cos: np.ndarray
    x: np.ndarray  # x of an average face at this angle, continued monotonically behind the ears
    theta_scale: np.ndarray  # d u / d theta
    y: np.ndarray


@lru_cache(maxsize=None)
def grid() -> Grid:
    """The grid, made once."""
    u = np.linspace(-U_MAX, U_MAX, NUM_U)
    theta = 2 * np.arcsin(u)
    x = np.sin(theta) / np.sqrt(np.sin(theta)**2 + (np.cos(theta) / 1.25)**2)
    behind = np.abs(theta) > np.pi / 2
    x[behind] = np.sign(x[behind]) * (2 - np.abs(x[behind]))
    arrays = theta, np.sin(theta), np.cos(theta), x, 0.5 * np.cos(theta / 2), np.linspace(Y_MIN, Y_MAX, NUM_Y)
    return Grid(*(a.astype(np.float32) for a in arrays))


def to_cells(u: np.ndarray, y: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Positions in the grid (columns, rows), as cv2.remap wants them."""
    return (u + U_MAX) * (1 / STEP_U), (y - Y_MIN) * (1 / STEP_Y)


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below low, 1 above high, a cubic between."""
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def span(axis: np.ndarray, low: float, high: float) -> slice:
    """The part of an ascending axis of the grid between low and high."""
    return slice(int(np.searchsorted(axis, low)), int(np.searchsorted(axis, high)))


def rounded(x: np.ndarray, knots: Sequence[Tuple[float, float]], radius: int) -> np.ndarray:
    """Straight pieces through the knots over x, rounded by two running means over 2 radius + 1 values each.

    x is as long as the result and 2 radius more at either end.
    """
    xs, ys = zip(*knots)
    return np.convolve(np.interp(x, xs, ys), _tent(radius), mode='valid').astype(np.float32)


@lru_cache(maxsize=None)
def _tent(radius: int) -> np.ndarray:
    box = np.full(2 * radius + 1, 1 / (2 * radius + 1))
    return np.convolve(box, box)


@lru_cache(maxsize=None)
def _longer_y(radius: int) -> np.ndarray:
    return Y_MIN + STEP_Y * np.arange(-2 * radius, NUM_Y + 2 * radius)


def soft_curve(knots: Sequence[Tuple[float, float]], radius: int = 3) -> np.ndarray:
    """A smooth curve through about the knots (y, value), at the grid's rows."""
    return rounded(_longer_y(radius), knots, radius)


def blobs(rows: Sequence[Tuple[float, float, float, float, float]], step: int = 1) -> np.ndarray:
    """Sum of Gaussians (height, x, y, sigma_x, sigma_y) on every step-th cell; those off x = 0 stand on both sides."""
    spec = np.array(rows, np.float32)
    mirrored = spec[spec[:, 1] != 0] * np.array([1, -1, 1, 1, 1], np.float32)
    height, x, y, sx, sy = np.concatenate([spec, mirrored])[..., None].transpose(1, 0, 2)
    gx = np.exp(-0.5 * np.square((grid().x[None, ::step] - x) / sx))
    gy = height * np.exp(-0.5 * np.square((grid().y[None, ::step] - y) / sy))
    return gy.T @ gx


def radius_at(surface: np.ndarray, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The surface's radius at the given angles and heights (float32 vectors)."""
    col, row = to_cells(np.sin(0.5 * theta), y)
    return cv2.remap(
        surface,
        col[None].astype(np.float32),
        row[None].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE)[0]


def lift(surface: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """3-D points (N, 3) of the surface whose front view is (x, y)."""
    theta = np.arcsin(np.clip(x / 1.15, -1, 1))
    for _ in range(3):
        theta = np.arcsin(np.clip(x / radius_at(surface, theta, y), -0.999, 0.999))
    radius = radius_at(surface, theta, y)
    return np.stack([x, y, radius * np.cos(theta)], axis=1).astype(np.float32)
