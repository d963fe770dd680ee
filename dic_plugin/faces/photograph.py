"""The faces of a photograph, from the file to the network's input, with cautions; for command line and page alike."""
from typing import List, NamedTuple, Optional

import cv2
import numpy as np

from dic_plugin.data.face_files import decode_rgb
from dic_plugin.faces.cautions import Caution, cautions_of
from dic_plugin.faces.crop import MARGIN, FaceCrop, crop_face
from dic_plugin.faces.find import find_faces
from dic_plugin.faces.found_face import Detector


class Skipped(Exception):
    """A photograph cannot be used; the text is the reason, in a few words without the file's name."""


class PhotographFaces(NamedTuple):
    """The faces of a photograph."""
    image: np.ndarray  # uint8 RGB (H, W, 3)
    crops: List[FaceCrop]  # the largest first
    cautions: List[List[Caution]]  # those of each crop
    left_out: List[str]  # reasons why further faces cannot be cropped


def faces_of_photograph(path: str,
                        detector: Optional[Detector],
                        input_size: int = 16,
                        upscale: int = 8,
                        margin: float = MARGIN,
                        min_face: Optional[int] = None) -> PhotographFaces:
    """Read a photograph and crop its faces.

    Args:
        path: The file.
        detector: Finds the faces; None if the image is a face crop already, whose central square is taken.
        input_size: Side of the network's input in pixels.
        upscale: Factor by which the network enlarges.
        margin: See :func:`dic_plugin.faces.crop.square_around`.
        min_face: See :func:`dic_plugin.faces.find.find_faces`.

    Raises:
        Skipped: The file cannot be read, or none of its faces can be cropped.
    """
    image = read_photograph(path)
    crops, left_out = [], []
    for face in [None] if detector is None else find_faces(image, detector, min_face):
        try:
            crops.append(crop_face(image, face, input_size, upscale, margin))
        except ValueError as error:
            left_out.append(str(error))
    if left_out and not crops:
        raise Skipped(left_out[0])
    with open(path, 'rb') as file:
        jpeg = file.read(2) == JPEG  # whatever its name
    return PhotographFaces(image, crops, [cautions_of(crop, image, jpeg, input_size) for crop in crops], left_out)


JPEG, SCAN, END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'  # markers in a JPEG


def read_photograph(path: str) -> np.ndarray:
    """Read a photograph as it is displayed, uint8 RGB (H, W, 3).

    Raises:
        Skipped: It cannot be read or decoded, with the reason.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read()
    except OSError as error:
        raise Skipped(f'cannot be read ({error.strerror})') from error
    # OpenCV 4 fills a truncated JPEG with grey without an error. Some cameras append data behind the end.
    if content.startswith(JPEG) and content.find(END, max(content.rfind(SCAN), 0)) < 0:
        raise Skipped('cannot be decoded (the JPEG is truncated)')
    try:
        return decode_rgb(content, 'image')
    except ValueError as error:
        raise Skipped(str(error).removeprefix('image: ').rstrip('.')) from error
    except cv2.error as error:  # for example more pixels than OpenCV allows
        raise Skipped(f'cannot be decoded ({" ".join(str(error).split())})') from error
