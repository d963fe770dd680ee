"""The bare head and neck: proportions and relief."""
from functools import lru_cache
from typing import List, Tuple

import numpy as np

from .params import FaceParams
from .shape import NUM_Y, blobs, grid, rounded, smoothstep, soft_curve, span

Blob = Tuple[float, float, float, float, float]


def jaw_knots(p: FaceParams) -> List[Tuple[float, float]]:
    """The lower edge of the jaw: height y at some angles |theta|, in ascending order."""
    drop = p.y_chin - 1.60
    square = 0.06 * p.jaw_square
    return [(0, 1.60 + drop), (0.22, 1.575 + drop), (0.45, 1.48 + 0.9 * drop + square * 0.5),
            (0.7, 1.35 + 0.75 * drop + square), (1.0, 1.17 + 0.55 * drop + square), (1.3, 1.00 + 0.4 * drop + square),
            (1.6, 0.84 + 0.3 * drop), (1.9, 0.75), (2.6, 0.7)]


def jaw_line(p: FaceParams, angle: np.ndarray) -> np.ndarray:
    """Height y of the lower edge of the jaw at |theta| = angle."""
    xs, ys = zip(*jaw_knots(p))
    return np.interp(angle, xs, ys)


@lru_cache(maxsize=None)
def _longer_angle() -> np.ndarray:
    return np.pad(np.abs(grid().theta), 6, mode='edge')


def skin_surface(p: FaceParams) -> np.ndarray:
    """Radius of head and neck without hair, (NUM_Y, NUM_U) float32."""
    g = grid()
    top = -1.62
    cap = np.sqrt(np.clip(1 - np.square(np.clip(-0.35 - g.y, 0, None) / (-0.35 - top)), 0.0025, 1))
    jaw = p.jaw_width
    half_width = cap * soft_curve([(-1.6, 1.02), (-0.5, 0.985), (0.0, 1.0), (0.4, 0.99), (0.75, 0.93 * jaw),
                                   (1.05, 0.86 * jaw), (1.3, 0.79 * jaw), (1.6, 0.72 * jaw), (2.9, 0.7 * jaw)])
    depth = cap * soft_curve([(-1.6, 1.12), (-1.0, 1.19), (-0.5, 1.24), (-0.25, 1.25), (0.0, 1.19), (0.4, 1.19),
                              (p.y_nose + 0.14, 1.215), (p.y_mouth, 1.225), (p.y_mouth + 0.27, 1.18),
                              (p.y_chin - 0.2, 1.2), (p.y_chin, 1.17), (2.9, 1.0)], 2)
    head = _ellipse_radius(half_width, depth)
    head += blobs(_bones(p) + _lips_and_chin(p) + _nasolabial_fold(p) + _wings(p))
    _add_nose(head, p)
    edge = rounded(_longer_angle(), jaw_knots(p), 3)
    rows = span(g.y, 0.3, 9)
    below = g.y[rows, None] - edge[None]
    head[rows] *= 1 - 0.07 * smoothstep(-0.35, 0.08, below)
    neck = _ellipse_radius(
        np.full(NUM_Y, 0.58 + 0.06 * p.masculine, np.float32), soft_curve([(1.0, 0.45), (1.6, 0.42),
                                                                           (2.9, 0.66)]))[rows]
    head[rows] += (neck - head[rows]) * smoothstep(-0.05, 0.17, below)
    _add_ears(head, p)
    return head


