"""The square around a face, and its pixels in the sizes of the network. Coordinates are those of ``found_face``."""
import math
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Sequence, Tuple

import mmcv
import numpy as np

from dic_plugin.data.degradation import make_lq
from dic_plugin.data.geometry import crop_resize
from dic_plugin.faces.found_face import Box, FoundFace

# Room on each side, as a fraction of the landmarks' larger extent; the same as that of the synthetic faces.
MARGIN = 0.25


class Placement(NamedTuple):
    """Position of a crop."""
    box: Box  # the square; parts of it may lie outside the photograph
    moved: Tuple[int, int] = (0, 0)  # its displacement (dx, dy) towards the photograph
    padding: Tuple[int, int, int, int] = (0, 0, 0, 0)  # its columns and rows outside: (left, top, right, bottom)


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """A face cut out of a photograph. Images are uint8 RGB."""
    lq: np.ndarray  # the input of the network, h,h,3
    crop: np.ndarray  # the face in the photograph, in the size of the result, H,H,3
    box: Box  # the square in the photograph; parts of it may lie outside
    found: Optional[FoundFace] = None  # None for a file that is a face crop already

    @property
    def side(self) -> int:
        """Side of the square in the photograph, in pixels."""
        return self.box[2] - self.box[0]

    def to_photograph(self, landmarks: np.ndarray) -> np.ndarray:
        """Convert landmarks ``K,2`` from pixels of ``crop`` or of the result to pixels of the photograph."""
        return (landmarks + 0.5) * (self.side / len(self.crop)) - 0.5 + np.array(self.box[:2])


def square_around(landmarks: np.ndarray, margin: float = MARGIN) -> Box:
    """Return the square centred on the landmarks' bounding box, with ``1 + 2 * margin`` times its larger side.

    Args:
        landmarks: (K, 2), finite.
        margin: Not negative.

    >>> square_around(np.array([[10., 10.], [40., 20.]]), 0.25)
    (3, -7, 48, 38)
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    first, last = _round(low), _round(high)
    side = max(math.floor((1 + 2 * margin) * (high - low).max() + 0.5), *(b - a + 1 for a, b in zip(first, last)))
    # rounding must not push a landmark out where there is no margin
    x0, y0 = (min(max(start, b - side + 1), a)
              for start, a, b in zip(_round((low + high) / 2 - (side - 1) / 2), first, last))
    return x0, y0, x0 + side, y0 + side


def square_of_box(box: Box) -> Box:
    """Return the box as a square: its shorter side is extended at both ends.

    Raises:
        ValueError: The box is empty.
    """
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f'The box {tuple(box)} is empty; expected (x0, y0, x1, y1) with x0 < x1 and y0 < y1.')
    side = max(x1 - x0, y1 - y0)
    x0, y0 = x0 - (side - (x1 - x0)) // 2, y0 - (side - (y1 - y0)) // 2
    return x0, y0, x0 + side, y0 + side


def place(box: Box, landmarks: np.ndarray, width: int, height: int) -> Placement:
    """Move a square that reaches over the border of a photograph inside, as far as it keeps its landmarks.

    The rest outside has to be padded. A square inside the photograph stays in its place.

    Args:
        box: The square.
        landmarks: (K, 2), finite.
        width: Of the photograph.
        height: Of the photograph.
    """
    side = box[2] - box[0]
    dx, dy = (_shift(start, side, length, first, last)
              for start, length, first, last in zip(box, (width, height), _round(landmarks.min(
                  axis=0)), _round(landmarks.max(axis=0))))
    x0, y0, x1, y1 = box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy
    left, top, right, bottom = (min(max(pixels, 0), side) for pixels in (-x0, -y0, x1 - width, y1 - height))
    return Placement((x0, y0, x1, y1), (dx, dy), (left, top, right, bottom))


def _shift(start: int, side: int, length: int, first: int, last: int) -> int:
    """Return the smallest move that leaves least of ``start``..``start + side`` outside 0..``length``, no landmark."""
    spare = length - side
    shift = min(max(start, min(spare, 0)), max(spare, 0)) - start
    return max(min(shift, first - start), 0) if shift > 0 else min(max(shift, last - start - side + 1), 0)


def _round(values: Sequence[float]) -> List[int]:
    """Return the pixels in which coordinates lie."""
    return [math.floor(value + 0.5) for value in values]


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
        ValueError: The box has no pixel in common with the photograph.
    """
    (x0, y0, x1, y1), (left, top, right, bottom) = placement.box, placement.padding
    inside = img[y0 + top:y1 - bottom, x0 + left:x1 - right]
    if not inside.size:
        raise ValueError(f'The crop {placement.box} lies outside the photograph of {img.shape[1]}x{img.shape[0]}.')
    padded = mmcv.impad(inside, padding=placement.padding, padding_mode='edge')
    local = landmarks.astype(np.float64) - (x0, y0)
    crop, moved = crop_resize(padded, local, (0, 0, x1 - x0, y1 - y0), (size, size))
    assert moved is not None  # as there were landmarks
    return crop, moved.astype(np.float32)


def crop_face(photo: np.ndarray,
              face: Optional[FoundFace],
              input_size: int = 16,
              upscale: int = 8,
              margin: float = MARGIN) -> FaceCrop:
    """Cut out a face as the preparation of training data does.

    Args:
        photo: uint8 RGB (H, W, 3).
        face: Found in it; None for an image that is a face crop already, whose central square is taken.
        input_size: Side of the network's input.
        upscale: Factor by which the network enlarges.
        margin: See :func:`square_around`.

    Raises:
        ValueError: The square lies outside the photograph.
    """
    height, width = photo.shape[:2]
    if face is None:
        side = min(height, width)
        x0, y0 = (width - side) // 2, (height - side) // 2
        placement = Placement((x0, y0, x0 + side, y0 + side))
    else:
        placement = place(square_around(face.landmarks, margin), face.landmarks, width, height)
    nowhere = np.zeros((0, 2))
    crop, _ = cut(photo, placement, nowhere, input_size * upscale)
    if placement.box[2] - placement.box[0] >= len(crop):  # as the training data: 8 bits in both sizes
        lq = make_lq(crop, upscale)
    else:
        # In one step: by way of an enlarged crop the network would get a blurred face, which costs 1.4 dB at 16 pixels
        # and 0.2 at 24 (docs/inference.md).
        lq, _ = cut(photo, placement, nowhere, input_size)
    return FaceCrop(lq, crop, placement.box, face)


def enlarge(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a square image with Pillow's bicubic filter, for comparison with a result."""
    return mmcv.imresize(image, (size, size), interpolation='bicubic', backend='pillow')
