"""Draws a face: surface, rays, light, paint, hair, surroundings, camera."""
from typing import Tuple

import cv2
import numpy as np

from . import scene
from .camera import place_camera, rays, trace
from .features import blend
from .hair import hair_layer
from .head import skin_surface
from .noise import sensor_noise
from .params import sample_face
from .shading import shade_head

MIN_SIZE, MAX_SIZE = 32, 256  # the head's grid holds no more detail than 256 pixels show


def draw_face(seed: int, index: int, size: int = 128) -> Tuple[np.ndarray, np.ndarray]:
    """Draws one synthetic face with its exact landmarks.

    A pure function: the same arguments give the same face, in any process and in any order of calls.

    Args:
        seed (int): Seed of the whole series, at least 0.
        index (int): Number of the face in the series, at least 0.
        size (int): Width and height in pixels, 32 to 256. Default: 128.

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
    p = sample_face(rng)
    light = scene.sample_light(rng)
    skin = skin_surface(p)
    thickness, hair_cover = hair_layer(p, skin)
    surface = skin + thickness
    camera, landmarks = place_camera(p, skin, size)
    hit = trace(surface, camera)

    image = scene.background(rng, size)
    scene.paint_clothes(image, rng, camera)
    head, cover = shade_head(rng, p, light, camera, hit, surface, hair_cover, landmarks)
    blend(image, cover, head)
    if p.glasses > 0:
        scene.paint_glasses(image, rng, p, camera, *rays(camera, size))
    return _develop(image, rng, light.exposure), landmarks


def _develop(image: np.ndarray, rng: np.random.Generator, exposure: float) -> np.ndarray:
    """The photograph: exposure, lens blur, tone curve, sensor noise, 8 bits; from (3, H, W) to (H, W, 3)."""
    size = image.shape[1]
    blur = float(rng.uniform(0.35, 0.6)) * size / 128
    image = cv2.GaussianBlur(cv2.merge(image), (0, 0), blur)
    image *= exposure * 1.05
    image = np.sqrt(np.clip(1.15 * image / (1 + 0.25 * image), 0, 1))
    contrast = float(rng.uniform(0.0, 0.35))
    image += contrast * image * (1 - image) * (2 * image - 1)
    noise = sensor_noise(rng, size) * float(rng.uniform(0.002, 0.009))
    image += cv2.merge([noise, noise, noise])
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