def _ellipse_radius(half_width: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Radius of ellipses with these half axes (vectors over y) over the grid's angles: a grid."""
    g = grid()
    squares = np.stack([np.square(g.sin), np.square(g.cos)])
    return 1 / np.sqrt(np.stack([1 / np.square(half_width), 1 / np.square(depth)], 1) @ squares)


def _bones(p: FaceParams) -> List[Blob]:
    """Brow ridge, eye sockets with the balls in them, temples, cheeks: see shape.blobs."""
    smile = max(p.smile, 0)
    return [
        (0.03 + 0.025 * p.masculine, 0.36, p.brow_y + 0.03, 0.2, 0.075),
        (0.015, 0, -0.2, 0.12, 0.08),
        (-p.eye_depth, p.eye_x - 0.03, 0.0, 0.19, 0.13),
        (0.065, p.eye_x, 0.005, 0.125, 0.095),
        (-0.02, p.eye_x + 0.02, 0.16, 0.17, 0.05),
        (-0.035, 0.98, -0.4, 0.25, 0.3),
        (0.045 + 0.02 * p.cheek, 0.66, 0.34, 0.2, 0.16),
        (0.05 * smile + 0.025, 0.46, 0.5, 0.14, 0.13),
        (-0.03 - 0.01 * p.cheek + 0.03 * p.fullness, 0.70, 0.84, 0.16, 0.2),
        (0.03 + 0.025 * p.fullness, 0.55, 1.12, 0.2, 0.2),
    ]


def _lips_and_chin(p: FaceParams) -> List[Blob]:
    gap = p.mouth_gap
    return [
        (0.035, 0, p.y_mouth - 0.02, 0.28, 0.16),
        (-0.02, 0, p.y_nose + 0.25, 0.035, 0.06),
        (0.045, 0.1, p.y_mouth - 0.05, 0.1, 0.04),
        (-0.02, 0, p.y_mouth + 0.4 * gap, 0.25, 0.02),
        (0.055, 0, p.y_mouth + 0.07 + 0.7 * gap, 0.15, 0.045),
        (-0.055, 0, p.y_mouth + 0.21 + 0.8 * gap, 0.2, 0.055),
        (0.06, 0, p.y_chin - 0.2, 0.16, 0.11),
        (-0.035, p.mouth_half_width + 0.04, p.y_mouth, 0.045, 0.06),
        (0.02, p.mouth_half_width + 0.12, p.y_mouth + 0.05, 0.06, 0.12),
    ]


def _nasolabial_fold(p: FaceParams) -> List[Blob]:
    """The groove from the wing of the nose past the corner of the mouth, deeper with age and when smiling."""
    depth = 0.008 + 0.014 * p.age + 0.025 * max(p.smile, 0)
    start = np.array([p.nose_width * 1.3, p.y_nose + 0.05])
    end = np.array([p.mouth_half_width + 0.1, p.y_mouth - 0.03])
    points = [start + (end - start) * t + np.array([0.03 * np.sin(np.pi * t), 0]) for t in (0.1, 0.4, 0.7, 1.0)]
    return [(-depth, x, y, 0.04, 0.075) for x, y in points]


def _wings(p: FaceParams) -> List[Blob]:
    wing, tip = p.nose_width, p.y_nose
    return [
        (0.115, wing * 0.80, tip + 0.045, 0.058, 0.06),
        (-0.03, wing * 1.28, tip + 0.05, 0.04, 0.06),
        (0.02, wing * 0.4, tip + 0.13, 0.05, 0.03),
    ]


def _add_nose(head: np.ndarray, p: FaceParams) -> None:
    """Adds the nose's ridge in place: rising from between the eyes to the tip, steep below it."""
    g = grid()
    height, bridge = p.nose_height, p.nose_bridge
    tip, base = p.y_nose, p.y_nose + 0.13
    profile = soft_curve([(-0.24, 0.0), (-0.02, 0.65 * bridge), (0.22, 0.8 * bridge + 0.22 * height),
                          (tip - 0.12, 0.86 * height), (tip - 0.01, height), (tip + 0.05, 0.84 * height), (base, 0.06),
                          (base + 0.12, 0)], 1)
    width = soft_curve([(-0.24, 0.15), (-0.02, 0.1), (0.25, 0.125), (tip - 0.12, 0.03 + p.nose_tip_width),
                        (tip + 0.03, 0.03 + p.nose_tip_width), (base, 0.12)], 2)
    rows, cols = span(g.y, -0.35, base + 0.25), span(g.x, -0.6, 0.6)
    ratio = np.square(g.x[None, cols] / width[rows, None])
    head[rows, cols] += profile[rows, None] * np.exp(-0.5 * ratio)


def _add_ears(head: np.ndarray, p: FaceParams) -> None:
    """Adds, in place, two shells that stand out behind the cheeks, hollow in the middle."""
    g = grid()
    rows = span(g.y, -0.3, 0.72)
    upright = (g.y[rows, None] - 0.22) / 0.34
    for cols in (span(g.theta, -2.0, -1.4), span(g.theta, 1.4, 2.0)):
        tilt = np.abs(g.theta[None, cols]) - 1.68 - 0.05 * upright
        distance = np.sqrt(np.square(tilt / 0.17) + np.square(upright))
        shell = smoothstep(1.15, 0.75, distance) * (0.35 + 0.65 * smoothstep(-0.16, 0.12, tilt))
        head[rows, cols] += p.ear * shell * (1 - 0.35 * smoothstep(0.75, 0.2, distance))
