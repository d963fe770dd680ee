"""The published DIC lists: pickled dicts from image name to ``landmark`` and ``bbox``, or to bare landmarks.

The list of the training images holds ``{'landmark': [[x, y], ...], 'bbox': [x0, y0, x1, y1]}`` for every image; that
of the test images the landmarks alone, whose images are already cropped.
"""
import numbers
from dataclasses import replace
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from dic_plugin.faces.found_face import Box, FoundFace
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare.formats.annotations import Annotations
from dic_plugin.prepare.formats.restricted_pickle import load_plain_pickle
from dic_plugin.prepare.photo import Photo

__all__ = ['open_dic_lists', 'read_dic_list']

_ORDER_OF = {count: order for order, count in ORDERS.items()}


def open_dic_lists(paths: Sequence[str], photos: Sequence[Photo]) -> Annotations:
    """Open one or several lists, of training and test images.

    Raises:
        ValueError: as :func:`read_dic_list`; the lists differ in their number of landmarks, or about an image.
    """
    faces = read_dic_list(paths[0])
    num_points = len(next(iter(faces.values())).landmarks)
    for path in paths[1:]:
        for name, face in read_dic_list(path).items():
            if len(face.landmarks) != num_points:
                raise ValueError(f'{path}: has {len(face.landmarks)} landmarks per face, but the lists before it '
                                 f'{num_points}.')
            known = faces.get(name, face)
            if not np.array_equal(
                    known.landmarks, face.landmarks, equal_nan=True) or (known.box and face.box
                                                                         and known.box != face.box):
                raise ValueError(f'{path}: {name!r} also stands in a list before it, with other values.')
            faces[name] = face if face.box else known
    names = list(faces)

    def faces_of(index: int) -> list:
        face = faces[names[index]]
        return [replace(face, landmarks=face.landmarks.astype(np.float64))]

    return Annotations(paths, _ORDER_OF[num_points], names, faces_of, photos)


def read_dic_list(path: str) -> Dict[str, FoundFace]:
    """Read one list: a face for each image name, with landmarks (K, 2) float32.

    Raises:
        ValueError: it is no such list, or a face in it is not as it must be. The message names file and image.
    """
    content = load_plain_pickle(path)
    if not isinstance(content, dict) or not content or not all(isinstance(name, (str, bytes)) for name in content):
        raise ValueError(f'{path}: expected a dict from image names to landmarks, as the published DIC lists are.')
    faces: Dict[str, FoundFace] = {}
    for key in list(content):
        where = f'{path}: {_decode(key)!r}'
        points, box = _parse(content.pop(key), where)  # the lists take 20 times the memory of the arrays
        first, face = next(iter(faces.items()), ('', None))
        if face and len(points) != len(face.landmarks):
            raise ValueError(f'{where} has {len(points)} landmarks, but {first!r} has {len(face.landmarks)}.')
        faces[_decode(key)] = FoundFace(points, box)
    return faces


def _decode(name: Any) -> str:
    """Return a name as text. Python 2 wrote the bytes that the file system had: UTF-8, but for rare files."""
    try:
        return (name if isinstance(name, bytes) else name.encode('latin1')).decode('utf-8')
    except UnicodeError:
        return name if isinstance(name, str) else name.decode('latin1')


def _parse(entry: Any, where: str) -> Tuple[np.ndarray, Optional[Box]]:
    box = None
    if isinstance(entry, dict):
        if 'landmark' not in entry:
            raise ValueError(f"{where} has no 'landmark'; it has {sorted(map(str, entry))}.")
        if entry.get('bbox') is not None:
            box = _parse_box(entry['bbox'], where)
        entry = entry['landmark']
    try:
        with np.errstate(over='ignore'):  # becomes infinity, which Annotations.find tells
            points = np.array(entry, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where} has landmarks that are not numbers in pairs: {error}') from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in _ORDER_OF:
        raise ValueError(f'{where} has landmarks of shape {points.shape}; expected (K, 2) with K one of '
                         f'{sorted(_ORDER_OF)}.')
    return points, box


def _parse_box(box: Any, where: str) -> Box:
    edges = np.ravel(box).tolist() if isinstance(box, (list, tuple, np.ndarray)) else []
    if len(edges) == 4 and all(isinstance(edge, numbers.Real) and float(edge).is_integer() for edge in edges):
        x0, y0, x1, y1 = (int(edge) for edge in edges)
        if x0 < x1 and y0 < y1 and max(map(abs, (x0, y0, x1, y1))) < 2**31:
            return x0, y0, x1, y1
    raise ValueError(f"{where} has the 'bbox' {str(box):.80}; expected [x0, y0, x1, y1] in whole pixels, x0 < x1 and "
                     'y0 < y1.')
