"""The published DIC lists: pickled dicts from image name to ``landmark`` and ``bbox``, or to bare landmarks.

The list of the training images holds ``{'landmark': [[x, y], ...], 'bbox': [x0, y0, x1, y1]}`` for every image; that
of the test images the landmarks alone, whose images are already cropped.
"""
import numbers
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy as np

from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare.formats.restricted_pickle import load_plain_pickle
from dic_plugin.prepare.formats.sources import TableSource
from dic_plugin.prepare.photo import Photo

__all__ = ['DicList', 'open_dic_lists', 'read_dic_list']

_ORDER_OF = {count: order for order, count in ORDERS.items()}


class DicList(NamedTuple):
    """What a list holds.

    Attributes:
        names: (N,) image names.
        landmarks: (N, K, 2) float32.
        boxes: (N, 4) int64, four zeros where the list gives no box.
    """
    names: List[str]
    landmarks: np.ndarray
    boxes: np.ndarray


def open_dic_lists(paths: Sequence[str], photos: Sequence[Photo]) -> TableSource:
    """One or several lists, of training and test images, as one source.

    Raises:
        ValueError: as :func:`read_dic_list`; the lists differ in their number of landmarks, or about an image.
    """
    merged = read_dic_list(paths[0])
    for path in paths[1:]:
        merged = _merge(merged, read_dic_list(path), path)
    order = _ORDER_OF[merged.landmarks.shape[1]]
    return TableSource(paths, order, merged.names, merged.landmarks, photos, merged.boxes)


def read_dic_list(path: str) -> DicList:
    """Read one list.

    Raises:
        ValueError: it is no such list, or a face in it is not as it must be. The message names file and image.
    """
    content = load_plain_pickle(path)
    if not isinstance(content, dict) or not content or not all(isinstance(name, (str, bytes)) for name in content):
        raise ValueError(f'{path}: expected a dict from image names to landmarks, as the published DIC lists are.')
    keys = list(content)
    num_points = None
    landmarks = np.empty((0, 0, 2), np.float32)
    boxes = np.zeros((len(keys), 4), np.int64)
    for row, key in enumerate(keys):
        where = f'{path}: {_decode(key)!r}'
        points, boxes[row] = _parse(content.pop(key), where)  # the lists take 20 times the memory of the array
        if num_points is None:
            num_points = len(points)
            landmarks = np.empty((len(keys), num_points, 2), np.float32)
        if len(points) != num_points:
            raise ValueError(f'{where} has {len(points)} landmarks, but {_decode(keys[0])!r} has {num_points}.')
        landmarks[row] = points
    # Copies, made only now: the file's own strings lie scattered in the memory of its lists, and would hold all of it.
    return DicList([_decode(key) for key in keys], landmarks, boxes)


def _decode(name: Any) -> str:
    """A name as text. Python 2 wrote the bytes that the file system had: UTF-8, but for rare files."""
    try:
        return (name if isinstance(name, bytes) else name.encode('latin1')).decode('utf-8')
    except UnicodeError:
        return name if isinstance(name, str) else name.decode('latin1')


def _parse(entry: Any, where: str) -> Tuple[np.ndarray, Sequence[int]]:
    box: Sequence[int] = (0, 0, 0, 0)
    if isinstance(entry, dict):
        if 'landmark' not in entry:
            raise ValueError(f"{where} has no 'landmark'; it has {sorted(map(str, entry))}.")
        if entry.get('bbox') is not None:
            box = _parse_box(entry['bbox'], where)
        entry = entry['landmark']
    try:
        with np.errstate(over='ignore'):  # becomes infinity, which finite_faces tells
            points = np.array(entry, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where} has landmarks that are not numbers in pairs: {error}') from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in _ORDER_OF:
        raise ValueError(f'{where} has landmarks of shape {points.shape}; expected (K, 2) with K one of '
                         f'{sorted(_ORDER_OF)}.')
    return points, box


def _parse_box(box: Any, where: str) -> List[int]:
    edges = np.ravel(box).tolist() if isinstance(box, (list, tuple, np.ndarray)) else []
    if len(edges) == 4 and all(isinstance(edge, numbers.Real) and float(edge).is_integer() for edge in edges):
        x0, y0, x1, y1 = (int(edge) for edge in edges)
        if x0 < x1 and y0 < y1 and max(map(abs, (x0, y0, x1, y1))) < 2**31:
            return [x0, y0, x1, y1]
    raise ValueError(f"{where} has the 'bbox' {str(box):.80}; expected [x0, y0, x1, y1] in whole pixels, x0 < x1 and "
                     'y0 < y1.')


def _merge(first: DicList, second: DicList, path: str) -> DicList:
    """Both lists' images; what they both hold must be the same, but one may lack the box."""
    if first.landmarks.shape[1] != second.landmarks.shape[1]:
        raise ValueError(f'{path}: has {second.landmarks.shape[1]} landmarks per face, but the lists before it '
                         f'{first.landmarks.shape[1]}.')
    row_of = {name: row for row, name in enumerate(first.names)}
    new = np.array([name not in row_of for name in second.names])
    for row in np.flatnonzero(~new).tolist():
        name = second.names[row]
        known = row_of[name]
        box, known_box = second.boxes[row], first.boxes[known]
        same_box = np.array_equal(box, known_box) or not (box.any() and known_box.any())
        if not same_box or not np.array_equal(second.landmarks[row], first.landmarks[known], equal_nan=True):
            raise ValueError(f'{path}: {name!r} also stands in a list before it, with other values.')
        first.boxes[known] = box if box.any() else known_box
    return DicList(first.names + [second.names[row] for row in np.flatnonzero(new).tolist()],
                   np.concatenate([first.landmarks, second.landmarks[new]]),
                   np.concatenate([first.boxes, second.boxes[new]]))
