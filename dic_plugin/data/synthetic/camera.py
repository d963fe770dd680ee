"""Pose, projection, and where each pixel's ray meets the head."""
from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

from .landmarks import jaw_paths, landmark_points
from .params import FaceParams
from .shape import STEP_U, STEP_Y, U_MAX, Y_MIN

NEAREST, FARTHEST = 1.75, -0.8  # camera depths between which the head is looked for
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
    shift = np.array([p.shift_x, p.shift_y]) * np.clip(room, 0, 0.06 * size) - [0, 0.02 * size]
    camera.offset = ((size - 1) / 2 + shift - camera.scale * (low + high) / 2).astype(np.float32)
    return camera, (points * camera.scale + camera.offset).astype(np.float32)


@dataclass
class Hit:
    """Per pixel: the surface point in the head's frame, its grid cell, camera depth, and coverage 0..1."""
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    col: np.ndarray
    row: np.ndarray
    depth: np.ndarray
    cover: np.ndarray


def rays(camera: Camera, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Rays start + Z * slope in the head's frame, Z the camera's depth axis: two arrays (3, size, size)."""
    centre = (np.arange(size, dtype=np.float32) + 0.5) * (camera.size / size) - 0.5
    xs = np.broadcast_to((centre - camera.offset[0]) / camera.scale, (size, size))
    ys = np.broadcast_to(((centre - camera.offset[1]) / camera.scale)[:, None], (size, size))
    flat = np.stack([xs.ravel(), ys.ravel()])
    plane = camera.turn.T[:, :2] @ flat
    start = (plane + PIVOT[:, None]).reshape(3, size, size)
    slope = (camera.turn.T[:, 2:] - plane / camera.distance).reshape(3, size, size)
    return start.astype(np.float32), slope.astype(np.float32)


def _gap(surface: np.ndarray, start: np.ndarray, slope: np.ndarray, depth: np.ndarray) -> Tuple[np.ndarray, ...]:
    """Distance from the axis minus the surface's radius at each ray's current depth, and where in head and grid that is."""
    x = start[0] + depth * slope[0]
    y = start[1] + depth * slope[1]
    z = start[2] + depth * slope[2]
    rho = np.sqrt(x * x + z * z)
    u = x / np.sqrt(2 * rho * (rho + z) + np.float32(1e-6))
    col = (u + U_MAX) * np.float32(1 / STEP_U)
    row = (y - Y_MIN) * np.float32(1 / STEP_Y)
    gap = rho - cv2.remap(surface, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return gap, x, y, z, col, row


def _march(surface: np.ndarray, start: np.ndarray, slope: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Depth of each ray's first meeting with the surface, or of its nearest passage, and the gap left there."""
    shape = start.shape[1:]
    front = np.full(shape, NEAREST, np.float32)
    behind = np.full(shape, FARTHEST, np.float32)
    inside = np.zeros(shape, bool)
    best, best_gap = front, np.full(shape, 9, np.float32)
    depth = front
    for _ in range(18):
        gap = _gap(surface, start, slope, depth)[0]
        nearer = gap < best_gap
        best = np.where(nearer & ~inside, depth, best)
        best_gap = np.where(nearer & ~inside, gap, best_gap)
        first = (gap < 0) & ~inside
        behind = np.where(first, depth, behind)
        inside |= first
        front = np.where(inside, front, depth)
        depth = np.maximum(depth - np.clip(0.7 * gap, 0.05, 0.4), FARTHEST)
    for _ in range(5):
        middle = 0.5 * (front + behind)
        outside = _gap(surface, start, slope, middle)[0] > 0
        front = np.where(outside, middle, front)
        behind = np.where(outside, behind, middle)
    return np.where(inside, front, best), np.where(inside, 0, best_gap)


def _refine(surface: np.ndarray, start: np.ndarray, slope: np.ndarray, depth: np.ndarray,
            rounds: int) -> Tuple[np.ndarray, Tuple[np.ndarray, ...], np.ndarray]:
    """Secant steps from `depth` towards the surface: the last depth, what _gap says there, the smallest gap met."""
    state = _gap(surface, start, slope, depth)
    least = np.abs(state[0])
    step = np.clip(0.7 * state[0], -0.1, 0.2)
    for _ in range(rounds):
        depth = depth - step
        new = _gap(surface, start, slope, depth)
        least = np.minimum(least, np.abs(new[0]))
        fall = state[0] - new[0]
        steep = np.clip(fall / np.where(np.abs(step) > 1e-4, step, 1), 0.5, 6)
        step = np.clip(new[0] / steep, -0.1, 0.2)
        state = new
    return depth, state, least


def trace(surface: np.ndarray, camera: Camera) -> Hit:
    """Finds the first meeting of each pixel's ray with the surface: marched at half size, then refined at full size.

    Where a near part (nose, chin, hair) borders on a far one, the refinement tries the near depth first and falls back
    on the far one.
    """
    size = camera.size
    coarse, coarse_gap = _march(surface, *rays(camera, (size + 1) // 2))
    kernel = np.ones((3, 3), np.uint8)
    near = cv2.resize(cv2.dilate(coarse, kernel), (size, size))
    start, slope = rays(camera, size)
    depth, state, gap = _refine(surface, start, slope, near, 3)
    lost = np.nonzero(np.abs(state[0]) > 0.7 * camera.pixel)
    if len(lost[0]):
        far = cv2.resize(cv2.erode(coarse, kernel), (size, size))[lost][None]
        again = _refine(surface, start[:, lost[0], lost[1]][:, None], slope[:, lost[0], lost[1]][:, None], far, 3)
        depth[lost] = again[0][0]
        for whole, part in zip(state, again[1]):
            whole[lost] = part[0]
        gap[lost] = np.minimum(gap[lost], again[2][0])
    missed = smooth_edge(cv2.resize(cv2.dilate(coarse_gap, kernel), (size, size)) * (0.5 * camera.scale))
    cover = 1 - smooth_edge(gap * (0.7 * camera.scale)) * missed
    return Hit(*state[1:], depth, cover)


def smooth_edge(t: np.ndarray) -> np.ndarray:
    """0 up to t = 0, 1 from t = 1, a cubic between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
