"""The head as a surface: a radius over (angle, height) around the vertical axis, with relief, and its 68 landmarks.

The head's frame has x to the image's right, y down, z towards the camera when it looks straight ahead; the unit is half
the width of an average face. The surface is r(theta, y) around the y axis, theta = 0 being the nose. It is kept on a
regular grid over u = sin(theta / 2) and y, finer in front than behind.
"""
from dataclasses import dataclass
from functools import lru_cache
from typing import Sequence, Tuple

import cv2
import numpy as np

from .params import FaceParams

NUM_U, NUM_Y = 160, 176
U_MAX = 0.9
Y_MIN, Y_MAX = -1.95, 2.9
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


def soft_curve(x: np.ndarray, knots: Sequence[Tuple[float, float]], radius: int = 3) -> np.ndarray:
    """A curve through about the knots over evenly spaced x: straight pieces, rounded by two running means."""
    xs, ys = zip(*knots)
    box = np.full(2 * radius + 1, 1 / (2 * radius + 1))
    kernel = np.convolve(box, box)
    padded = np.pad(np.interp(x, xs, ys), 2 * radius, mode='edge')
    return np.convolve(padded, kernel, mode='valid').astype(np.float32)


def blobs(rows: Sequence[Tuple[float, float, float, float, float]], mirror: bool = True) -> np.ndarray:
    """Sum of Gaussians (height, x, y, sigma_x, sigma_y) on the grid; those with x != 0 stand on both sides."""
    spec = np.array(rows, np.float32)
    if mirror:
        other = spec[spec[:, 1] != 0] * np.array([1, -1, 1, 1, 1], np.float32)
        spec = np.concatenate([spec, other])
    height, x, y, sx, sy = (spec[:, i:i + 1] for i in range(5))
    gx = np.exp(-0.5 * ((grid().x[None] - x) / sx)**2)
    gy = height * np.exp(-0.5 * ((grid().y[None] - y) / sy)**2)
    return gy.T @ gx


def jaw_line(p: FaceParams, angle: np.ndarray) -> np.ndarray:
    """Height y of the lower edge of the jaw at |theta| = angle."""
    drop = p.y_chin - 1.68
    square = 0.06 * p.jaw_square
    knots = [(0, 1.68 + drop), (0.22, 1.655 + drop), (0.45, 1.54 + 0.9 * drop + square * 0.5),
             (0.7, 1.39 + 0.75 * drop + square), (1.0, 1.20 + 0.55 * drop + square), (1.3, 1.02 + 0.4 * drop + square),
             (1.6, 0.85 + 0.3 * drop), (1.9, 0.75), (2.6, 0.7)]
    xs, ys = zip(*knots)
    return np.interp(angle, xs, ys)


def _smooth_jaw_line(p: FaceParams) -> np.ndarray:
    box = np.full(7, 1 / 7)
    y = np.pad(jaw_line(p, np.abs(grid().theta)), 6, mode='edge')
    return np.convolve(np.convolve(y, box, mode='valid'), box, mode='valid').astype(np.float32)


