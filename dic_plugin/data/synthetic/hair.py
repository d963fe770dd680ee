"""Hair as a layer on the head's surface: where it grows, how thick it lies, and how it shines."""
from typing import List, Tuple

import cv2
import numpy as np

from .noise import SIDE, lookup, strand_texture
from .params import FaceParams
from .shape import NUM_U, NUM_Y, grid, smoothstep

Knots = List[Tuple[float, float]]


def _sides(style: str) -> Knots:
    """Lower edge y of the hair over |theta| beyond the temple."""
    if style in ('long', 'long_fringe'):
        return [(1.2, 0.0), (1.32, 1.0), (1.42, 2.9), (2.3, 2.9)]
    if style == 'bob':
        return [(1.2, 0.0), (1.3, 0.7), (1.4, 1.35), (2.3, 1.5)]
    if style in ('crop', 'receding'):
        return [(1.15, -0.2), (1.3, 0.08), (1.4, 0.05), (1.5, -0.25), (1.85, -0.25), (2.0, 0.6), (2.3, 1.0)]
    return [(1.12, -0.1), (1.22, 0.2), (1.38, 0.3), (1.48, -0.18), (1.85, -0.2), (1.98, 0.8), (2.3, 1.2)]


def _front(p: FaceParams) -> Tuple[np.ndarray, np.ndarray]:
    """Lower edge y of the hair over signed theta between the temples."""
    theta = np.linspace(-1.1, 1.1, 23)
    side = np.abs(theta)
    natural = p.hairline + 0.10 * side**2 + 0.42 * np.clip(side - 0.62, 0, None)**1.2
    if p.hair_style in ('fringe', 'long_fringe'):
        return theta, np.maximum(natural, -0.40 + 0.12 * side + 0.05 * np.sin(5 * theta + 9 * p.hair_part))
    if p.hair_style == 'swept':
        low = -0.38 - 0.5 * np.exp(-((theta - p.hair_part) / 0.28)**2) - 0.16 * np.clip(side - 0.3, 0, None)
        return theta, np.maximum(natural, low)
    if p.hair_style == 'receding':
        return theta, natural - 0.35 * np.exp(-((side - 0.5) / 0.3)**2) - 0.15
    if p.hair_style in ('long', 'bob'):
        drape = -0.9 + 1.15 * np.clip(np.abs(theta - 0.4 * p.hair_part) - 0.45, 0, None)
        return theta, np.maximum(natural, drape)
    return theta, natural


def hair_layer(p: FaceParams) -> Tuple[np.ndarray, np.ndarray]:
    """Thickness to add to the skin's radius, and cover 0..1, both (NUM_Y, NUM_U) float32."""
    g = grid()
    if p.hair_style == 'bald':
        zero = np.zeros((NUM_Y, NUM_U), np.float32)
        return zero, zero
    theta, edge = _front(p)
    outer = np.array(_sides(p.hair_style))
    xs = np.concatenate([-outer[::-1, 0], theta, outer[:, 0]])
    ys = np.concatenate([outer[::-1, 1], edge, outer[:, 1]])
    ragged = strand_texture()[int(p.hair_part * 100) % SIDE, :NUM_U]
    box = np.full(5, 1 / 5)
    line = np.convolve(np.pad(np.interp(g.theta, xs, ys) + 0.05 * ragged, 2, mode='edge'), box, mode='valid')
    above = line.astype(np.float32)[None] - g.y[:, None]
    across = np.abs(g.theta)
    front = smoothstep(1.2, 0.7, across)
    thick = {'crop': 0.05, 'receding': 0.06, 'bun': 0.07, 'curly': 0.24, 'short': 0.13}.get(p.hair_style, 0.13)
    reach = 0.10 + 0.25 * (p.hair_style in ('curly', 'short', 'bun')) * front
    body = np.clip(above / reach[None], 0, 1)
    body = np.sqrt(body + 0.0004) * thick * p.hair_volume
    if p.hair_style in ('long', 'long_fringe', 'bob'):
        body *= 1 + (0.6 * smoothstep(0.0, 1.2, g.y))[:, None] * smoothstep(1.1, 1.6, across)[None]
        # hair falls straight past jaw and neck instead of following them in
        fall = smoothstep(0.7, 1.5, g.y)[:, None] * smoothstep(1.15, 1.5, across)[None]
        body += 0.30 * fall * np.clip(above / 0.2, 0, 1)
    if p.hair_style == 'curly':
        bumps = cv2.resize(strand_texture()[:32, 32:64], (NUM_U, NUM_Y), interpolation=cv2.INTER_CUBIC)
        body *= 1 + 0.16 * bumps
    cover = smoothstep(-0.03, 0.05, above)
    # rounded, so that rays that graze its edge meet no cliff
    body = cv2.GaussianBlur(body.astype(np.float32), (0, 0), 2.0, sigmaY=1.2, borderType=cv2.BORDER_REPLICATE)
    return body, cv2.blur(cover.astype(np.float32), (3, 1))


def strands(p: FaceParams, col: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Noise of the hair's strands at the grid cells (col, row), about unit variance."""
    wave = 4 * np.sin(row * 0.11 + 20 * p.hair_part)
    if p.hair_style in ('curly', ):
        wave = 10 * np.sin(row * 0.35 + 20 * p.hair_part) + 8 * np.sin(col * 0.4)
    lean = (col - NUM_U / 2) * (0.9 - 0.004 * row)
    return lookup(strand_texture(), 2.6 * lean + wave + 100 * p.hair_part, 0.8 * row)
