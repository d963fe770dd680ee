"""Curves of brows, eyelids and lips, shared by the drawing and the landmarks, and the 68 iBUG points themselves."""
from typing import Tuple

import numpy as np

from .head import jaw_line
from .params import FaceParams
from .shape import lift, radius_at


def brow_curve(p: FaceParams, t: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Middle line of the brow, |x| and y, for t from 0 (inner end) to 1 (outer end)."""
    x = p.eye_x - 0.27 + 0.54 * t
    y = p.brow_y + 0.03 - p.brow_slant * (t - 0.3) - p.brow_arch * np.sin(np.pi * np.clip(t, 0, 1)**1.3)
    return x, y + 0.06 * np.clip(t - 0.6, 0, None)


def upper_lid(p: FaceParams, e: np.ndarray) -> np.ndarray:
    """y of the upper lid's edge for e from -1 (inner corner) to 1 (outer corner), before the slant."""
    e2 = e * e
    return -p.eye_up * (1 - e2) * (1 + 0.45 * e2 - 0.15 * e)


def lower_lid(p: FaceParams, e: np.ndarray) -> np.ndarray:
    """y of the lower lid's edge, likewise."""
    e2 = e * e
    return p.eye_low * (1 - e2) * (1 + 0.3 * e2 + 0.2 * e)


def lip_curves(p: FaceParams, m: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """y of upper lip's outer and inner edge, lower lip's inner and outer edge, for m = x / mouth_half_width."""
    m2 = m * m
    base = p.y_mouth - 0.10 * p.smile * (m2 - 0.35)
    arc = 1 - m2
    gap = np.clip(arc, 0, None) * p.mouth_gap
    upper_in = base - 0.25 * gap + 0.012 * (1 - np.abs(m)) * np.cos(5 * m)
    lower_in = base + 0.75 * gap + 0.012 * (1 - np.abs(m)) * np.cos(5 * m)
    bow = 1 - 0.22 * np.exp(-(m / 0.13)**2) + 0.12 * np.exp(-((np.abs(m) - 0.27) / 0.16)**2)
    upper_out = upper_in - p.lip_up * arc * bow
    lower_out = lower_in + p.lip_low * arc * (1 + 0.25 * m2)
    return upper_out, upper_in, lower_in, lower_out


def inner_landmarks(p: FaceParams) -> np.ndarray:
    """Front view (x, y) of the points 17 to 67, (51, 2)."""
    points = np.zeros((51, 2))
    x, y = brow_curve(p, np.array([1.0, 0.76, 0.5, 0.24, 0.0]))
    y = y - 0.35 * p.brow_thickness - np.array([0, 0.03, 0.03, 0.025, 0])
    points[0:5] = np.stack([-x, y], 1)
    points[5:10] = np.stack([x, y], 1)[::-1]
    tip = p.y_nose
    points[10:14, 1] = 0.0, 0.19, 0.39, tip
    points[14:19] = [(-p.nose_width * 0.80, tip + 0.10), (-p.nose_width * 0.42, tip + 0.13), (0, tip + 0.145),
                     (p.nose_width * 0.42, tip + 0.13), (p.nose_width * 0.80, tip + 0.10)]
    e = np.array([0.95, 0.36, -0.38, -0.98, -0.38, 0.36])
    eye_y = np.where(np.arange(6) < 3, upper_lid(p, e), lower_lid(p, e)) - p.eye_slant * e * p.eye_half_width
    eye_x = p.eye_x + p.eye_half_width * e
    points[19:25] = np.stack([-eye_x, eye_y], 1)
    points[25:31] = np.stack([eye_x, eye_y], 1)[[3, 2, 1, 0, 5, 4]]
    m = np.array([-1, -0.62, -0.25, 0, 0.25, 0.62, 1, 0.6, 0.28, 0, -0.28, -0.6])
    upper_out, _, _, lower_out = lip_curves(p, m)
    points[31:43] = np.stack([m * p.mouth_half_width, np.where(np.arange(12) < 7, upper_out, lower_out)], 1)
    m = np.array([-0.86, -0.28, 0, 0.28, 0.86, 0.28, 0, -0.28])
    _, upper_in, lower_in, _ = lip_curves(p, m)
    points[43:51] = np.stack([m * p.mouth_half_width, np.where(np.arange(8) < 5, upper_in, lower_in)], 1)
    return points


def jaw_paths(p: FaceParams, surface: np.ndarray) -> np.ndarray:
    """For the jaw's points 0 to 16 the 3-D curves on which the visible contour may lie, (17, 20, 3).

    The first point of each curve is the anatomical one, in front of the ear or on the edge of the jaw; the others lie
    at the same height, further to the front. Where the head is turned so far that the first is hidden, the contour runs
    through the curve's outermost point.
    """
    angle = np.array([1.42, 1.40, 1.36, 1.28, 1.06, 0.80, 0.53, 0.27])
    height = np.full(8, -0.03)
    height[4:] = jaw_line(p, angle[4:]) - np.array([0.10, 0.06, 0.03, 0.0])
    height[1:4] += (height[4] - height[0]) * np.array([0.25, 0.5, 0.75])
    t = np.linspace(1, 0.12, 20)
    theta = np.concatenate([-angle, [0], angle[::-1]])[:, None] * t[None]
    y = np.concatenate([height, [p.y_chin - 0.02], height[::-1]])[:, None] + np.zeros_like(t)[None]
    radius = radius_at(surface, theta.ravel(), y.ravel()).reshape(theta.shape)
    return np.stack([radius * np.sin(theta), y, radius * np.cos(theta)], axis=2)


def landmark_points(p: FaceParams, surface: np.ndarray) -> np.ndarray:
    """Points 17 to 67 in the head's frame, (51, 3), on the given surface (skin_surface)."""
    front = inner_landmarks(p)
    return lift(surface, front[:, 0], front[:, 1])
