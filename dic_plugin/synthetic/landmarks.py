"""Curves of brows, eyelids and lips, which the drawing shares, and the 68 iBUG landmarks."""
from typing import Tuple

import numpy as np

from .params import FaceParams
from .surface import jaw_knots, lift, radius_at


def brow_curve(p: FaceParams, t: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return abs(x) and y of the brow's middle line, for t from 0 (inner end) to 1 (outer end)."""
    x = p.eye_x - 0.27 + 0.54 * t
    y = p.brow_y + 0.03 - p.brow_slant * (t - 0.3) - p.brow_arch * np.sin(np.pi * np.clip(t, 0, 1)**1.3)
    return x, y + 0.06 * np.clip(t - 0.6, 0, None)


def upper_lid(p: FaceParams, e: np.ndarray) -> np.ndarray:
    """Return y of the upper lid's edge for e from -1 (inner corner) to 1 (outer corner), before the slant."""
    e2 = e * e
    return -p.eye_up * (1 - e2) * (1 + 0.45 * e2 - 0.15 * e)


def lower_lid(p: FaceParams, e: np.ndarray) -> np.ndarray:
    """Return y of the lower lid's edge, likewise."""
    e2 = e * e
    return p.eye_low * (1 - e2) * (1 + 0.3 * e2 + 0.2 * e)


def lip_curves(p: FaceParams, m: np.ndarray) -> Tuple[np.ndarray, ...]:
    """Return y of the edges of the lips, from top to bottom, for m = x / mouth_half_width."""
    m2 = m * m
    base = p.y_mouth - 0.10 * p.smile * (m2 - 0.35)
    arc = 1 - m2
    gap = np.clip(arc, 0, None) * p.mouth_gap
    wave = 0.012 * (1 - np.abs(m)) * np.cos(5 * m)
    upper_in = base - 0.25 * gap + wave
    lower_in = base + 0.75 * gap + wave
    bow = 1 - 0.22 * np.exp(-(m / 0.13)**2) + 0.12 * np.exp(-((np.abs(m) - 0.27) / 0.16)**2)
    return upper_in - p.lip_up * arc * bow, upper_in, lower_in, lower_in + p.lip_low * arc * (1 + 0.25 * m2)


def landmark_points(p: FaceParams, surface: np.ndarray) -> np.ndarray:
    """Return the points 17 to 67 on the skin's surface, (51, 3)."""
    brow_x, brow_y = brow_curve(p, np.array([1.0, 0.76, 0.5, 0.24, 0.0]))
    brow_y = brow_y - 0.35 * p.brow_thickness - np.array([0, 0.03, 0.03, 0.025, 0])
    wing, tip = p.nose_width, p.y_nose
    nose_x = np.array([0, 0, 0, 0, -wing * 0.80, -wing * 0.42, 0, wing * 0.42, wing * 0.80])
    nose_y = np.array([0.0, 0.19, 0.39, tip, tip + 0.10, tip + 0.13, tip + 0.145, tip + 0.13, tip + 0.10])
    e = np.array([0.95, 0.36, -0.38, -0.98, -0.38, 0.36])
    eye_y = np.where(np.arange(6) < 3, upper_lid(p, e), lower_lid(p, e)) - p.eye_slant * e * p.eye_half_width
    eye_x = p.eye_x + p.eye_half_width * e
    mirrored = [3, 2, 1, 0, 5, 4]
    outer = np.array([-1, -0.62, -0.25, 0, 0.25, 0.62, 1, 0.6, 0.28, 0, -0.28, -0.6])
    upper_out, _, _, lower_out = lip_curves(p, outer)
    inner = np.array([-0.86, -0.28, 0, 0.28, 0.86, 0.28, 0, -0.28])
    _, upper_in, lower_in, _ = lip_curves(p, inner)
    lips_y = np.where(np.arange(12) < 7, upper_out, lower_out), np.where(np.arange(8) < 5, upper_in, lower_in)
    x = np.concatenate([-brow_x, brow_x[::-1], nose_x, -eye_x, eye_x[mirrored],
                        np.concatenate([outer, inner]) * p.mouth_half_width])  # yapf: disable
    return lift(surface, x, np.concatenate([brow_y, brow_y[::-1], nose_y, eye_y, eye_y[mirrored], *lips_y]))


def jaw_paths(p: FaceParams, surface: np.ndarray) -> np.ndarray:
    """Return, for each of the jaw's points 0 to 16, the curve on which the visible contour may lie, (17, 20, 3).

    A curve begins at the anatomical point, in front of the ear or on the edge of the jaw, and runs to the front at the
    same height. Where the head hides its beginning, the contour runs through the curve's outermost point.
    """
    angle = np.array([1.42, 1.40, 1.36, 1.28, 1.06, 0.80, 0.53, 0.27])
    height = np.full(8, -0.03)
    height[4:] = np.interp(angle[4:], *np.array(jaw_knots(p)).T) - np.array([0.10, 0.06, 0.03, 0.0])
    height[1:4] += (height[4] - height[0]) * np.array([0.25, 0.5, 0.75])
    theta = np.concatenate([-angle, [0], angle[::-1]])[:, None] * np.linspace(1, 0.12, 20)
    y = np.repeat(np.concatenate([height, [p.y_chin - 0.02], height[::-1]])[:, None], 20, axis=1)
    radius = radius_at(surface, theta.ravel(), y.ravel()).reshape(theta.shape)
    return np.stack([radius * np.sin(theta), y, radius * np.cos(theta)], axis=2)
