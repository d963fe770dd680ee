"""The head under light: materials read off the grid, shadows, skin and hair."""
from typing import Tuple

import cv2
import numpy as np

from .camera import Camera, Hit
from .features import blend, paint_features
from .params import FaceParams, Light, rgb
from .surface import NUM_U, STEP_U, STEP_Y, THETA_SCALE, X, Y, blobs, smoothstep
from .texture import CLOUD, GRAIN, SIDE, STRAND, lookup, window

TINT_STEP = 2
WRAP, BLEED = rgb((0.34, 0.20, 0.15)), rgb((0.16, 0.06, 0.04))  # of light under the skin


def shade_head(rng: np.random.Generator, p: FaceParams, light: Light, camera: Camera, hit: Hit, surface: np.ndarray,
               hair_cover: np.ndarray, landmarks: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return the lit head with hair and neck, linear RGB (3, H, W), and its cover from 0 to 1, (H, W)."""
    slope_t, slope_y, openness, hair = _fetch(_relief_maps(surface, hair_cover), hit.col, hit.row)
    flush, dark, bearded = _fetch(_tint_maps(rng, p), hit.col * (1 / TINT_STEP), hit.row * (1 / TINT_STEP))
    inverse = 1 / (np.sqrt(hit.x * hit.x + hit.z * hit.z) + 1e-4)
    sin, cos = hit.x * inverse, hit.z * inverse
    directions = np.array([light.direction, light.half, (0, -1, 0), (0, 0, 1)], np.float32)
    to_light, to_half, to_top, to_eye = directions @ camera.turn
    # strands seen at a grazing angle are finer than pixels: fade them out
    lock = _strands(p, hit.col, hit.row) * np.clip(1.7 * (sin * to_eye[0] + cos * to_eye[2]), 0.1, 1)
    albedo = _skin_albedo(rng, p, hit, flush, dark, bearded)
    gloss = np.zeros_like(hit.x)
    paint_features(albedo, gloss, p, camera, hit, landmarks, light.direction @ camera.turn)

    turn = slope_t * inverse
    if p.hair_style != 'bald':
        hair = smoothstep(0.15, 0.85, hair + (0.05 + 1.2 * hair * (1 - hair)) * 0.4 * lock)
        turn += 0.22 * hair * lock
    normal = np.stack([sin - turn * cos, -slope_y, cos + turn * sin])
    normal *= 1 / np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
    facing, shine, up, toward = (
        n[0] * normal[0] + n[1] * normal[1] + n[2] * normal[2] for n in (to_light, to_half, to_top, to_eye))
    depth = np.where(hit.outline < 0.5, hit.depth, np.float32(-0.9))
    sun = _shadow(depth, light.direction, camera)

    # skin: the edge of shadow is soft and reddish, as light spreads under the skin
    diffuse = np.maximum((facing + WRAP) * (1 / (1 + WRAP)), 0)
    diffuse *= BLEED + sun * (1 - BLEED)
    diffuse *= light.key
    ambient = 0.5 * (light.ground + light.sky) + 0.5 * (light.sky - light.ground) * up
    ambient *= openness
    shine4 = np.square(np.square(np.clip(shine, 0, 1)))
    shine8 = np.square(shine4)
    specular = (0.10 * p.shine * shine8 * shine8 * shine4 + 0.05 * shine4) * (sun * openness)
    grazing = np.clip(1 - toward, 0, 1)
    out = albedo * (diffuse + ambient)
    out += light.key * (0.9 * specular + 0.6 * gloss)
    out += light.sky * (np.square(grazing * openness) * grazing * (0.025 + 0.025 * up) + 0.6 * gloss)

    if p.hair_style != 'bald':  # darker between the locks, a band of gloss across them
        body = np.clip(0.85 + 0.42 * lock, 0.15, 2.2)
        soft = np.maximum((facing + 0.3) * (1 / 1.3), 0) * (0.35 + 0.65 * sun)
        band = 0.6 * shine8 * np.clip(0.6 + 0.5 * lock, 0, 2) * sun
        strand = p.hair * light.key * (body * soft) + p.hair * (ambient * body)
        strand += (0.09 + 0.3 * p.hair) * light.key * band
        blend(out, hair, strand)
    # where near hides far (chin and neck, hair and cheek) one ray a pixel leaves stairs: smooth them
    step = np.clip(40 * np.abs(depth - cv2.blur(depth, (3, 3))) - 1.5, 0, 0.9)
    blend(out, step, cv2.blur(cv2.merge(out), (3, 3)).transpose(2, 0, 1).copy())
    dip = p.collar_dip * np.square(np.clip(1.25 - 2.2 * np.abs(hit.x), 0, 1))
    collar = smoothstep(0.03, -0.03, hit.y - dip - p.collar)
    return out, np.clip(0.5 - hit.outline - 0.45 * hair * lock, 0, 1) * np.maximum(collar, hair)


def _strands(p: FaceParams, col: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return noise of the hair's strands at cells of the grid, about unit variance."""
    if p.hair_style == 'curly':
        curls = lookup(GRAIN, 1.3 * col + 100 * p.hair_part, 1.3 * row)
        return 0.7 * curls + 0.7 * lookup(CLOUD, 4.0 * col, 4.0 * row + 100 * p.hair_part)
    wave = 4 * np.sin(row * 0.11 + 20 * p.hair_part)
    lean = (col - NUM_U / 2) * (0.9 - 0.004 * row)
    return lookup(STRAND, 2.6 * lean + wave + 100 * p.hair_part, 0.8 * row)


def _fetch(maps: np.ndarray, col: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the channels of a map (rows, columns, C) at every pixel, (C, H, W)."""
    seen = cv2.remap(maps, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.transpose(2, 0, 1).copy()


def _relief_maps(surface: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Return dr/dtheta, dr/dy, openness to ambient light and hair cover, (NUM_Y, NUM_U, 4)."""
    slope_t = cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3, scale=1 / (8 * STEP_U)) * THETA_SCALE
    slope_y = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3, scale=1 / (8 * STEP_Y))
    hollow = np.clip(cv2.blur(cv2.blur(surface, (9, 9)), (9, 9)) - surface, -0.02, 0.2)
    crease = np.clip(cv2.blur(surface, (5, 5)) - surface, -0.02, 0.1)
    return cv2.merge([slope_t, slope_y, np.clip(1 - 3.4 * hollow - 5 * crease, 0.25, 1.15), hair])


