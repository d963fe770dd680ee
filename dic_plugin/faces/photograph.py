"""The faces of a photograph, from the file to the network's input, with cautions; for command line and page alike."""
from typing import List, NamedTuple, Optional

import numpy as np

from dic_plugin.data.image_file import Picture, decode_image
from dic_plugin.faces.cautions import Caution, cautions_of
from dic_plugin.faces.crop import MARGIN, FaceCrop, crop_face
from dic_plugin.faces.find import find_faces
from dic_plugin.faces.found_face import Detector
from dic_plugin.utils.regular_file import open_regular


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
    picture = read_photograph(path)
    image = picture.pixels
    crops, left_out = [], []
    for face in [None] if detector is None else find_faces(image, detector, min_face):
        try:
            crops.append(crop_face(image, face, input_size, upscale, margin))
        except ValueError as error:
            left_out.append(str(error))
    if left_out and not crops:
        raise Skipped(left_out[0])
    notes = [Caution(note, 'photograph') for note in picture.notes]
    cautions = [notes + cautions_of(crop, image, picture.is_jpeg, input_size) for crop in crops]
    return PhotographFaces(image, crops, cautions, left_out)


def read_photograph(path: str) -> Picture:
    """Read a photograph as it is displayed.

    Raises:
        Skipped: It cannot be read or decoded, with the reason.
    """
    try:
        with open_regular(path, 'rb') as file:
            return decode_image(file.read(), 'image')
    except OSError as error:
        raise Skipped(f'cannot be read ({error.strerror})') from error
    except ValueError as error:
        raise Skipped(str(error).removeprefix('image: ').rstrip('.')) from error
