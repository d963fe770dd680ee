"""From photographs to what the network takes: crops by the rule of the training set, shrunk as the training shrinks."""
from dataclasses import dataclass
from typing import Optional

import mmcv
import numpy as np

from dic_plugin.data.degradation import make_lq
from dic_plugin.faces.crop import MARGIN, Placement, cut, place, square_around
from dic_plugin.faces.found_face import Box, FoundFace


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """A face, cut out.

    Attributes:
        lq: what the network takes, ``h,h,3`` uint8 RGB.
        crop: the face as the photograph has it, in the size of the result, ``H,H,3`` uint8 RGB.
        box: the square in the photograph, (x0, y0, x1, y1) in whole pixels, x1 and y1 excluded; parts of it may lie
            outside.
        found: the face that was found in the photograph; None for a file that is a face crop already.
    """
    lq: np.ndarray
    crop: np.ndarray
    box: Box
    found: Optional[FoundFace] = None

    @property
    def side(self) -> int:
        """Of the square in the photograph, in pixels."""
        return self.box[2] - self.box[0]

    def to_photograph(self, landmarks: np.ndarray) -> np.ndarray:
        """Convert landmarks ``K,2`` from pixels of ``crop`` or of the result to pixels of the photograph."""
        return (landmarks + 0.5) * (self.side / len(self.crop)) - 0.5 + np.array(self.box[:2])


def crop_face(photo: np.ndarray,
              face: FoundFace,
              input_size: int = 16,
              upscale: int = 8,
              margin: float = MARGIN) -> FaceCrop:
    """Cut out a face as the preparation of training data does.

    Args:
        photo: uint8 RGB (H, W, 3).
        face: found in it.
        input_size: side of what the network takes.
        upscale: by how much the network enlarges.
        margin: room around the landmarks, see :func:`dic_plugin.faces.crop.square_around`.

    Raises:
        ValueError: the square lies outside the photograph.
    """
    placement = place(square_around(face.landmarks, margin), face.landmarks, photo.shape[1], photo.shape[0])
    return _crop(photo, placement, input_size, upscale, face)


def crop_aligned(image: np.ndarray, input_size: int = 16, upscale: int = 8) -> FaceCrop:
    """Take an image that is a face crop already: the whole of it or, where it is not square, its central square."""
    height, width = image.shape[:2]
    side = min(height, width)
    x0, y0 = (width - side) // 2, (height - side) // 2
    placement = Placement((x0, y0, x0 + side, y0 + side), (0, 0), (0, 0, 0, 0))
    return _crop(image, placement, input_size, upscale, None)


def _crop(photo: np.ndarray, placement: Placement, input_size: int, upscale: int,
          found: Optional[FoundFace]) -> FaceCrop:
    side = placement.box[2] - placement.box[0]
    size = input_size * upscale
    nowhere = np.zeros((0, 2))
    crop, _ = cut(photo, placement, nowhere, size)
    if side >= size:  # exactly the training data: to the size of the ground truth, 8 bits, then to that of the input
        lq = make_lq(crop, upscale)
    else:
        # In one step: by way of an enlarged crop the network would get a blurred face, which costs 1.4 dB at 16 pixels
        # and 0.2 at 24 (docs/inference.md).
        lq, _ = cut(photo, placement, nowhere, input_size)
    return FaceCrop(lq, crop, placement.box, found)


def enlarge(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a square image with Pillow's bicubic filter, for comparison with a result."""
    return mmcv.imresize(image, (size, size), interpolation='bicubic', backend='pillow')
