"""A photograph and the faces in it, from the file to what the network takes, with what may spoil the result."""
from typing import List, NamedTuple, Optional

import cv2
import numpy as np

from dic_plugin.data.face_files import decode_rgb
from dic_plugin.faces.cautions import Caution, cautions_of
from dic_plugin.faces.crop import MARGIN
from dic_plugin.faces.face_crop import FaceCrop, crop_aligned, crop_face
from dic_plugin.faces.find import find_faces
from dic_plugin.faces.found_face import Detector

__all__ = ['PhotographFaces', 'Skipped', 'faces_of_photograph', 'read_photograph']


class Skipped(Exception):
    """A photograph cannot be used; the text is the reason, in a few words without the file's name."""


class PhotographFaces(NamedTuple):
    """The faces of a photograph.

    Attributes:
        image: the photograph, uint8 RGB (H, W, 3).
        crops: one per face, the largest first.
        cautions: of each crop.
        left_out: reasons why further faces cannot be cropped.
    """
    image: np.ndarray
    crops: List[FaceCrop]
    cautions: List[List[Caution]]
    left_out: List[str]


def faces_of_photograph(path: str,
                        detector: Optional[Detector],
                        input_size: int = 16,
                        upscale: int = 8,
                        margin: float = MARGIN,
                        min_face: Optional[int] = None) -> PhotographFaces:
    """Read a photograph and crop its faces.

    Args:
        path: the file.
        detector: finds the faces; None if the image is a face crop already, whose central square is taken.
        input_size: side of the network's input in pixels.
        upscale: factor by which the network enlarges.
        margin: see :func:`dic_plugin.faces.crop.square_around`.
        min_face: see :func:`dic_plugin.faces.find.find_faces`.

    Raises:
        Skipped: the file cannot be read, or none of its faces can be cropped.
    """
    image = read_photograph(path)
    crops, left_out = [], []
    if detector is None:
        crops.append(crop_aligned(image, input_size, upscale))
    else:
        for face in find_faces(image, detector, min_face):
            try:
                crops.append(crop_face(image, face, input_size, upscale, margin))
            except ValueError as error:
                left_out.append(str(error))
        if left_out and not crops:
            raise Skipped(left_out[0])
    with open(path, 'rb') as file:
        jpeg = file.read(2) == b'\xff\xd8'  # whatever it is called
    return PhotographFaces(image, crops, [cautions_of(crop, image, jpeg, input_size) for crop in crops], left_out)


def read_photograph(path: str) -> np.ndarray:
    """Read a photograph as it is displayed, uint8 RGB (H, W, 3).

    Raises:
        Skipped: it cannot be read or decoded, with the reason.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read()
    except OSError as error:
        raise Skipped(f'cannot be read ({error.strerror})') from error
    if _is_truncated_jpeg(content):
        raise Skipped('cannot be decoded (the JPEG is truncated)')
    try:
        return decode_rgb(content, 'image')
    except ValueError as error:
        raise Skipped(str(error).replace('image: ', '', 1).rstrip('.')) from error
    except cv2.error as error:  # more pixels than OpenCV allows, for one
        raise Skipped(f'cannot be decoded ({" ".join(str(error).split())})') from error


def _is_truncated_jpeg(content: bytes) -> bool:
    """Return whether the last scan of a JPEG has no end; OpenCV 4 fills such an image with grey without an error."""
    if content[:2] != b'\xff\xd8' or content[-2:] == b'\xff\xd9':
        return False
    # Some cameras append data of their own behind the end, so that it may stand before the end of the file.
    scan = content.rfind(b'\xff\xda')
    return content.find(b'\xff\xd9', max(scan, 0)) < 0
