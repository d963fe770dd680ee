"""Hair as a layer on the head's surface: where it grows, how thick it lies, and how it shines."""
from typing import List, Tuple

import cv2
import numpy as np

from .noise import SIDE, cloud_texture, grain_texture, lookup, strand_texture
from .params import EAR_COVERING, FaceParams
from .shape import NUM_U, NUM_Y, grid, smoothstep, span

Knots = List[Tuple[float, float]]

THICKNESS = {'crop': 0.05, 'receding': 0.06, 'bun': 0.07, 'curly': 0.24}


def _sides(p: FaceParams) -> Knots:
    """Lower edge y of the hair over |theta| from the temple backwards."""
    reach = 0.9 + 0.3 * p.hair_frame  # how far forward long hair hangs beside the face
    if p.hair_style in ('long', 'long_fringe'):
        return [(reach, -0.2), (reach + 0.12, 0.7), (reach + 0.22, 1.6), (reach + 0.3, 2.9), (2.3, 2.9)]
    if p.hair_style == 'bob':
        return [(reach, -0.2), (reach + 0.12, 0.7), (reach + 0.22, 1.4), (2.3, 1.5)]
    if p.hair_style in ('crop', 'receding'):
        return [(1.08, -0.1), (1.2, 0.12), (1.38, 0.1), (1.48, -0.25), (1.85, -0.25), (2.0, 0.6), (2.3, 1.0)]
    return [(1.05, -0.1), (1.18, 0.25), (1.38, 0.3), (1.48, -0.18), (1.85, -0.2), (1.98, 0.8), (2.3, 1.2)]


def _front(p: FaceParams) -> Tuple[np.ndarray, np.ndarray]:
    """Lower edge y of the hair over signed theta between the temples."""
    theta = np.linspace(-0.98, 0.98, 29)
    side = np.abs(theta)
    natural = p.hairline + np.interp(side, (0, 0.35, 0.6, 0.75, 0.9, 1.0), (0, 0.01, 0.06, 0.2, 0.45, 0.66))
    if p.hair_style in ('fringe', 'long_fringe'):
        return theta, np.maximum(natural, -0.42 + 0.12 * side + 0.05 * np.sin(5 * theta + 9 * p.hair_part))
    if p.hair_style == 'swept':
        low = -0.42 - 0.5 * np.exp(-np.square((theta - p.hair_part) / 0.28)) - 0.16 * np.clip(side - 0.3, 0, None)
        return theta, np.maximum(natural, low)
    if p.hair_style == 'receding':
        return theta, natural - 0.3 * np.exp(-np.square((side - 0.5) / 0.3)) - 0.15
    if p.hair_style in ('long', 'bob'):
        drape = -0.9 + 1.15 * np.clip(np.abs(theta - 0.4 * p.hair_part) - 0.45, 0, None)
        return theta, np.maximum(natural, drape)
    return theta, natural


def hair_layer(p: FaceParams, skin: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Thickness to add to the radius of the surface `skin`, and cover 0..1, both (NUM_Y, NUM_U) float32."""
    g = grid()
    if p.hair_style == 'bald':
        zero = np.zeros((NUM_Y, NUM_U), np.float32)
        return zero, zero
    theta, edge = _front(p)
    outer = np.array(_sides(p))
    front = np.abs(theta) < outer[0, 0]
    xs = np.concatenate([-outer[::-1, 0], theta[front], outer[:, 0]])
    ys = np.concatenate([outer[::-1, 1], edge[front], outer[:, 1]])
    rough = 0.05 if 'fringe' in p.hair_style else 0.03
    ragged = strand_texture()[int(p.hair_part * 100) % SIDE, :NUM_U]
    box = np.full(5, 1 / 5)
    line = np.convolve(np.pad(np.interp(g.theta, xs, ys) + rough * ragged, 2, mode='edge'), box, mode='valid')
    above = line.astype(np.float32)[None] - g.y[:, None]
    across = np.abs(g.theta)
    thick = THICKNESS.get(p.hair_style, 0.12) * p.hair_volume
    upright = p.hair_style in ('curly', 'short', 'bun')
    reach = 0.10 + 0.25 * upright * smoothstep(1.2, 0.7, across)
    body = np.sqrt(np.clip(above / reach[None], 0, 1)) * thick
    if p.hair_style in EAR_COVERING:
        # hair falls straight past ears, jaw and neck instead of following them
        rows = span(g.y, -0.5, 9)
        lower = g.y[rows, None]
        fall = 1.02 + 0.08 * p.hair_volume + 0.12 * smoothstep(0.3, 1.8, lower) - skin[rows]
        beside = smoothstep(0.9, 1.35, across)[None] * np.clip(above[rows] / 0.15, 0, 1)
        body[rows] = np.maximum(body[rows], beside * smoothstep(-0.5, 0.1, lower) * fall)
    if p.hair_style == 'curly':
        bumps = cv2.resize(strand_texture()[:32, 32:64], (NUM_U, NUM_Y), interpolation=cv2.INTER_CUBIC)
        body *= 1 + 0.16 * bumps
    # rounded, so that rays that graze its edge meet no cliff
    body = cv2.GaussianBlur(body.astype(np.float32), (0, 0), 1.8, sigmaY=1.2, borderType=cv2.BORDER_REPLICATE)
    return body, smoothstep(0.02 * thick, 0.5 * thick, body)


def strands(p: FaceParams, col: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Noise of the hair's strands at the grid cells (col, row), about unit variance."""
    if p.hair_style == 'curly':
        curls = lookup(grain_texture(), 1.3 * col + 100 * p.hair_part, 1.3 * row)
        return 0.7 * curls + 0.7 * lookup(cloud_texture(), 4.0 * col, 4.0 * row + 100 * p.hair_part)
    wave = 4 * np.sin(row * 0.11 + 20 * p.hair_part)
    lean = (col - NUM_U / 2) * (0.9 - 0.004 * row)
    return lookup(strand_texture(), 2.6 * lean + wave + 100 * p.hair_part, 0.8 * row)
