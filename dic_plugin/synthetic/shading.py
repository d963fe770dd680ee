"""The head under light: materials read off the grid, shadows, skin and hair."""
from typing import Tuple

import cv2
import numpy as np

from . import features
from .camera import Camera, Hit
from .features import planes
from .hair import strands
from .noise import SIDE, cloud_texture, grain_texture, lookup
from .params import FaceParams
from .scene import Light
from .shape import STEP_U, STEP_Y, blobs, grid, smoothstep

TINT_STEP = 2


def shade_head(rng: np.random.Generator, p: FaceParams, light: Light, camera: Camera, hit: Hit, surface: np.ndarray,
               hair_cover: np.ndarray, landmarks: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The lit head with hair and neck as linear RGB (3, H, W), and its cover 0..1 (H, W)."""
    slope_t, slope_y, openness, hair = _fetch(_relief_maps(surface, hair_cover), hit)
    flush, dark, bearded = _fetch(_tint_maps(rng, p), hit, 1 / TINT_STEP)
    inverse = 1 / (np.sqrt(hit.x * hit.x + hit.z * hit.z) + 1e-4)
    sin, cos = hit.x * inverse, hit.z * inverse
    to_light, to_half, to_top, to_eye = np.float32([light.direction, light.half, (0, -1, 0), (0, 0, 1)]) @ camera.turn
    # strands seen at a grazing angle are finer than pixels: fade them out
    lock = strands(p, hit.col, hit.row) * np.clip(1.7 * (sin * to_eye[0] + cos * to_eye[2]), 0.1, 1)
    if p.hair_style != 'bald':
        hair = smoothstep(0.15, 0.85, hair + (0.05 + 1.2 * hair * (1 - hair)) * 0.4 * lock)
    albedo = _skin_albedo(rng, p, hit, flush, dark, bearded)
    gloss = np.zeros_like(hit.x)
    _paint(albedo, gloss, p, camera, hit, landmarks, light)

    # normals
    turn = slope_t * inverse
    if p.hair_style != 'bald':
        turn += 0.22 * hair * lock
    normal = np.stack([sin - turn * cos, -slope_y, cos + turn * sin])
    normal *= 1 / np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
    facing, shine, up, toward = (
        n[0] * normal[0] + n[1] * normal[1] + n[2] * normal[2] for n in (to_light, to_half, to_top, to_eye))
    depth = np.where(hit.outline < 0.5, hit.depth, np.float32(-0.9))
    sun = _shadow(depth, light.direction, camera)

    # skin: the edge of shadow is soft and reddish, as light spreads under the skin
    wrap = np.array([0.34, 0.20, 0.15], np.float32)
    bleed = planes(np.array([0.16, 0.06, 0.04], np.float32))
    key = planes(light.key)
    diffuse = np.maximum((facing + planes(wrap)) * planes(1 / (1 + wrap)), 0)
    diffuse *= bleed + sun * (1 - bleed)
    diffuse *= key
    ambient = planes(0.5 * (light.ground + light.sky)) + planes(0.5 * (light.sky - light.ground)) * up
    ambient *= openness
    shine4 = np.square(np.square(np.clip(shine, 0, 1)))
    shine8 = np.square(shine4)
    lit = sun * openness
    specular = (0.10 * p.shine * shine8 * shine8 * shine4 + 0.05 * shine4) * lit
    grazing = np.clip(1 - toward, 0, 1)
    out = albedo * (diffuse + ambient)
    out += key * (0.9 * specular + 0.6 * gloss)
    out += planes(light.sky) * (np.square(grazing * openness) * grazing * (0.025 + 0.025 * up) + 0.6 * gloss)

    if p.hair_style != 'bald':  # darker between the locks, a band of gloss across them
        body = np.clip(0.85 + 0.42 * lock, 0.15, 2.2)
        soft = np.maximum((facing + 0.3) * (1 / 1.3), 0) * (0.35 + 0.65 * sun)
        band = 0.6 * shine8 * np.clip(0.6 + 0.5 * lock, 0, 2) * sun
        strand = planes(p.hair * light.key) * (body * soft) + planes(p.hair) * (ambient * body)
        strand += planes((0.09 + 0.3 * p.hair) * light.key) * band
        features.blend(out, hair, strand)
    # where near hides far (chin and neck, hair and cheek) one ray a pixel leaves stairs: smooth them
    step = np.clip(40 * np.abs(depth - cv2.blur(depth, (3, 3))) - 1.5, 0, 0.9)
    features.blend(out, step, cv2.blur(cv2.merge(out), (3, 3)).transpose(2, 0, 1).copy())
    dip = p.collar_dip * np.square(np.clip(1.25 - 2.2 * np.abs(hit.x), 0, 1))
    collar = smoothstep(0.03, -0.03, hit.y - dip - p.collar)
    return out, np.clip(0.5 - hit.outline - 0.45 * hair * lock, 0, 1) * np.maximum(collar, hair)


def _fetch(maps: np.ndarray, hit: Hit, scale: float = 1.0) -> np.ndarray:
    """Channels of a map (H, W, C) on the grid, or on every (1 / scale)-th cell of it, at every pixel: (C, H, W)."""
    col, row = (hit.col, hit.row) if scale == 1 else (hit.col * scale, hit.row * scale)
    seen = cv2.remap(maps, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.transpose(2, 0, 1).copy()


def _relief_maps(surface: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Per grid cell: dr/dtheta, dr/dy, openness to ambient light, hair cover: (NUM_Y, NUM_U, 4)."""
    slope_t = cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3, scale=1 / (8 * STEP_U)) * grid().theta_scale
    slope_y = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3, scale=1 / (8 * STEP_Y))
    broad = cv2.blur(cv2.blur(surface, (9, 9)), (9, 9))
    fine = cv2.blur(surface, (5, 5))
    hollow = np.clip(broad - surface, -0.02, 0.2)
    openness = np.clip(1 - 3.4 * hollow - 5 * np.clip(fine - surface, -0.02, 0.1), 0.25, 1.15)
    return cv2.merge([slope_t, slope_y, openness, hair])


