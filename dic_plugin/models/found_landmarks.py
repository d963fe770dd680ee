"""The file with the landmarks that a tested network found: an annotation file with one more array.

    published_landmarks (N, K, 2) float32   the same, decoded as by the published evaluation (``subpixel=False``)
"""
import os
from typing import Any, Dict, NamedTuple, Sequence, Tuple, Union

import numpy as np

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.utils.atomic_write import atomic_write


class FoundLandmarks(NamedTuple):
    """Landmarks that a network found on one face.

    Attributes:
        name: Of the image, without extension.
        image_size: Width and height of the image that they are in pixels of.
        subpixel, published: ``K,2`` by both ways of decoding, see decode_heatmaps.
    """
    name: str
    image_size: Tuple[int, int]
    subpixel: np.ndarray
    published: np.ndarray


def found_landmarks_file(pictures: Union[str, os.PathLike]) -> str:
    """Return the path of the file that belongs to a folder of pictures."""
    return f'{os.fspath(pictures)}_landmarks.npz'


def save_found_landmarks(path: str, faces: Sequence[FoundLandmarks]) -> None:
    """Write the file; it appears whole or not at all.

    Raises:
        ValueError: Two faces have one name, or landmarks are not finite; see FaceAnnotations.
        OSError: The file cannot be written.
    """
    names, sizes, subpixel, published = (np.array(values) for values in zip(*faces))
    num_keypoints = subpixel.shape[1]
    order = next((name for name, number in ORDERS.items() if number == num_keypoints), f'points{num_keypoints}')
    arrays: Dict[str, Any] = dict(names=names, landmarks=subpixel.astype(np.float32), image_size=sizes.astype(np.int32))
    FaceAnnotations(order=order, **arrays)  # checks them
    with atomic_write(path) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(file, order=np.array(order), published_landmarks=published.astype(np.float32), **arrays)


def load_found_landmarks(path: str) -> Dict[str, Dict[bool, np.ndarray]]:
    """Return landmarks ``K,2`` by name of the image and value of ``subpixel``, as landmark_errors takes them."""
    faces = FaceAnnotations.load(path)
    with np.load(path, allow_pickle=False) as file:
        published = file['published_landmarks']
    return {name: {True: faces.landmarks[row], False: published[row]} for row, name in enumerate(faces.names.tolist())}
