"""One picture per face: input, bicubic, every step with its landmarks, and the attention of the last step."""
from typing import List, Tuple

import cv2
import numpy as np

from dic_plugin.faces.crop import FaceCrop, enlarge
from dic_plugin.inference.restorer import RestoredStep
from dic_plugin.landmarks.layouts import COMPONENTS
from dic_plugin.utils.drawing import GAP, Tile, draw_strip


def draw_face_strip(crop: FaceCrop, steps: List[RestoredStep], index: int) -> np.ndarray:
    """Draw two rows: the face after each step, and the attention of the last step on the face that guided it.

    Args:
        crop: The face before.
        steps: Results of a restorer.
        index: Number of the face in the steps.

    Returns:
        uint8 RGB.
    """
    size = steps[0].faces.shape[1]
    tiles = [Tile('input', crop.lq[..., ::-1]), Tile('bicubic', enlarge(crop.lq, size)[..., ::-1])]
    tiles += [
        Tile(f'step {number}', step.faces[index][..., ::-1], step.landmarks[index])
        for number, step in enumerate(steps, 1)
    ]
    if crop.side > len(crop.lq):  # the photograph has more detail than the input
        title = 'as given' if crop.found is None else 'photograph'
        tiles.append(Tile(f'{title} ({crop.side} px)', crop.crop[..., ::-1]))
    rows = [draw_strip(tiles)]
    if steps[-1].attention is not None:
        maps = attention_pictures(steps[-1].attention[index], steps[-2].faces[index])
        titles = [f'step {len(steps)} looks at {maps[0][1]}', *(name for _, name in maps[1:])]
        rows.append(draw_strip([Tile(title, picture[..., ::-1]) for title, (picture, _) in zip(titles, maps)]))
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.ascontiguousarray(np.concatenate(rows)[..., ::-1])


def attention_pictures(attention: np.ndarray, face: np.ndarray) -> List[Tuple[np.ndarray, str]]:
    """Return a picture and the name of each facial component.

    The attention ``C,h,w`` in [0, 1] is drawn in colour over the darkened grey face, ``H,W,3`` uint8 RGB. It is dark
    where all of C components count alike (1 / C), as they do away from landmarks.
    """
    names = [name.replace('_', ' ') for name in COMPONENTS]
    if len(attention) != len(names):
        names = [f'component {number}' for number in range(1, len(attention) + 1)]
    height, width = face.shape[:2]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None]
    pictures = []
    for name, component in zip(names, attention):
        component = cv2.resize(component, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
        colour = cv2.applyColorMap(np.round(255 * component).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        pictures.append((np.clip(0.35 * grey + 0.75 * colour, 0, 255).astype(np.uint8), name))
    return pictures