def _tint_maps(rng: np.random.Generator, p: FaceParams) -> np.ndarray:
    """At every TINT_STEP-th cell of the grid: redness, darkness, beard, (H, W, 3)."""
    rows, cols = len(grid().y[::TINT_STEP]), len(grid().x[::TINT_STEP])
    top, left = (int(v) for v in rng.integers(0, SIDE - max(rows, cols), 2))
    mottle = cloud_texture()[top:top + rows, left:left + cols]
    red = blobs([(0.5, 0.55, 0.42, 0.22, 0.2), (0.55, 0, p.y_nose, 0.13, 0.12), (0.2, 0, p.y_chin - 0.12, 0.2, 0.12),
                 (0.5, 1.1, 0.2, 0.12, 0.3)], TINT_STEP)
    dark = blobs([(0.36, p.eye_x, 0.0, 0.22, 0.095), (0.25, 0.24, 0.03, 0.06, 0.09),
                  (0.10, 0, p.y_mouth + 0.22, 0.2, 0.06)], TINT_STEP)
    beard = _beard(p) if p.beard > 0 else np.zeros_like(red)
    return cv2.merge([p.redness * 0.35 * red + 0.03 * mottle, 0.35 * dark - p.blotches * mottle, beard])


def _beard(p: FaceParams) -> np.ndarray:
    """Density of the beard 0..1: moustache, chin, cheeks, by style."""
    style = 0 if p.beard < 0.5 else p.beard_style
    across, down = np.abs(grid().x[::TINT_STEP]), grid().y[::TINT_STEP, None]
    total = blobs([(0.9, 0.1, p.y_mouth - 0.15, 0.12, 0.055), (0.8, 0.27, p.y_mouth - 0.11, 0.08, 0.07)], TINT_STEP)
    if style < 3:
        total += blobs([(1.1, 0, p.y_chin - 0.12, 0.24, 0.14),
                        (0.8, p.mouth_half_width + 0.05, p.y_mouth + 0.1, 0.08, 0.18)], TINT_STEP)
    if style in (0, 2):
        low = p.y_mouth - 0.12 + 0.10 * np.cos(3 * across) - 0.45 * np.clip(across - 0.6, 0, None)
        total += smoothstep(-0.05, 0.2, down - low[None]) * smoothstep(1.1, 0.95, across)[None]
    return np.clip(total, 0, 1) * smoothstep(2.0, 1.7, down)


