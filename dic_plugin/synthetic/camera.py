"""Pose, projection, and where each pixel's ray meets the head."""
from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

from .landmarks import jaw_paths, landmark_points
from .params import FaceParams
from .shape import STEP_U, STEP_Y, U_MAX, Y_MIN

NEAREST, FARTHEST = 1.75, -0.8  # camera depths between which the head is looked for
# constants of _gap
TINY, PER_U, MIDDLE_COL = (np.float32(v) for v in (1e-9, 1 / (np.sqrt(2) * STEP_U), U_MAX / STEP_U))
PIVOT = np.array([0, 0.35, 0.1], np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Matrix (3, 3) from the head's to the camera's axes: yaw first, then pitch, then roll."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (tilt @ nod @ turn).astype(np.float32)


@dataclass
class Camera:
    """Perspective camera: pixel = scale * (X, Y) / (1 - Z / distance) + offset, (X, Y, Z) turned by `turn`."""
    turn: np.ndarray
    distance: float
    scale: float
    offset: np.ndarray
    size: int

    @property
    def pixel(self) -> float:
        """Width of a pixel in head units."""
        return 1 / self.scale

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of points (..., 3) in the head's frame."""
        cam = (points - PIVOT) @ self.turn.T
        return cam[..., :2] / (1 - cam[..., 2:] / self.distance) * self.scale + self.offset


def place_camera(p: FaceParams, surface: np.ndarray, size: int) -> Tuple[Camera, np.ndarray]:
    """The camera that frames the face as p asks, and the 68 landmarks in its image, (68, 2) float32."""
    camera = Camera(rotation(p.yaw, p.pitch, p.roll), p.distance, 1.0, np.zeros(2, np.float32), size)
    paths = jaw_paths(p, surface)
    upright = Camera(rotation(p.yaw, p.pitch, 0), p.distance, 1.0, np.zeros(2, np.float32), size).project(paths)[..., 0]
    side = np.sign(np.arange(17) - 8)[:, None]
    outermost = np.argmax(upright * side, axis=1)
    contour = paths[np.arange(17), outermost]
    points = camera.project(np.concatenate([contour, landmark_points(p, surface)]))

    low, high = points.min(0), points.max(0)
    extent = float((high - low).max())
    camera.scale = p.fill * size / extent
    room = 0.5 * (size - 1 - camera.scale * (high - low)) - 0.035 * size
    shift = np.array([p.shift_x, p.shift_y]) * np.clip(room, 0, 0.06 * size) + [0, 0.03 * size]
    camera.offset = ((size - 1) / 2 + shift - camera.scale * (low + high) / 2).astype(np.float32)
    return camera, (points * camera.scale + camera.offset).astype(np.float32)


@dataclass
class Hit:
    """Per pixel: the surface point in the head's frame, its grid cell, camera depth, and pixels beyond the outline."""
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    col: np.ndarray
    row: np.ndarray
    depth: np.ndarray
    outline: np.ndarray


def rays(camera: Camera, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Rays start + Z * slope in the head's frame, Z the camera's depth axis: two arrays (3, size, size)."""
    centre = (np.arange(size, dtype=np.float32) + 0.5) * (camera.size / size) - 0.5
    xs = (centre - camera.offset[0]) / camera.scale
    ys = ((centre - camera.offset[1]) / camera.scale)[:, None]
    plane = camera.turn.T[:, 0, None, None] * xs + camera.turn.T[:, 1, None, None] * ys
    return plane + PIVOT[:, None, None], camera.turn.T[:, 2, None, None] - plane * (1 / camera.distance)


def _gap(surface: np.ndarray, start: np.ndarray, slope: np.ndarray, depth: np.ndarray) -> Tuple[np.ndarray, ...]:
    """Distance from the axis minus the surface's radius at each ray's depth, and the place: x, row, z, col.

    The rays' second component is in the grid's rows, see _in_rows.
    """
    x, row, z = start + depth * slope
    rho = x * x
    rho += z * z
    np.sqrt(rho, out=rho)
    # u = x / sqrt(2 rho (rho + z)), in cells
    col = rho + z
    col *= rho
    col += TINY
    np.sqrt(col, out=col)
    np.divide(x, col, out=col)
    col *= PER_U
    col += MIDDLE_COL
    rho -= cv2.remap(surface, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return rho, x, row, z, col


def _in_rows(start: np.ndarray, slope: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The rays with y counted in the grid's rows, changed in place."""
    start[1] = (start[1] - Y_MIN) * (1 / STEP_Y)
    slope[1] *= 1 / STEP_Y
    return start, slope


def _march(surface: np.ndarray, start: np.ndarray, slope: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Depth of each ray's first meeting with the surface (FARTHEST where there is none), and the least gap on its way.

    The least gap is signed, negative for rays that enter the head: its zero line is the head's outline.
    """
    across = np.square((start[0] - PIVOT[0]) / (slope[0] * slope[0] + slope[2] * slope[2]))
    depth = np.maximum(NEAREST - 0.7 * np.minimum(across, 2), 0)
    front, behind = depth.copy(), depth.copy()
    outside = np.ones(depth.shape, bool)
    least = np.full(depth.shape, 9, np.float32)
    for _ in range(22):
        gap = _gap(surface, start, slope, depth)[0]
        np.minimum(least, gap, out=least)
        np.copyto(behind, depth, where=outside)
        outside &= gap > 0
        np.copyto(front, depth, where=outside)
        np.maximum(gap, 0.07, out=gap)
        np.minimum(gap, 0.6, out=gap)
        depth = depth - gap
    for _ in range(4):
        middle = 0.5 * (front + behind)
        before = _gap(surface, start, slope, middle)[0] > 0
        np.copyto(front, middle, where=before)
        np.copyto(behind, middle, where=~before)
    front[outside] = FARTHEST
    return front, least


def _refine(surface: np.ndarray, start: np.ndarray, slope: np.ndarray, depth: np.ndarray,
            rounds: int) -> Tuple[np.ndarray, ...]:
    """Secant steps from `depth` towards the surface: the last depth, and what _gap says there."""
    state = _gap(surface, start, slope, depth)
    step = np.clip(0.8 * state[0], -0.1, 0.2)
    for _ in range(rounds):
        depth = depth - step
        new = _gap(surface, start, slope, depth)
        steep = np.clip((state[0] - new[0]) * step / (step * step + np.float32(1e-8)), 0.4, 6)
        step = np.clip(new[0] / steep, -0.1, 0.2)
        state = new
    return (depth, ) + state


def trace(surface: np.ndarray, camera: Camera) -> Hit:
    """Finds the first meeting of each pixel's ray with the surface: marched on a coarse raster, then refined.

    Where a near part (nose, chin, hair) borders on a far one, the refinement tries the near depth first, then the
    middle one, then the far one.
    """
    wide = (camera.size, camera.size)
    coarse, least = _march(surface, *_in_rows(*rays(camera, camera.size * 11 // 32)))
    kernel = np.ones((3, 3), np.uint8)
    start, slope = _in_rows(*rays(camera, camera.size))
    state = _refine(surface, start, slope, cv2.resize(cv2.dilate(coarse, kernel), wide), 2)
    outline = cv2.resize(least, wide, interpolation=cv2.INTER_CUBIC)
    for other, mode in ((coarse, cv2.INTER_NEAREST), (cv2.erode(coarse, kernel), cv2.INTER_LINEAR)):
        lost = np.flatnonzero((np.abs(state[1]) > 0.6 * camera.pixel) & (outline < camera.pixel))
        if not len(lost):
            break
        guess = cv2.resize(other, wide, interpolation=mode).ravel()[lost, None]
        again = _refine(surface, start.reshape(3, -1, 1)[:, lost], slope.reshape(3, -1, 1)[:, lost], guess, 3)
        better = np.flatnonzero(np.abs(again[1][:, 0]) < np.abs(state[1].ravel()[lost]))
        lost = lost[better]
        for whole, part in zip(state, again):
            whole.ravel()[lost] = part[better, 0]
    steep_x = cv2.Sobel(outline, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    steep_y = cv2.Sobel(outline, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    steep = np.sqrt(steep_x * steep_x + steep_y * steep_y) + 0.1 * camera.pixel
    depth, _, x, row, z, col = state
    return Hit(x, row * STEP_Y + Y_MIN, z, col, row, depth, outline / steep)
