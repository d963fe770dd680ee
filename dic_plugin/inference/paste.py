"""Restored faces back into their photograph, which is enlarged to their size."""
import math
from typing import Sequence

import mmcv
import numpy as np

from dic_plugin.faces.found_face import Box

FEATHER = 0.15  # of the square's side: how far from its border a face fades in
MAX_PIXELS = 64e6  # of an enlarged photograph


def paste_factor(sides: Sequence[int], face_size: int, upscale: int, width: int, height: int) -> int:
    """Return the whole number by which a photograph is enlarged, so that no restored face has to shrink.

    Args:
        sides: of the faces' squares in the photograph.
        face_size: side of the restored faces.
        upscale: at most by this.
        width: of the photograph; the result is kept below MAX_PIXELS, but never smaller than the photograph.
        height: of the photograph.

    >>> paste_factor([40, 70], 128, 8, 640, 480), paste_factor([200], 128, 8, 640, 480)
    (4, 1)
    """
    wanted = min(math.ceil(face_size / max(min(sides), 1)), upscale)
    return max(min(wanted, int(math.sqrt(MAX_PIXELS / (width * height)))), 1)


def enlarge_photograph(photo: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge a photograph, uint8 (H, W, 3), ``factor`` times with Pillow's bicubic filter."""
    if factor == 1:
        return photo.copy()
    height, width = photo.shape[:2]
    return mmcv.imresize(photo, (width * factor, height * factor), interpolation='bicubic', backend='pillow')


def paste_face(canvas: np.ndarray, face: np.ndarray, box: Box, factor: int) -> None:
    """Blend a restored face into the enlarged photograph, in place.

    Pixels outside the square are not touched. Inside, the face fades in from the border, by a cosine over FEATHER of
    the side; what of the square lies outside the photograph is left out.

    Args:
        canvas: of ``enlarge_photograph``.
        face: ``H,H,3`` uint8.
        box: the square in the photograph, not enlarged.
        factor: of ``enlarge_photograph``.
    """
    x0, y0, x1, y1 = (value * factor for value in box)
    side = x1 - x0
    if len(face) != side:
        face = mmcv.imresize(face, (side, side), interpolation='bicubic', backend='pillow')
    height, width = canvas.shape[:2]
    left, top, right, bottom = max(-x0, 0), max(-y0, 0), min(side, width - x0), min(side, height - y0)
    if left >= right or top >= bottom:
        return
    mask = feather(side)[top:bottom, left:right, None]
    target = canvas[y0 + top:y0 + bottom, x0 + left:x0 + right]
    blended = mask * face[top:bottom, left:right] + (1 - mask) * target
    target[:] = np.round(blended).astype(np.uint8)


def feather(side: int) -> np.ndarray:
    """Return a mask ``side,side`` in [0, 1]: near 0 at the border, 1 from FEATHER of the side inwards."""
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    profile = 0.5 - 0.5 * np.cos(np.pi * np.clip(distance / (FEATHER * side), 0, 1))
    return (profile[:, None] * profile).astype(np.float32)
