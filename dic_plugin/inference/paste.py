"""Restored faces pasted into their photograph, which is enlarged to their size."""
import math
from typing import Sequence

import mmcv
import numpy as np

from dic_plugin.faces.found_face import Box

FEATHER = 0.15  # of the square's side: the distance from its border over which a face fades in
MAX_PIXELS = 64e6  # of an enlarged photograph


def paste_factor(sides: Sequence[int], face_size: int, upscale: int, width: int, height: int) -> int:
    """Return the whole number by which a photograph is enlarged, so that no restored face has to shrink.

    Args:
        sides: Of the faces' squares in the photograph.
        face_size: Side of the restored faces.
        upscale: The largest factor.
        width: Of the photograph; the result has at most MAX_PIXELS, but is never smaller than the photograph.
        height: Of the photograph.

    >>> paste_factor([40, 70], 128, 8, 640, 480), paste_factor([200], 128, 8, 640, 480)
    (4, 1)
    """
    wanted = min(math.ceil(face_size / max(min(sides), 1)), upscale)
    return max(min(wanted, int(math.sqrt(MAX_PIXELS / (width * height)))), 1)


def enlarge_photograph(photo: np.ndarray, factor: int) -> np.ndarray:
    """Return a photograph, uint8 (H, W, 3), enlarged ``factor`` times with Pillow's bicubic filter."""
    if factor == 1:
        return photo.copy()
    height, width = photo.shape[:2]
    return mmcv.imresize(photo, (width * factor, height * factor), interpolation='bicubic', backend='pillow')


def paste_face(canvas: np.ndarray, face: np.ndarray, box: Box, factor: int) -> None:
    """Blend a restored face into the enlarged photograph, in place.

    Pixels outside the square are not changed. Inside, the face fades in from the border, by a cosine over FEATHER of
    the side; parts of the square outside the photograph are left out.

    Args:
        canvas: Of ``enlarge_photograph``.
        face: ``H,H,3`` uint8.
        box: The square in the photograph, not enlarged.
        factor: Of ``enlarge_photograph``.
    """
    x0, y0, x1, y1 = (value * factor for value in box)
    left, top = max(-x0, 0), max(-y0, 0)
    target = canvas[max(y0, 0):max(y1, 0), max(x0, 0):max(x1, 0)]
    if not target.size:
        return
    if len(face) != x1 - x0:
        face = mmcv.imresize(face, (x1 - x0, y1 - y0), interpolation='bicubic', backend='pillow')
    inside = np.s_[top:top + target.shape[0], left:left + target.shape[1]]
    mask = feather(x1 - x0)[inside][..., None]
    target[:] = np.round(mask * face[inside] + (1 - mask) * target).astype(np.uint8)


def feather(side: int) -> np.ndarray:
    """Return a mask ``side,side`` in [0, 1]: near 0 at the border, 1 from FEATHER of the side inwards."""
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    profile = 0.5 - 0.5 * np.cos(np.pi * np.clip(distance / (FEATHER * side), 0, 1))
    return (profile[:, None] * profile).astype(np.float32)
