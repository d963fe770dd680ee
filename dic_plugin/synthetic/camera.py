"""Pose, projection, and where each pixel's ray meets the head."""
from typing import NamedTuple, Tuple

import cv2
import numpy as np

from .landmarks import jaw_paths, landmark_points
from .params import FaceParams
from .surface import STEP_U, STEP_Y, U_MAX, Y_MIN

NEAREST, FARTHEST = 1.75, -0.8  # camera depths between which the head is looked for
# constants of _gap
TINY, PER_U, MIDDLE_COL = (np.float32(v) for v in (1e-9, 1 / (np.sqrt(2) * STEP_U), U_MAX / STEP_U))
PIVOT = np.array([0, 0.35, 0.1], np.float32)
Rays = Tuple[np.ndarray, np.ndarray]  # start + depth * slope, two arrays (3, height, width)


class Camera(NamedTuple):
    """Perspective camera: pixel = scale * (X, Y) / (1 - Z / distance) + offset, (X, Y, Z) turned by `turn`."""
    turn: np.ndarray  # matrix (3, 3) from the head's to the camera's axes
    distance: float
    size: int  # of the image, in pixels
    scale: float = 1.0
    offset: np.ndarray = np.zeros(2, np.float32)

    @property
    def pixel(self) -> float:
        """Width of a pixel in head units."""
        return 1 / self.scale

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the pixels (..., 2) of points (..., 3) in the head's axes."""
        cam = (points - PIVOT) @ self.turn.T
        return cam[..., :2] / (1 - cam[..., 2:] / self.distance) * self.scale + self.offset

    def rays(self, size: int) -> Rays:
        """Return the rays of size x size pixels that cover the image, in the head's axes; depth is the camera's."""
        centre = (np.arange(size, dtype=np.float32) + 0.5) * (self.size / size) - 0.5
        xs = (centre - self.offset[0]) / self.scale
        ys = ((centre - self.offset[1]) / self.scale)[:, None]
        right, down, forward = self.turn[..., None, None]
        plane = right * xs + down * ys
        return plane + PIVOT[:, None, None], forward - plane * (1 / self.distance)


def place_camera(p: FaceParams, skin: np.ndarray, size: int) -> Tuple[Camera, np.ndarray]:
    """Return the camera that frames the face as p asks, and the 68 landmarks in its image, (68, 2) float32."""

    def posed(roll: float) -> Camera:
        (cy, cp, cr), (sy, sp, sr) = np.cos([p.yaw, p.pitch, roll]), np.sin([p.yaw, p.pitch, roll])
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return Camera((tilt @ pitch @ yaw).astype(np.float32), p.distance, size)

    paths, jaw = jaw_paths(p, skin), np.arange(17)
    outermost = np.argmax(posed(0).project(paths)[..., 0] * np.sign(jaw - 8)[:, None], axis=1)
    camera = posed(p.roll)
    points = camera.project(np.concatenate([paths[jaw, outermost], landmark_points(p, skin)]))
    low, high = points.min(0), points.max(0)
    scale = p.fill * size / float((high - low).max())
    room = 0.5 * (size - 1 - scale * (high - low)) - 0.035 * size
    shift = p.shift * np.clip(room, 0, 0.06 * size) + [0, 0.03 * size]
    offset = ((size - 1) / 2 + shift - scale * (low + high) / 2).astype(np.float32)
    return camera._replace(scale=scale, offset=offset), (points * scale + offset).astype(np.float32)


class Hit(NamedTuple):
    """Per pixel: the surface point in the head's axes, its grid cell, camera depth, and pixels beyond the outline."""
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    col: np.ndarray
    row: np.ndarray
    depth: np.ndarray
    outline: np.ndarray


def _grid_rays(camera: Camera, size: int) -> Rays:
    """Return the camera's rays with y counted in rows of the surface's grid."""
    start, slope = camera.rays(size)
    start[1] = (start[1] - Y_MIN) * (1 / STEP_Y)
    slope[1] *= 1 / STEP_Y
    return start, slope