def _ellipse_radius(half_width: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Radius of ellipses with these half axes (vectors over y) over the grid's angles: a grid."""
    g = grid()
    return 1 / np.sqrt((g.sin**2)[None] / (half_width**2)[:, None] + (g.cos**2)[None] / (depth**2)[:, None])


def _nose(p: FaceParams) -> np.ndarray:
    """The nose's relief: a wedge from between the eyes to the tip, steep below, with a ball and two wings."""
    g = grid()
    h = p.nose_height
    tip, base = p.y_nose, p.y_nose + 0.13
    profile = soft_curve(g.y, [(-0.22, 0.0), (-0.02, p.nose_bridge * 0.55), (0.2, p.nose_bridge * 0.9 + 0.15 * h),
                               (tip - 0.12, 0.88 * h), (tip, h), (tip + 0.05, 0.86 * h), (base, 0.05),
                               (base + 0.12, 0)], 1)
    width = soft_curve(g.y, [(-0.22, 0.12), (-0.02, 0.075), (0.25, 0.085), (tip - 0.1, p.nose_tip_width),
                             (tip + 0.05, p.nose_tip_width * 1.15), (base, 0.13)], 2)
    ratio = (g.x[None] / width[:, None])**2
    ridge = profile[:, None] / (1 + 0.5 * ratio + 0.5 * ratio**2)
    wing = p.nose_width
    return ridge + blobs([(0.10, wing * 0.82, tip + 0.05, 0.062, 0.065), (-0.025, wing * 1.25, tip + 0.06, 0.04, 0.06),
                          (0.02, wing * 0.4, base, 0.05, 0.03)])


def skin_surface(p: FaceParams) -> np.ndarray:
    """Radius of head and neck without hair, (NUM_Y, NUM_U) float32."""
    g = grid()
    top = -1.62
    cap = np.sqrt(np.clip(1 - (np.clip(-0.35 - g.y, 0, None) / (-0.35 - top))**2, 0.0025, 1)).astype(np.float32)
    jaw = p.jaw_width
    half_width = cap * soft_curve(g.y, [(-1.6, 1.02), (-0.5, 0.99), (0.0, 1.0), (0.45, 1.0), (0.9, 0.93 * jaw),
                                        (1.25, 0.87 * jaw), (1.6, 0.79 * jaw), (2.9, 0.75 * jaw)])
    depth = cap * soft_curve(g.y, [(-1.6, 1.12), (-1.0, 1.19), (-0.5, 1.24), (-0.25, 1.255), (0.0, 1.19), (0.4, 1.19),
                                   (p.y_nose + 0.14, 1.215), (p.y_mouth, 1.225), (p.y_mouth + 0.3, 1.17),
                                   (p.y_chin - 0.2, 1.2), (p.y_chin, 1.17), (2.9, 1.0)], 2)
    head = _ellipse_radius(half_width, depth)
    depth_neck = soft_curve(g.y, [(1.0, 0.45), (1.7, 0.42), (2.9, 0.62)])
    head += blobs([
        (0.035 + 0.02 * p.masculine, 0.36, p.brow_y + 0.02, 0.2, 0.08),
        (0.02, 0, -0.22, 0.12, 0.07),
        (-p.eye_depth, p.eye_x - 0.02, 0.0, 0.2, 0.14),
        (0.06, p.eye_x, 0.0, 0.13, 0.095),
        (-0.03, 0.98, -0.4, 0.25, 0.3),
        (0.05 + 0.02 * p.cheek, 0.66, 0.36, 0.2, 0.17),
        (0.05 * max(p.smile, 0) + 0.02, 0.5, 0.55, 0.15, 0.13),
        (-0.03 - 0.01 * p.cheek + 0.025 * p.fullness, 0.72, 0.88, 0.16, 0.2),
        (0.03 + 0.02 * p.fullness, 0.55, 1.2, 0.2, 0.2),
        (0.035, 0, p.y_mouth - 0.02, 0.28, 0.16),
        (-0.018, 0, p.y_nose + 0.27, 0.035, 0.07),
        (0.04, 0.1, p.y_mouth - 0.05, 0.1, 0.045),
        (0.055, 0, p.y_mouth + 0.07 + 0.7 * p.mouth_gap, 0.17, 0.05),
        (-0.05, 0, p.y_mouth + 0.21 + 0.8 * p.mouth_gap, 0.2, 0.06),
        (0.055, 0, p.y_chin - 0.2, 0.16, 0.11),
        (-0.03, p.mouth_half_width + 0.04, p.y_mouth, 0.05, 0.06),
    ] + _nasolabial_fold(p))
    head += _nose(p)
    edge = _smooth_jaw_line(p)
    below = g.y[:, None] - edge[None]
    head *= 1 - 0.07 * smoothstep(-0.35, 0.08, below)
    neck = _ellipse_radius(np.full(NUM_Y, 0.60 + 0.06 * p.masculine, np.float32), depth_neck)
    mix = smoothstep(-0.04, 0.16, below)
    return (head + (neck - head) * mix + _ears(p)).astype(np.float32)


def _nasolabial_fold(p: FaceParams) -> Sequence[Tuple[float, float, float, float, float]]:
    depth = 0.008 + 0.014 * p.age + 0.025 * max(p.smile, 0)
    start = np.array([p.nose_width * 1.3, p.y_nose + 0.05])
    end = np.array([p.mouth_half_width + 0.1, p.y_mouth - 0.03])
    points = [start + (end - start) * t + np.array([0.03 * np.sin(np.pi * t), 0]) for t in (0.1, 0.4, 0.7, 1.0)]
    return [(-depth, x, y, 0.04, 0.075) for x, y in points]


def _ears(p: FaceParams) -> np.ndarray:
    """Two shells that stand out behind the cheeks, hollow in the middle."""
    g = grid()
    angle = np.abs(g.theta) - 1.68
    rows = (g.y - 0.2 - 0.02) / 0.34
    tilt = angle[None] - 0.05 * rows[:, None]
    distance = np.sqrt((tilt / 0.17)**2 + (rows**2)[:, None])
    shell = smoothstep(1.15, 0.75, distance) * (0.35 + 0.65 * smoothstep(-0.16, 0.12, tilt))
    return p.ear * shell * (1 - 0.35 * smoothstep(0.75, 0.2, distance))


def radius_at(surface: np.ndarray, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The surface's radius at the given angles and heights (float32 vectors)."""
    col, row = to_cells(np.sin(theta / 2), y)
    return cv2.remap(
        surface,
        col[None].astype(np.float32),
        row[None].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE)[0]


def lift(surface: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """3-D points (N, 3) of the surface whose front view is (x, y)."""
    theta = np.arcsin(np.clip(x / 1.15, -1, 1))
    for _ in range(5):
        theta = np.arcsin(np.clip(x / radius_at(surface, theta, y), -0.999, 0.999))
    radius = radius_at(surface, theta, y)
    return np.stack([x, y, radius * np.cos(theta)], axis=1).astype(np.float32)
