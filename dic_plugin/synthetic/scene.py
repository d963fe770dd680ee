"""What is not the head: background, clothes, glasses, and the light."""
from dataclasses import dataclass

import cv2
import numpy as np

from .camera import Camera
from .features import blend, planes, ramp
from .noise import SIDE, cloud_texture
from .params import FaceParams


@dataclass
class Light:
    """Directional key light and ambient light, in camera axes (x right, y down, z to the viewer), linear RGB."""
    direction: np.ndarray
    half: np.ndarray
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    exposure: float


def sample_light(rng: np.random.Generator) -> Light:
    """Frontal, lateral or flat, warm or cool, bright or dim."""
    hard = float(rng.beta(2, 2))
    azimuth = float(np.clip(rng.normal(0, 0.6), -1.15, 1.15))
    elevation = float(np.clip(rng.normal(0.55, 0.3), -0.1, 1.1))
    direction = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    half = direction + [0, 0, 1]
    half /= np.linalg.norm(half)
    warmth = rng.normal(0.03, 0.07)
    tint = np.array([1 + warmth, 1.0, 1 - 1.3 * warmth])
    fill_tint = np.array([1 - 0.5 * warmth, 1.0, 1 + 0.6 * warmth]) * (1 + rng.normal(0, 0.03, 3))
    key = (0.35 + 0.75 * hard) * tint
    sky = (0.75 - 0.45 * hard) * fill_tint
    ground = sky * rng.uniform(0.45, 0.85)
    exposure = float(np.exp(np.clip(rng.normal(0.08, 0.25), -0.55, 0.5)))
    return Light(*(a.astype(np.float32) for a in (direction, half, key, sky, ground)), exposure)


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A blurred backdrop (3, size, size), linear light: plain, graded, or cluttered."""
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
            blend(image, 0.7 * band, (base * np.exp(rng.normal(0, 0.5) + rng.normal(0, 0.15, 3))).astype(np.float32))
    return np.clip(image, 0.004, 1.2)


def paint_clothes(image: np.ndarray, rng: np.random.Generator, camera: Camera) -> None:
    """Shoulders in cloth below the neck, drawn in place behind the head."""
    size = camera.size
    neck = camera.project(np.array([0, 2.15, -0.1], np.float32))
    top = min(max(int(neck[1] - 0.4 * camera.scale), 0), size - 1)
    x = (np.arange(size, dtype=np.float32)[None] - neck[0]) / camera.scale
    y = (np.arange(top, size, dtype=np.float32)[:, None] - neck[1]) / camera.scale
    colour = (rng.uniform(0.1, 0.8)**2 * np.exp(rng.normal(0, 0.3, 3))).astype(np.float32)
    slope = np.abs(x)
    edge = -0.32 + 0.30 * np.clip(slope - 0.5, 0, None) + 0.10 * np.clip(slope - 1.0, 0, None)**2
    start_row, start_col = (int(v) for v in rng.integers(0, SIDE - 128, 2))
    folds = cv2.resize(cloud_texture()[start_row:start_row + 128, start_col:start_col + 128], (size, size))[top:]
    shade = np.clip(0.75 + 0.12 * folds - 0.12 * slope - 0.1 * y, 0.2, 1.2)
    blend(image[:, top:], ramp((y - edge) / (1.5 * camera.pixel)), planes(colour) * shade)


def paint_glasses(image: np.ndarray, rng: np.random.Generator, p: FaceParams, camera: Camera, start: np.ndarray,
                  slope: np.ndarray) -> None:
    """Frame and lenses on a plane in front of the eyes, and the arms, over the finished head, in place."""
    plane = 1.27
    depth = (plane - start[2]) / slope[2]
    depth = (plane - 0.16 * np.clip(np.abs(start[0] + depth * slope[0]), 0, 1)**2 - start[2]) / slope[2]
    x = start[0] + depth * slope[0]
    y = start[1] + depth * slope[1] - 0.06
    half_w, half_h = rng.uniform(0.28, 0.33), rng.uniform(0.17, 0.25)
    corner = rng.uniform(0.3, 1.0) * half_h
    rim = rng.uniform(0.012, 0.04)
    dark = rng.random() < 0.75
    colour = (rng.uniform(0.01, 0.05, 3) if dark else rng.uniform(0.1, 0.4, 3)).astype(np.float32)
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
