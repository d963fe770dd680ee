"""The surface of head, neck and hair: a radius r(theta, y) around the vertical axis.

theta = 0 is the nose, y points down. The surface is kept on a regular grid (NUM_Y, NUM_U) over y and
u = sin(theta / 2), finer in front than behind. See params.py for the units.
"""
from typing import List, Sequence, Tuple

import cv2
import numpy as np

from .params import EAR_COVERING, FaceParams
from .texture import SIDE, STRAND

Knots = Sequence[Tuple[float, float]]
Blob = Tuple[float, float, float, float, float]  # height, x, y, sigma_x, sigma_y

NUM_U, NUM_Y = 132, 128
U_MAX, Y_MIN, Y_MAX = 0.88, -1.75, 2.55
STEP_U, STEP_Y = 2 * U_MAX / (NUM_U - 1), (Y_MAX - Y_MIN) / (NUM_Y - 1)
_theta = 2 * np.arcsin(np.linspace(-U_MAX, U_MAX, NUM_U))
_x = np.sin(_theta) / np.sqrt(np.sin(_theta)**2 + (np.cos(_theta) / 1.25)**2)
_x = np.where(np.abs(_theta) > np.pi / 2, np.sign(_x) * (2 - np.abs(_x)), _x)
# coordinates of the grid's columns; X is that of an average face, continued monotonically behind the ears
THETA, SIN, COS, X = (a.astype(np.float32) for a in (_theta, np.sin(_theta), np.cos(_theta), _x))
THETA_SCALE = (0.5 * np.cos(_theta / 2)).astype(np.float32)  # du / dtheta
Y = np.linspace(Y_MIN, Y_MAX, NUM_Y).astype(np.float32)  # of the rows
HAIR_THICKNESS = {'crop': 0.05, 'receding': 0.06, 'bun': 0.07, 'curly': 0.24}


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Return 0 where x is below low, 1 above high, and a cubic between."""
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def span(axis: np.ndarray, low: float, high: float) -> slice:
    """Return the part of an ascending axis of the grid between low and high."""
    return slice(*(int(i) for i in np.searchsorted(axis, (low, high))))


def rounded(x: np.ndarray, knots: Knots, radius: int) -> np.ndarray:
    """Return a line through the knots at x, smoothed twice by a running mean; 2 radius values fewer at either end."""
    box = np.full(2 * radius + 1, 1 / (2 * radius + 1))
    return np.convolve(np.interp(x, *np.array(knots).T), np.convolve(box, box), mode='valid').astype(np.float32)


def soft_curve(knots: Knots, radius: int = 3) -> np.ndarray:
    """Return a smooth curve close to the knots (y, value), at the grid's rows."""
    return rounded(Y_MIN + STEP_Y * np.arange(-2 * radius, NUM_Y + 2 * radius), knots, radius)


def blobs(rows: Sequence[Blob], step: int = 1) -> np.ndarray:
    """Return a sum of Gaussians on every step-th cell of the grid; those off x = 0 are mirrored."""
    spec = np.array(rows, np.float32)
    mirrored = spec[spec[:, 1] != 0] * np.array([1, -1, 1, 1, 1], np.float32)
    height, x, y, sx, sy = np.concatenate([spec, mirrored])[..., None].transpose(1, 0, 2)
    return (height * np.exp(-0.5 * np.square((Y[::step] - y) / sy))).T @ np.exp(-0.5 * np.square((X[::step] - x) / sx))