def _skin_albedo(rng: np.random.Generator, p: FaceParams, hit: Hit, flush: np.ndarray, dark: np.ndarray,
                 bearded: np.ndarray) -> np.ndarray:
    """Skin colour with mottling, flush, freckles and beard, (3, H, W)."""
    offset = rng.integers(0, SIDE, 4).astype(np.float32)
    grain = lookup(grain_texture(), hit.col * 2.3 + offset[2], hit.row * 2.3 + offset[3])
    albedo = planes(p.skin) * (1 + 0.012 * grain - dark)
    albedo *= 1 - flush * planes(np.array([0.06, 0.45, 0.42], np.float32))
    if p.freckles > 0:
        spots = np.clip(grain - 1.1, 0, 0.8) * np.clip(flush * 5, 0, 1)
        albedo *= 1 - 0.5 * p.freckles * spots * planes(np.array([0.6, 1, 1.2], np.float32))
    if p.beard > 0:
        stubble = bearded * (p.beard if p.beard > 0.5 else 0.8 * p.beard)
        bristle = 1 + 0.2 * lookup(grain_texture(), hit.col * 2.2 + offset[1], hit.row * 1.0 + offset[3])
        features.blend(albedo, np.clip(stubble * bristle, 0, 0.96), planes(p.hair) * (1.1 * bristle))
    return albedo


def _shadow(depth: np.ndarray, direction: np.ndarray, camera: Camera) -> np.ndarray:
    """How much of the key light reaches each pixel, 0..1, by walking over the depth map, halved, towards the light."""
    depth = depth[::2, ::2].copy()
    blocked = np.zeros_like(depth)
    size = len(depth)
    flat = max(float(np.hypot(direction[0], direction[1])), 1e-3)
    rise = float(direction[2]) / flat * 2 * camera.pixel
    for reach in (1, 2, 3, 4.5, 6, 8):
        reach = reach * size / 64
        dx, dy = (int(round(float(direction[i]) / flat * reach)) for i in (0, 1))
        there = depth[max(dy, 0):size + min(dy, 0), max(dx, 0):size + min(dx, 0)]
        here = (slice(max(-dy, 0), size + min(-dy, 0)), slice(max(-dx, 0), size + min(-dx, 0)))
        height = there - depth[here] - (rise * reach + 0.02)
        blocked[here] = np.maximum(blocked[here], height * (9 / (0.4 + 0.12 * reach)))
    blocked = cv2.GaussianBlur(np.minimum(blocked, 1), (0, 0), 0.6 * size / 64)
    return 1 - cv2.resize(blocked, (camera.size, camera.size))


def _paint(albedo: np.ndarray, gloss: np.ndarray, p: FaceParams, camera: Camera, hit: Hit, landmarks: np.ndarray,
           light: Light) -> None:
    """Lays eyes, brows, nostrils and mouth on the skin's albedo, each in the pixels around its landmarks."""
    unit, pixel = camera.scale, camera.pixel
    toward = light.direction @ camera.turn

    def cut(part: slice, margin: float) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        w = features.window(landmarks[part], margin * unit, camera.size)
        return albedo[(slice(None), ) + w], gloss[w], hit.x[w], hit.y[w]

    colour, _, x, y = cut(slice(17, 27), 0.12)
    features.paint_brows(colour, p, np.abs(x), y, pixel)
    colour, shine, x, y = cut(slice(36, 48), 0.14)
    features.paint_eyes(colour, shine, p, x, y, pixel, toward)
    colour, _, x, y = cut(slice(31, 36), 0.1)
    features.paint_nostrils(colour, p, np.abs(x), y)
    colour, shine, x, y = cut(slice(48, 68), 0.1)
    features.paint_mouth(colour, shine, p, x, y, pixel)
