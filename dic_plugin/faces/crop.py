"""The square around a face, and its pixels. Pure functions; coordinates as in :mod:`dic_plugin.faces.found_face`."""
import math
from typing import NamedTuple, Tuple

import mmcv
import numpy as np

from dic_plugin.data.geometry import crop_resize
from dic_plugin.faces.found_face import Box

__all__ = ['MARGIN', 'Placement', 'cut', 'place', 'square_around', 'square_of_box']

# Room on each side, as a part of the landmarks' larger extent; the same as that of the synthetic faces.
MARGIN = 0.25


class Placement(NamedTuple):
    """Position of a crop.

    Attributes:
        box: The square; parts of it may lie outside the photograph.
        moved: By how much (dx, dy) it was moved to reach outside less.
        padding: Columns and rows of it that lie outside: (left, top, right, bottom).
    """
    box: Box
    moved: Tuple[int, int]
    padding: Tuple[int, int, int, int]


def square_around(landmarks: np.ndarray, margin: float = MARGIN) -> Box:
    """Return the square centred on the landmarks' bounding box, with ``1 + 2 * margin`` times its larger side.

    Args:
        landmarks: (K, 2), finite.
        margin: Not negative.

    >>> square_around(np.array([[10., 10.], [40., 20.]]), 0.25)
    (3, -7, 48, 38)
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    first, last = _outermost_pixels(landmarks)
    side = max(_round((1 + 2 * margin) * float((high - low).max())), *(b - a + 1 for a, b in zip(first, last)))
    # rounding must not push a landmark out where there is no margin
    x0, y0 = (min(max(_round(float(centre) - (side - 1) / 2), b - side + 1), a)
              for centre, a, b in zip((low + high) / 2, first, last))
    return x0, y0, x0 + side, y0 + side


def square_of_box(box: Box) -> Box:
    """Return the box as a square: its shorter side is extended on both ends.

    Raises:
        ValueError: the box is empty.
    """
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f'The box {tuple(box)} is empty; expected (x0, y0, x1, y1) with x0 < x1 and y0 < y1.')
    side = max(x1 - x0, y1 - y0)
    x0, y0 = x0 - (side - (x1 - x0)) // 2, y0 - (side - (y1 - y0)) // 2
    return x0, y0, x0 + side, y0 + side


def place(box: Box, landmarks: np.ndarray, width: int, height: int) -> Placement:
    """Move a square that reaches over the border of a photograph inside, as far as it keeps its landmarks.

    What still lies outside has to be padded. A square inside the photograph stays where it is.

    Args:
        box: The square.
        landmarks: (K, 2), finite.
        width: Of the photograph.
        height: Of the photograph.
    """
    (first_x, first_y), (last_x, last_y) = _outermost_pixels(landmarks)
    x0, y0, x1, y1 = box
    side = x1 - x0
    dx, dy = _shift(x0, side, width, first_x, last_x), _shift(y0, side, height, first_y, last_y)
    x0, y0, x1, y1 = x0 + dx, y0 + dy, x1 + dx, y1 + dy
    outside = (-x0, -y0, x1 - width, y1 - height)
    left, top, right, bottom = (min(max(pixels, 0), side) for pixels in outside)
    return Placement((x0, y0, x1, y1), (dx, dy), (left, top, right, bottom))


def cut(img: np.ndarray, placement: Placement, landmarks: np.ndarray, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Cut out the crop and resize it with Pillow's bicubic filter; the photograph's border pixels are repeated.

    Args:
        img: The photograph, uint8 (H, W, C).
        placement: Of :func:`place`, for this photograph.
        landmarks: (K, 2).
        size: Side of the result.

    Returns:
        uint8 (size, size, C), and the landmarks in it, (K, 2) float32.

    Raises:
        ValueError: the box has no pixel in common with the photograph.
    """
    box, padding = placement.box, placement.padding
    if any(padding):
        x0, y0, x1, y1 = box
        left, top, right, bottom = padding
        # of the photograph, only the pixels that are needed: padding copies them
        inside = img[y0 + top:y1 - bottom, x0 + left:x1 - right]
        if not inside.size:
            raise ValueError(f'The crop {box} lies outside the photograph of {img.shape[1]}x{img.shape[0]}.')
        img = mmcv.impad(inside, padding=padding, padding_mode='edge')
        landmarks = landmarks - np.array([x0, y0])
        box = (0, 0, x1 - x0, y1 - y0)
    crop, moved = crop_resize(img, landmarks.astype(np.float64), box, (size, size))
    assert moved is not None  # as there were landmarks
    return crop, moved.astype(np.float32)


def _outermost_pixels(landmarks: np.ndarray) -> Tuple[Tuple[int, int], Tuple[int, int]]:
    """Return column and row of the pixels that the landmarks furthest to the left and top, right and bottom lie in."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return (_round(low[0]), _round(low[1])), (_round(high[0]), _round(high[1]))


def _shift(start: int, side: int, length: int, first: int, last: int) -> int:
    """Return the smallest move that leaves least of ``start``..``start + side`` outside 0..``length``, no landmark."""
    spare = length - side
    shift = min(max(start, min(spare, 0)), max(spare, 0)) - start
    if shift > 0:
        return max(min(shift, first - start), 0)
    return min(max(shift, last - start - side + 1), 0)


def _round(value: float) -> int:
    return math.floor(value + 0.5)
