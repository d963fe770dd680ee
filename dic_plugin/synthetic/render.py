"""A face with its surroundings, developed as a photograph: see draw_face."""
from typing import Tuple

import cv2
import numpy as np

from .camera import Camera, Rays, place_camera, trace
from .features import blend, ramp
from .params import FaceParams, Light, rgb
from .shading import shade_head
from .surface import hair_layer, skin_surface
from .texture import CLOUD, SENSOR, SIDE, window

MIN_SIZE, MAX_SIZE = 32, 256  # the head's grid holds no more detail than 256 pixels show


def draw_face(seed: int, index: int, size: int = 128) -> Tuple[np.ndarray, np.ndarray]:
    """Draw one synthetic face with its exact landmarks.

    A pure function: the same arguments give the same face, in any process and in any order of calls.

    Args:
        seed: of the whole series, at least 0.
        index: number of the face in the series, at least 0.
        size: width and height in pixels, 32 to 256.

    Returns:
        image (size, size, 3), uint8 RGB; landmarks (68, 2), float32, (x, y) in pixels with the centre of the top-left
        pixel at (0, 0), in iBUG's order, all inside the image.

    Raises:
        ValueError: seed or index is negative, or size is not in 32 to 256.
    """
    if seed < 0 or index < 0:
        raise ValueError(f'seed and index must be at least 0, but are {seed} and {index}.')
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f'size must be {MIN_SIZE} to {MAX_SIZE} pixels, but is {size}.')
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    p, light = FaceParams(rng), Light(rng)
    skin = skin_surface(p)
    thickness, hair_cover = hair_layer(p, skin)
    camera, landmarks = place_camera(p, skin, size)
    surface = skin + thickness
    hit = trace(surface, camera)
    image = _background(rng, size)
    _paint_clothes(image, rng, camera)
    head, cover = shade_head(rng, p, light, camera, hit, surface, hair_cover, landmarks)
    blend(image, cover, head)
    if p.glasses > 0:
        _paint_glasses(image, rng, p, camera, camera.rays(size))
    return _develop(image, rng, light.exposure), landmarks


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a blurred backdrop (3, size, size), linear light: plain, graded, or cluttered."""
    warmth = np.array([0.2, 0.02, -0.22])
    base = rng.uniform(0.08, 0.8)**2 * np.exp(rng.normal() * warmth + rng.normal(0, 0.05, 3))
    kind = rng.random()
    cells = 3 if kind < 0.45 else int(rng.integers(4, 9))
    spread = rng.uniform(0.05, 0.25) if kind < 0.45 else rng.uniform(0.3, 0.8)
    grey = rng.normal(0, spread, (cells, cells, 1))
    hue = spread * (rng.normal(0, 0.7, (cells, cells, 1)) * warmth + rng.normal(0, 0.08, (cells, cells, 3)))
    coarse = (np.log(base) + grey + hue).astype(np.float32)
    image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC if kind < 0.8 else cv2.INTER_LINEAR)
    image = np.exp(image.transpose(2, 0, 1).copy())
    if kind > 0.6:
        for _ in range(int(rng.integers(1, 4))):
            left, width = rng.uniform(0, size), rng.uniform(0.03, 0.35) * size
            soft = rng.uniform(0.01, 0.05) * size
            across = np.abs(np.arange(size, dtype=np.float32) - left)
            band = np.clip((width - across) / soft, 0, 1)[None]
            if rng.random() < 0.3:
                band = band.T
            blend(image, 0.7 * band, rgb(base * np.exp(rng.normal(0, 0.5) + rng.normal(0, 0.15, 3))))
    return np.clip(image, 0.004, 1.2)


def _paint_clothes(image: np.ndarray, rng: np.random.Generator, camera: Camera) -> None:
    """Paint shoulders in cloth below the neck, in place."""
    size = camera.size
    neck = camera.project(np.array([0, 2.15, -0.1], np.float32))
    top = min(max(int(neck[1] - 0.4 * camera.scale), 0), size - 1)
    x = (np.arange(size, dtype=np.float32)[None] - neck[0]) / camera.scale
    y = (np.arange(top, size, dtype=np.float32)[:, None] - neck[1]) / camera.scale
    colour = rgb(rng.uniform(0.1, 0.8)**2 * np.exp(rng.normal(0, 0.3, 3)))
    slope = np.abs(x)
    edge = -0.32 + 0.30 * np.clip(slope - 0.5, 0, None) + 0.10 * np.clip(slope - 1.0, 0, None)**2
    folds = cv2.resize(window(CLOUD, rng, SIDE - 128, 128, 128), (size, size))[top:]
    shade = np.clip(0.75 + 0.12 * folds - 0.12 * slope - 0.1 * y, 0.2, 1.2)
    blend(image[:, top:], ramp((y - edge) / (1.5 * camera.pixel)), colour * shade)


def _paint_glasses(image: np.ndarray, rng: np.random.Generator, p: FaceParams, camera: Camera, rays: Rays) -> None:
    """Paint frame and lenses on a plane in front of the eyes, and the arms, over the finished head, in place."""
    (start, slope), plane = rays, 1.27
    depth = (plane - start[2]) / slope[2]
    depth = (plane - 0.16 * np.clip(np.abs(start[0] + depth * slope[0]), 0, 1)**2 - start[2]) / slope[2]
    x = start[0] + depth * slope[0]
    y = start[1] + depth * slope[1] - 0.06
    half_w, half_h = rng.uniform(0.28, 0.33), rng.uniform(0.17, 0.25)
    corner = rng.uniform(0.3, 1.0) * half_h
    rim = rng.uniform(0.012, 0.04)
    dark = rng.random() < 0.75
    colour = rgb(rng.uniform(0.01, 0.05, 3) if dark else rng.uniform(0.1, 0.4, 3))
    side = np.abs(x)
    qx = np.abs(side - 0.445) - (half_w - corner)
    qy = np.abs(y) - (half_h - corner)
    distance = np.sqrt(np.clip(qx, 0, None)**2 + np.clip(qy, 0, None)**2) + np.minimum(np.maximum(qx, qy), 0) - corner
    soft = 1.1 * camera.pixel
    lens = ramp(-distance / soft)
    reflection = np.clip(0.06 + 0.10 * np.clip(1 - np.abs(x * 1.2 - y + 0.1 * p.yaw) / 0.18, 0, 1), 0, 1)
    image *= 1 - 0.10 * lens
    image += 0.5 * p.glasses * reflection * lens
    frame = ramp((rim - np.abs(distance)) / soft)
    bridge = ramp((rim - np.abs(y + 0.06 + 0.5 * x * x)) / soft) * ramp((0.445 - half_w + 0.02 - side) / soft)
    blend(image, np.clip(np.maximum(frame, bridge), 0, 1) * 0.95, colour)
    for sign in (-1, 1):
        hinge = [sign * (0.445 + half_w), 0.0, plane - 0.1]
        ends = camera.project(np.array([hinge, [sign * 1.04, 0.0, 0.0]], np.float32))
        if sign * (ends[1, 0] - ends[0, 0]) > 0:
            layer = np.zeros(image.shape[1:], np.uint8)
            a, b = (tuple(int(round(float(v) * 16)) for v in end) for end in ends)
            cv2.line(layer, a, b, 255, max(1, int(round(2 * rim * camera.scale))), cv2.LINE_AA, 4)
            blend(image, layer * np.float32(0.9 / 255), colour)


def _develop(image: np.ndarray, rng: np.random.Generator, exposure: float) -> np.ndarray:
    """Apply exposure, lens blur, tone curve and sensor noise to (3, H, W); returns (H, W, 3) uint8."""
    size = image.shape[1]
    image = cv2.GaussianBlur(cv2.merge(list(image)), (0, 0), float(rng.uniform(0.35, 0.6)) * size / 128)
    image = exposure * 1.05 * image
    image = np.sqrt(np.clip(1.15 * image / (1 + 0.25 * image), 0, 1))
    image += float(rng.uniform(0.0, 0.35)) * image * (1 - image) * (2 * image - 1)
    noise = window(SENSOR, rng, SIDE, size, size) * float(rng.uniform(0.002, 0.009))
    image += cv2.merge([noise, noise, noise])
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
