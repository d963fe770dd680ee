"""One picture a face for people: input, bicubic, every step with its landmarks, and where the last step looked."""
from typing import List

import cv2
import numpy as np

from dic_plugin.faces.crop import FaceCrop, enlarge
from dic_plugin.inference.restorer import RestoredStep
from dic_plugin.landmarks.layouts import COMPONENTS
from dic_plugin.utils.drawing import GAP, Tile, draw_strip


def draw_face_strip(crop: FaceCrop, steps: List[RestoredStep], index: int) -> np.ndarray:
    """Draw two rows: the face after each step, and the attention of the last step on the face that led to it.

    Args:
        crop: the face as it was found.
        steps: of a restorer.
        index: which face of theirs.

    Returns:
        uint8 RGB.
    """
    size = steps[0].faces.shape[1]
    tiles = [Tile('input', crop.lq[..., ::-1]), Tile('bicubic', enlarge(crop.lq, size)[..., ::-1])]
    tiles += [
        Tile(f'step {number}', step.faces[index][..., ::-1], step.landmarks[index])
        for number, step in enumerate(steps, 1)
    ]
    if crop.side > len(crop.lq):  # the photograph has more detail than the network was given
        title = 'as given' if crop.found is None else 'photograph'
        tiles.append(Tile(f'{title} ({crop.side} px)', crop.crop[..., ::-1]))
    rows = [draw_strip(tiles)]
    attention = steps[-1].attention
    if attention is not None:
        rows.append(draw_strip(_attention_tiles(attention[index], steps[-2].faces[index], len(steps))))
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.ascontiguousarray(np.concatenate(rows)[..., ::-1])


def attention_overlay(attention: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Draw the attention of one component, ``h,w`` in [0, 1], in colour over a darkened grey face ``H,W,3`` uint8 RGB.

    Where all of C components count alike (1 / C), as they do away from landmarks, the map is dark.
    """
    height, width = face.shape[:2]
    attention = cv2.resize(attention, (width, height), interpolation=cv2.INTER_LINEAR)
    colour = cv2.applyColorMap(np.round(255 * attention.clip(0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None]
    return np.clip(0.35 * grey + 0.75 * colour, 0, 255).astype(np.uint8)


def _attention_tiles(attention: np.ndarray, face: np.ndarray, step: int) -> List[Tile]:
    names = [name.replace('_', ' ') for name in COMPONENTS]
    if len(attention) != len(names):
        names = [f'component {number}' for number in range(1, len(attention) + 1)]
    return [
        Tile(f'step {step} looks at {name}' if number == 0 else name,
             attention_overlay(component, face)[..., ::-1])
        for number, (name, component) in enumerate(zip(names, attention))
    ]