def _tint_maps(rng: np.random.Generator, p: FaceParams) -> np.ndarray:
    """Return redness, darkness and beard at every TINT_STEP-th cell of the grid, (rows, columns, 3)."""
    rows, cols = len(Y[::TINT_STEP]), len(X[::TINT_STEP])
    mottle = window(CLOUD, rng, SIDE - max(rows, cols), rows, cols)
    red = blobs([(0.5, 0.55, 0.42, 0.22, 0.2), (0.55, 0, p.y_nose, 0.13, 0.12), (0.2, 0, p.y_chin - 0.12, 0.2, 0.12),
                 (0.5, 1.1, 0.2, 0.12, 0.3)], TINT_STEP)
    dark = blobs([(0.36, p.eye_x, 0.0, 0.22, 0.095), (0.25, 0.24, 0.03, 0.06, 0.09),
                  (0.10, 0, p.y_mouth + 0.22, 0.2, 0.06)], TINT_STEP)
    beard = _beard(p) if p.beard > 0 else np.zeros_like(red)
    return cv2.merge([p.redness * 0.35 * red + 0.03 * mottle, 0.35 * dark - p.blotches * mottle, beard])


def _beard(p: FaceParams) -> np.ndarray:
    """Return the density of the beard from 0 to 1: moustache, chin, cheeks, by style."""
    style = 0 if p.beard < 0.5 else p.beard_style
    across, down = np.abs(X[::TINT_STEP]), Y[::TINT_STEP, None]
    total = blobs([(0.9, 0.1, p.y_mouth - 0.15, 0.12, 0.055), (0.8, 0.27, p.y_mouth - 0.11, 0.08, 0.07)], TINT_STEP)
    if style < 3:
        total += blobs([(1.1, 0, p.y_chin - 0.12, 0.24, 0.14),
                        (0.8, p.mouth_half_width + 0.05, p.y_mouth + 0.1, 0.08, 0.18)], TINT_STEP)
    if style in (0, 2):
        low = p.y_mouth - 0.12 + 0.10 * np.cos(3 * across) - 0.45 * np.clip(across - 0.6, 0, None)
        total += smoothstep(-0.05, 0.2, down - low) * smoothstep(1.1, 0.95, across)
    return np.clip(total, 0, 1) * smoothstep(2.0, 1.7, down)


def _skin_albedo(rng: np.random.Generator, p: FaceParams, hit: Hit, flush: np.ndarray, dark: np.ndarray,
                 bearded: np.ndarray) -> np.ndarray:
    """Return the skin's colour with mottling, flush, freckles and beard, (3, H, W)."""
    offset = rng.integers(0, SIDE, 4).astype(np.float32)
    grain = lookup(GRAIN, hit.col * 2.3 + offset[2], hit.row * 2.3 + offset[3])
    albedo = p.skin * (1 + 0.012 * grain - dark)
    albedo *= 1 - flush * rgb((0.06, 0.45, 0.42))
    if p.freckles > 0:
        spots = np.clip(grain - 1.1, 0, 0.8) * np.clip(flush * 5, 0, 1)
        albedo *= 1 - 0.5 * p.freckles * spots * rgb((0.6, 1, 1.2))
    if p.beard > 0:
        stubble = bearded * (p.beard if p.beard > 0.5 else 0.8 * p.beard)
        bristle = 1 + 0.2 * lookup(GRAIN, hit.col * 2.2 + offset[1], hit.row * 1.0 + offset[3])
        blend(albedo, np.clip(stubble * bristle, 0, 0.96), p.hair * (1.1 * bristle))
    return albedo


def _shadow(depth: np.ndarray, direction: np.ndarray, camera: Camera) -> np.ndarray:
    """Return the share of the key light that reaches each pixel, by steps towards it over the halved depth map."""
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
