"""Draws a face: surface, rays, light, paint, hair, surroundings, camera."""
from typing import Tuple

import cv2
import numpy as np

from . import features, scene
from .camera import Camera, Hit, place_camera, rays, trace
from .features import planes
from .hair import hair_layer, strands
from .noise import SIDE, cloud_texture, grain_texture, lookup
from .params import FaceParams, sample_face
from .shape import STEP_U, STEP_Y, blobs, grid, skin_surface, smoothstep


def draw_face(seed: int, index: int, size: int = 128) -> Tuple[np.ndarray, np.ndarray]:
    """Draws one synthetic face with its exact landmarks.

    A pure function: the same arguments give the same face, in any process and in any order of calls.

    Args:
        seed (int): Seed of the whole series, >= 0.
        index (int): Number of the face in the series, >= 0.
        size (int): Width and height in pixels, at least 32. Default: 128.

    Returns:
        image (size, size, 3), uint8 RGB; landmarks (68, 2), float32, (x, y) in pixels with the centre of the top-left
        pixel at (0, 0), in iBUG's order, all inside the image.

    Raises:
        ValueError: seed or index is negative, or size is less than 32.
    """
    if seed < 0 or index < 0:
        raise ValueError(f'seed and index must be at least 0, but are {seed} and {index}.')
    if size < 32:
        raise ValueError(f'size must be at least 32 pixels, but is {size}.')
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    p = sample_face(rng)
    light = scene.sample_light(rng)
    skin = skin_surface(p)
    thickness, cover = hair_layer(p)
    surface = skin + thickness
    camera, landmarks = place_camera(p, skin, size)
    hit = trace(surface, camera)

    image = scene.background(rng, size)
    scene.paint_clothes(image, rng, camera)
    head, head_cover = _head(rng, p, light, camera, hit, surface, cover, landmarks)
    features.blend(image, head_cover, head)
    if p.glasses > 0:
        scene.paint_glasses(image, rng, p, camera, *rays(camera, size))
    return _develop(image, rng, light), landmarks