def radius_at(surface: np.ndarray, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the radius at angles and heights, two vectors."""
    cells = np.stack([(np.sin(0.5 * theta) + U_MAX) * (1 / STEP_U), (y - Y_MIN) * (1 / STEP_Y)])[:, None]
    col, row = cells.astype(np.float32)
    return cv2.remap(surface, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]


def lift(surface: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the points (N, 3) of the surface whose front view is (x, y)."""
    theta = np.arcsin(np.clip(x / 1.15, -1, 1))
    for _ in range(3):
        theta = np.arcsin(np.clip(x / radius_at(surface, theta, y), -0.999, 0.999))
    return np.stack([x, y, radius_at(surface, theta, y) * np.cos(theta)], axis=1).astype(np.float32)


def jaw_knots(p: FaceParams) -> List[Tuple[float, float]]:
    """Return the lower edge of the jaw: (abs(theta), y), ascending."""
    drop = p.y_chin - 1.60
    square = 0.06 * p.jaw_square
    return [(0, 1.60 + drop), (0.22, 1.575 + drop), (0.45, 1.48 + 0.9 * drop + square * 0.5),
            (0.7, 1.35 + 0.75 * drop + square), (1.0, 1.17 + 0.55 * drop + square), (1.3, 1.00 + 0.4 * drop + square),
            (1.6, 0.84 + 0.3 * drop), (1.9, 0.75), (2.6, 0.7)]


def skin_surface(p: FaceParams) -> np.ndarray:
    """Return the radius of head and neck without hair, (NUM_Y, NUM_U) float32."""
    top = -1.62
    cap = np.sqrt(np.clip(1 - np.square(np.clip(-0.35 - Y, 0, None) / (-0.35 - top)), 0.0025, 1))
    jaw = p.jaw_width
    half_width = cap * soft_curve([(-1.6, 1.02), (-0.5, 0.985), (0.0, 1.0), (0.4, 0.99), (0.75, 0.93 * jaw),
                                   (1.05, 0.86 * jaw), (1.3, 0.79 * jaw), (1.6, 0.72 * jaw), (2.9, 0.7 * jaw)])
    depth = cap * soft_curve([(-1.6, 1.12), (-1.0, 1.19), (-0.5, 1.24), (-0.25, 1.25), (0.0, 1.19), (0.4, 1.19),
                              (p.y_nose + 0.14, 1.215), (p.y_mouth, 1.225), (p.y_mouth + 0.27, 1.18),
                              (p.y_chin - 0.2, 1.2), (p.y_chin, 1.17), (2.9, 1.0)], 2)
    head = _ellipse_radius(half_width, depth) + blobs(_relief(p))
    _add_nose(head, p)
    edge = rounded(np.pad(np.abs(THETA), 6, mode='edge'), jaw_knots(p), 3)
    rows = span(Y, 0.3, 9)
    below = Y[rows, None] - edge
    head[rows] *= 1 - 0.07 * smoothstep(-0.35, 0.08, below)
    neck_width = np.full(NUM_Y, 0.58 + 0.06 * p.masculine, np.float32)
    neck = _ellipse_radius(neck_width, soft_curve([(1.0, 0.45), (1.6, 0.42), (2.9, 0.66)]))[rows]
    head[rows] += (neck - head[rows]) * smoothstep(-0.05, 0.17, below)
    _add_ears(head, p)
    return head


def _ellipse_radius(half_width: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return the radius of ellipses with these half axes, one for every row of the grid."""
    squares = np.stack([np.square(SIN), np.square(COS)])
    return 1 / np.sqrt(np.stack([1 / np.square(half_width), 1 / np.square(depth)], 1) @ squares)


def _relief(p: FaceParams) -> List[Blob]:
    smile, gap = max(p.smile, 0), p.mouth_gap
    wing, tip, lips, corner = p.nose_width, p.y_nose, p.y_mouth, p.mouth_half_width
    # the nasolabial fold: from the wing of the nose past the corner of the mouth, deeper with age and when smiling
    fold = 0.008 + 0.014 * p.age + 0.025 * smile
    start, end = np.array([wing * 1.3, tip + 0.05]), np.array([corner + 0.1, lips - 0.03])
    points = [start + (end - start) * t + np.array([0.03 * np.sin(np.pi * t), 0]) for t in (0.1, 0.4, 0.7, 1.0)]
    return [
        # brow ridge, eye sockets with the balls in them, temples, cheeks
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
        # lips and chin
        (0.035, 0, lips - 0.02, 0.28, 0.16),
        (-0.02, 0, tip + 0.25, 0.035, 0.06),
        (0.045, 0.1, lips - 0.05, 0.1, 0.04),
        (-0.02, 0, lips + 0.4 * gap, 0.25, 0.02),
        (0.055, 0, lips + 0.07 + 0.7 * gap, 0.15, 0.045),
        (-0.055, 0, lips + 0.21 + 0.8 * gap, 0.2, 0.055),
        (0.06, 0, p.y_chin - 0.2, 0.16, 0.11),
        (-0.035, corner + 0.04, lips, 0.045, 0.06),
        (0.02, corner + 0.12, lips + 0.05, 0.06, 0.12),
        *((-fold, x, y, 0.04, 0.075) for x, y in points),
        # wings of the nose
        (0.115, wing * 0.80, tip + 0.045, 0.058, 0.06),
        (-0.03, wing * 1.28, tip + 0.05, 0.04, 0.06),
        (0.02, wing * 0.4, tip + 0.13, 0.05, 0.03),
    ]


def _add_nose(head: np.ndarray, p: FaceParams) -> None:
    """Add the nose's ridge in place: it rises from between the eyes to the tip and ends steeply below it."""
    height, bridge, tip, base = p.nose_height, p.nose_bridge, p.y_nose, p.y_nose + 0.13
    profile = soft_curve([(-0.24, 0.0), (-0.02, 0.65 * bridge), (0.22, 0.8 * bridge + 0.22 * height),
                          (tip - 0.12, 0.86 * height), (tip - 0.01, height), (tip + 0.05, 0.84 * height), (base, 0.06),
                          (base + 0.12, 0)], 1)
    width = soft_curve([(-0.24, 0.15), (-0.02, 0.1), (0.25, 0.125), (tip - 0.12, 0.03 + p.nose_tip_width),
                        (tip + 0.03, 0.03 + p.nose_tip_width), (base, 0.12)], 2)
    rows, cols = span(Y, -0.35, base + 0.25), span(X, -0.6, 0.6)
    head[rows, cols] += profile[rows, None] * np.exp(-0.5 * np.square(X[cols] / width[rows, None]))


def _add_ears(head: np.ndarray, p: FaceParams) -> None:
    """Add in place two shells that stand out behind the cheeks, hollow in the middle."""
    rows = span(Y, -0.3, 0.72)
    upright = (Y[rows, None] - 0.22) / 0.34
    for cols in (span(THETA, -2.0, -1.4), span(THETA, 1.4, 2.0)):
        tilt = np.abs(THETA[cols]) - 1.68 - 0.05 * upright
        distance = np.sqrt(np.square(tilt / 0.17) + np.square(upright))
        shell = smoothstep(1.15, 0.75, distance) * (0.35 + 0.65 * smoothstep(-0.16, 0.12, tilt))
        head[rows, cols] += p.ear * shell * (1 - 0.35 * smoothstep(0.75, 0.2, distance))


def _hair_sides(p: FaceParams) -> Knots:
    """Return the lower edge of the hair from the temple backwards: (abs(theta), y)."""
    reach = 0.9 + 0.3 * p.hair_frame  # how far forward long hair hangs beside the face
    if p.hair_style in ('long', 'long_fringe'):
        return [(reach, -0.2), (reach + 0.12, 0.7), (reach + 0.22, 1.6), (reach + 0.3, 2.9), (2.3, 2.9)]
    if p.hair_style == 'bob':
        return [(reach, -0.2), (reach + 0.12, 0.7), (reach + 0.22, 1.4), (2.3, 1.5)]
    if p.hair_style in ('crop', 'receding'):
        return [(1.08, -0.1), (1.2, 0.12), (1.38, 0.1), (1.48, -0.25), (1.85, -0.25), (2.0, 0.6), (2.3, 1.0)]
    return [(1.05, -0.1), (1.18, 0.25), (1.38, 0.3), (1.48, -0.18), (1.85, -0.2), (1.98, 0.8), (2.3, 1.2)]


def _hair_front(p: FaceParams, theta: np.ndarray) -> np.ndarray:
    """Return the lower edge y of the hair at signed angles between the temples."""
    side = np.abs(theta)
    natural = p.hairline + np.interp(side, (0, 0.35, 0.6, 0.75, 0.9, 1.0), (0, 0.01, 0.06, 0.2, 0.45, 0.66))
    if p.hair_style in ('fringe', 'long_fringe'):
        return np.maximum(natural, -0.42 + 0.12 * side + 0.05 * np.sin(5 * theta + 9 * p.hair_part))
    if p.hair_style == 'swept':
        low = -0.42 - 0.5 * np.exp(-np.square((theta - p.hair_part) / 0.28)) - 0.16 * np.clip(side - 0.3, 0, None)
        return np.maximum(natural, low)
    if p.hair_style == 'receding':
        return natural - 0.3 * np.exp(-np.square((side - 0.5) / 0.3)) - 0.15
    if p.hair_style in ('long', 'bob'):
        return np.maximum(natural, -0.9 + 1.15 * np.clip(np.abs(theta - 0.4 * p.hair_part) - 0.45, 0, None))
    return natural


def hair_layer(p: FaceParams, skin: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return the hair's thickness, to be added to the skin's radius, and cover 0 to 1, both (NUM_Y, NUM_U) float32."""
    if p.hair_style == 'bald':
        return np.zeros_like(skin), np.zeros_like(skin)
    outer = np.array(_hair_sides(p))
    theta = np.linspace(-0.98, 0.98, 29)
    theta = theta[np.abs(theta) < outer[0, 0]]
    xs = np.concatenate([-outer[::-1, 0], theta, outer[:, 0]])
    ys = np.concatenate([outer[::-1, 1], _hair_front(p, theta), outer[:, 1]])
    ragged = (0.05 if 'fringe' in p.hair_style else 0.03) * STRAND[int(p.hair_part * 100) % SIDE, :NUM_U]
    line = np.convolve(np.pad(np.interp(THETA, xs, ys) + ragged, 2, mode='edge'), np.full(5, 1 / 5), mode='valid')
    above = line.astype(np.float32) - Y[:, None]
    across = np.abs(THETA)
    thick = HAIR_THICKNESS.get(p.hair_style, 0.12) * p.hair_volume
    upright = p.hair_style in ('curly', 'short', 'bun')
    body = np.sqrt(np.clip(above / (0.10 + 0.25 * upright * smoothstep(1.2, 0.7, across)), 0, 1)) * thick
    if p.hair_style in EAR_COVERING:
        # hair falls straight past ears, jaw and neck instead of following them
        rows = span(Y, -0.5, 9)
        lower = Y[rows, None]
        fall = 1.02 + 0.08 * p.hair_volume + 0.12 * smoothstep(0.3, 1.8, lower) - skin[rows]
        beside = smoothstep(0.9, 1.35, across) * np.clip(above[rows] / 0.15, 0, 1)
        body[rows] = np.maximum(body[rows], beside * smoothstep(-0.5, 0.1, lower) * fall)
    if p.hair_style == 'curly':
        body *= 1 + 0.16 * cv2.resize(STRAND[:32, 32:64], (NUM_U, NUM_Y), interpolation=cv2.INTER_CUBIC)
    # rounded, so that rays that graze its edge meet no cliff
    layer = cv2.GaussianBlur(body.astype(np.float32), (0, 0), 1.8, sigmaY=1.2, borderType=cv2.BORDER_REPLICATE)
    return layer, smoothstep(0.02 * thick, 0.5 * thick, layer)