def _gap(surface: np.ndarray, rays: Rays, depth: np.ndarray) -> Tuple[np.ndarray, ...]:
    """Return the distance from the axis minus the surface's radius at each ray's depth, and x, row, z, col there."""
    x, row, z = rays[0] + depth * rays[1]
    radius = np.sqrt(x * x + z * z)
    col = x / np.sqrt(
        (radius + z) * radius + TINY) * PER_U + MIDDLE_COL  # u = x / sqrt(2 radius (radius + z)), in cells
    surface_radius = cv2.remap(surface, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return radius - surface_radius, x, row, z, col


def _march(surface: np.ndarray, rays: Rays) -> Tuple[np.ndarray, np.ndarray]:
    """Return the depth of each ray's first meeting with the surface (FARTHEST if none) and the least gap on its way.

    The least gap is signed, negative for rays that enter the head: its zero line is the head's outline.
    """
    start, slope = rays
    across = np.square((start[0] - PIVOT[0]) / (slope[0] * slope[0] + slope[2] * slope[2]))
    depth = np.maximum(NEAREST - 0.7 * np.minimum(across, 2), 0)
    front, behind = depth.copy(), depth.copy()
    outside = np.ones(depth.shape, bool)
    least = np.full(depth.shape, 9, np.float32)
    for _ in range(22):
        gap = _gap(surface, rays, depth)[0]
        np.minimum(least, gap, out=least)
        np.copyto(behind, depth, where=outside)
        outside &= gap > 0
        np.copyto(front, depth, where=outside)
        depth = depth - np.minimum(np.maximum(gap, 0.07), 0.6)
    for _ in range(4):
        middle = 0.5 * (front + behind)
        before = _gap(surface, rays, middle)[0] > 0
        np.copyto(front, middle, where=before)
        np.copyto(behind, middle, where=~before)
    front[outside] = FARTHEST
    return front, least


def _refine(surface: np.ndarray, rays: Rays, depth: np.ndarray, rounds: int) -> Tuple[np.ndarray, ...]:
    """Return the depth after secant steps from `depth` towards the surface, and the results of _gap there."""
    state = _gap(surface, rays, depth)
    step = np.clip(0.8 * state[0], -0.1, 0.2)
    for _ in range(rounds):
        depth = depth - step
        new = _gap(surface, rays, depth)
        steep = np.clip((state[0] - new[0]) * step / (step * step + np.float32(1e-8)), 0.4, 6)
        step = np.clip(new[0] / steep, -0.1, 0.2)
        state = new
    return (depth, *state)


def trace(surface: np.ndarray, camera: Camera) -> Hit:
    """Find the first meeting of each pixel's ray with the surface: marched on a coarse raster, then refined.

    Where a near part (nose, chin, hair) borders on a far one, the refinement tries the near depth first, then the
    middle one, then the far one.
    """
    wide = (camera.size, camera.size)
    coarse, least = _march(surface, _grid_rays(camera, camera.size * 11 // 32))
    kernel = np.ones((3, 3), np.uint8)
    rays = _grid_rays(camera, camera.size)
    state = _refine(surface, rays, cv2.resize(cv2.dilate(coarse, kernel), wide), 2)
    outline = cv2.resize(least, wide, interpolation=cv2.INTER_CUBIC)
    for other, mode in ((coarse, cv2.INTER_NEAREST), (cv2.erode(coarse, kernel), cv2.INTER_LINEAR)):
        lost = np.flatnonzero((np.abs(state[1]) > 0.6 * camera.pixel) & (outline < camera.pixel))
        if not len(lost):
            break
        guess = cv2.resize(other, wide, interpolation=mode).ravel()[lost, None]
        start, slope = (ray.reshape(3, -1, 1)[:, lost] for ray in rays)
        again = _refine(surface, (start, slope), guess, 3)
        better = np.flatnonzero(np.abs(again[1][:, 0]) < np.abs(state[1].ravel()[lost]))
        for whole, part in zip(state, again):
            whole.ravel()[lost[better]] = part[better, 0]
    steep_x, steep_y = (cv2.Sobel(outline, cv2.CV_32F, *axis, ksize=3, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    steep = np.sqrt(steep_x * steep_x + steep_y * steep_y) + 0.1 * camera.pixel
    depth, _, x, row, z, col = state
    return Hit(x, row * STEP_Y + Y_MIN, z, col, row, depth, outline / steep)