def _maps(p: FaceParams, surface: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Per grid cell: dr/dtheta, dr/dy, openness to ambient light, hair cover: (NUM_Y, NUM_U, 4)."""
    slope_u = np.gradient(surface, STEP_U, axis=1) * grid().theta_scale
    slope_y = np.gradient(surface, STEP_Y, axis=0)
    hollow = cv2.GaussianBlur(surface, (0, 0), 5, borderType=cv2.BORDER_REPLICATE) - surface
    fine = cv2.GaussianBlur(surface, (0, 0), 2, borderType=cv2.BORDER_REPLICATE) - surface
    openness = np.clip(1 - 3.2 * np.clip(hollow, -0.02, 0.2) - 4 * np.clip(fine, -0.02, 0.1), 0.25, 1.15)
    return np.dstack([slope_u, slope_y, openness, hair]).astype(np.float32)


def _tint_maps(p: FaceParams) -> np.ndarray:
    """Per grid cell: redness, darkness, beard: (NUM_Y, NUM_U, 3)."""
    red = blobs([(0.5, 0.55, 0.45, 0.22, 0.2), (0.55, 0, p.y_nose, 0.13, 0.12), (0.2, 0, p.y_chin - 0.12, 0.2, 0.12),
                 (0.5, 1.1, 0.2, 0.12, 0.3)])
    dark = blobs([(0.25, p.eye_x, 0.02, 0.22, 0.1), (0.25, 0.24, 0.03, 0.06, 0.09),
                  (0.10, 0, p.y_mouth + 0.22, 0.2, 0.06)])
    beard = np.zeros_like(red)
    if p.beard > 0:
        beard = _beard(p)
    return np.dstack([red, dark, beard]).astype(np.float32)


def _beard(p: FaceParams) -> np.ndarray:
    """Density of the beard 0..1: moustache, chin, cheeks, by style."""
    moustache = blobs([(0.9, 0.1, p.y_mouth - 0.15, 0.12, 0.055), (0.8, 0.27, p.y_mouth - 0.11, 0.08, 0.07)])
    goatee = blobs([(1.1, 0, p.y_chin - 0.12, 0.24, 0.14),
                    (0.8, p.mouth_half_width + 0.05, p.y_mouth + 0.1, 0.08, 0.18)])
    g = grid()
    low = p.y_mouth - 0.12 + 0.10 * np.cos(3 * np.abs(g.x)) - 0.45 * np.clip(np.abs(g.x) - 0.6, 0, None)
    cheeks = smoothstep(-0.05, 0.2, g.y[:, None] - low[None]) * smoothstep(1.1, 0.95, np.abs(g.x))[None]
    total = {0: moustache + goatee + cheeks, 1: moustache + goatee, 2: moustache + goatee + cheeks, 3: moustache}
    kind = 0 if p.beard < 0.5 else p.beard_style
    below = smoothstep(2.0, 1.75, g.y)[:, None]
    return np.clip(total[kind], 0, 1) * below


def _shadow(depth: np.ndarray, direction: np.ndarray, camera: Camera) -> np.ndarray:
    """How much of the key light reaches each pixel, 0..1, by walking over the depth map towards the light."""
    blocked = np.zeros_like(depth)
    size = camera.size
    flat = max(float(np.hypot(direction[0], direction[1])), 1e-3)
    rise = float(direction[2]) / flat * camera.pixel
    for reach in (2, 4, 6, 9, 12, 16):
        reach = reach * size / 128
        dx, dy = (int(round(float(direction[i]) / flat * reach)) for i in (0, 1))
        there = depth[max(dy, 0):size + min(dy, 0), max(dx, 0):size + min(dx, 0)]
        here = (slice(max(-dy, 0), size + min(-dy, 0)), slice(max(-dx, 0), size + min(-dx, 0)))
        height = there - depth[here] - rise * reach - 0.02
        blocked[here] = np.maximum(blocked[here], np.clip(height * (9 / (0.4 + 0.06 * reach)), 0, 1))
    return 1 - cv2.GaussianBlur(blocked, (0, 0), 0.9 * size / 128)


def _head(rng: np.random.Generator, p: FaceParams, light: scene.Light, camera: Camera, hit: Hit, surface: np.ndarray,
          hair_cover: np.ndarray, landmarks: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The lit head with hair and neck, linear RGB, and its cover 0..1."""
    size = camera.size
    slope_t, slope_y, openness, hair = cv2.split(
        cv2.remap(_maps(p, surface, hair_cover), hit.col, hit.row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    tints = cv2.remap(_tint_maps(p), hit.col, hit.row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    offset = rng.integers(0, SIDE, 4).astype(np.float32)
    lock = strands(p, hit.col, hit.row)
    if p.hair_style != 'bald':
        hair = smoothstep(0.2, 0.8, hair + 0.12 * lock)

    # skin
    mottle = lookup(cloud_texture(), hit.col * 1.7 + offset[0], hit.row * 1.7 + offset[1])
    grain = lookup(grain_texture(), hit.col * 2.3 + offset[2], hit.row * 2.3 + offset[3])
    flush, dark, hairy = cv2.split(tints)
    tone = 1 + p.blotches * mottle + 0.012 * grain - 0.35 * dark
    red = p.redness * flush * 0.35 + 0.03 * mottle
    albedo = planes(p.skin) * tone * (1 - red * planes(np.array([0.06, 0.45, 0.42], np.float32)))
    if p.freckles > 0:
        spots = np.clip(grain - 1.1, 0, 0.8) * np.clip(flush * 1.8, 0, 1)
        albedo *= 1 - 0.5 * p.freckles * spots * planes(np.array([0.6, 1, 1.2], np.float32))
    if p.beard > 0:
        stubble = hairy * (p.beard if p.beard > 0.5 else 0.8 * p.beard)
        bristle = 1 + 0.25 * lookup(grain_texture(), hit.col * 3.1 + offset[1], hit.row * 1.2 + offset[3])
        features.blend(albedo, np.clip(stubble * bristle, 0, 0.96), planes(p.hair) * (1.1 * bristle))
    gloss = np.zeros((size, size), np.float32)
    _paint(albedo, gloss, p, camera, hit, landmarks, light)

    # normals, in camera axes
    rho = np.sqrt(hit.x * hit.x + hit.z * hit.z) + 1e-4
    sin, cos = hit.x / rho, hit.z / rho
    turn = slope_t / rho
    if p.hair_style != 'bald':
        turn = turn + 0.22 * hair * lock
    normal = np.stack([(sin - turn * cos).ravel(), -slope_y.ravel(), (cos + turn * sin).ravel()])
    normal /= np.sqrt((normal * normal).sum(0, keepdims=True))
    normal = (camera.turn @ normal).reshape(3, size, size)
    facing = normal[0] * light.direction[0] + normal[1] * light.direction[1] + normal[2] * light.direction[2]
    depth = np.where(hit.cover > 0.05, hit.depth, np.float32(-0.9))
    sun = _shadow(depth, light.direction, camera)
    # light on skin: softer in red, as light spreads under the skin
    wrap = np.array([0.34, 0.20, 0.15], np.float32)
    bleed = planes(np.array([0.16, 0.06, 0.04], np.float32))
    key = planes(light.key)
    diffuse = np.clip((facing + planes(wrap)) * planes(1 / (1 + wrap)), 0, None) * (bleed + sun * (1 - bleed))
    up = 0.5 - 0.5 * normal[1]
    ambient = (planes(light.ground) + planes(light.sky - light.ground) * up) * openness
    shine = np.clip(normal[0] * light.half[0] + normal[1] * light.half[1] + normal[2] * light.half[2], 0, 1)
    shine4 = np.square(np.square(shine))
    shine8 = np.square(shine4)
    specular = (0.10 * p.shine * shine8 * shine8 * shine4 + 0.05 * shine4) * sun * openness
    grazing = np.clip(1 - normal[2], 0, 1)
    skin = albedo * (key * diffuse + ambient)
    skin += key * (0.9 * specular + 0.6 * gloss)
    skin += planes(light.sky) * (0.05 * grazing * grazing * grazing + 0.6 * gloss)

    # hair: darker between the locks, a band of gloss across them
    body = np.clip(0.75 + 0.30 * lock, 0.2, 1.8)
    soft = np.clip((facing + 0.3) / 1.3, 0, None) * (0.35 + 0.65 * sun)
    band = 0.6 * shine8 * np.clip(0.6 + 0.5 * lock, 0, 2) * sun
    strand = planes(p.hair) * body * (key * soft + ambient) + planes((0.05 + 0.25 * p.hair) * light.key) * band
    out = skin + hair * (strand - skin)

    collar = smoothstep(2.25, 2.12, hit.y + 0.12 * hit.z)
    return out, hit.cover * np.maximum(collar, hair)


def _paint(albedo: np.ndarray, gloss: np.ndarray, p: FaceParams, camera: Camera, hit: Hit, landmarks: np.ndarray,
           light: scene.Light) -> None:
    """Lays eyes, brows, nostrils and mouth on the skin's albedo, each in the pixels around its landmarks."""
    unit, pixel = camera.scale, camera.pixel
    front = hit.z > 0
    toward = light.direction @ camera.turn

    def cut(part: slice, margin: float) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        w = features.window(landmarks[part], margin * unit, camera.size)
        return albedo[(slice(None), ) + w], gloss[w], hit.x[w], np.where(front[w], hit.y[w], 9)

    for side, brow, eye in ((-1, slice(17, 22), slice(36, 42)), (1, slice(22, 27), slice(42, 48))):
        colour, _, x, y = cut(brow, 0.14)
        features.paint_brow(colour, p, side * x, y, pixel)
        colour, shine, x, y = cut(eye, 0.2)
        features.paint_eye(colour, shine, p, x, y, side, pixel, toward)
    colour, _, x, y = cut(slice(31, 36), 0.15)
    features.paint_nostrils(colour, p, np.abs(x), y)
    colour, shine, x, y = cut(slice(48, 68), 0.12)
    features.paint_mouth(colour, shine, p, x, y, pixel)


def _develop(image: np.ndarray, rng: np.random.Generator, light: scene.Light) -> np.ndarray:
    """The camera: exposure, lens blur, tone curve, sensor noise, 8 bits."""
    image = np.ascontiguousarray(image.transpose(1, 2, 0))
    size = image.shape[0]
    image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.35, 0.6)) * size / 128)
    image = image * (light.exposure * 1.05)
    image = np.sqrt(np.clip(image / (1 + 0.25 * image) * 1.15, 0, 1.3))
    contrast = float(rng.uniform(0.0, 0.35))
    image = np.minimum(image, 1)
    image += contrast * image * (1 - image) * (2 * image - 1)
    grey = rng.standard_normal((size, size), dtype=np.float32)[..., None]
    image = image + float(rng.uniform(0.003, 0.014)) * grey
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
