"""CelebA's text files: its five landmarks, and its split into training, validation and test images."""
import re
from typing import Dict, Iterator, List, Sequence, Set, Tuple

import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare.formats.annotations import Annotations
from dic_plugin.prepare.formats.text import parse_numbers, read_lines
from dic_plugin.prepare.photo import Photo

__all__ = ['is_partition', 'open_five_points', 'read_five_points', 'read_partition']

_ORDER = 'celeba5'
_SPLITS = {'0': 'train', '1': 'val', '2': 'test'}


def open_five_points(path: str, photos: Sequence[Photo]) -> Annotations:
    """Open ``list_landmarks_celeba.txt``."""
    points = read_five_points(path)
    names = list(points)
    return Annotations([path], _ORDER, names, lambda index: [FoundFace(points[names[index]].astype(np.float64))],
                       photos)


def read_five_points(path: str) -> Dict[str, np.ndarray]:
    """Read CelebA's points by image name, each (5, 2) float32: eyes, nose, corners of the mouth, left ones first.

    Left and right are those of the image.

    Args:
        path: ``list_landmarks_celeba.txt``, for the photographs ``img_celeba``, or
            ``list_landmarks_align_celeba.txt``, for the aligned ones: a line with the number of images, a line with the
            columns' names, and a line for every image; or the CSV that Kaggle offers, without the number.

    Raises:
        ValueError: the file is not in this format, or not whole. The message names file and line.
    """
    lines = read_lines(path)
    announced = lines.pop(0)[1] if lines and lines[0][1].isdigit() else None
    if not lines or 'lefteye_x' not in lines[0][1]:
        raise ValueError(
            f"{path}: expected CelebA's list of landmarks, list_landmarks_celeba.txt: the number of images, "
            "then 'lefteye_x lefteye_y ...', then a line for every image.")
    if announced is not None and int(announced) != len(lines) - 1:
        raise ValueError(f'{path}: announces {int(announced)} images, but has {len(lines) - 1}.')
    count = 2 * ORDERS[_ORDER]
    return {
        name: np.array(parse_numbers(values, count, path, number), np.float32).reshape(-1, 2)
        for number, name, values in _rows(lines[1:], count, path)
    }


def is_partition(lines: Sequence[str]) -> bool:
    """Return whether these lines of a text file begin a partition, not a list of names."""
    return any(re.fullmatch(r'\S.*\.\w+[\s,;]+[012]', line) for line in lines[:2])


def read_partition(path: str) -> Dict[str, str]:
    """Read ``list_eval_partition.txt``, or the CSV that Kaggle offers: 'train', 'val' or 'test' by image name.

    Raises:
        ValueError: a line is not ``name 0``, ``name 1`` or ``name 2``, or a name stands twice. The message names file
            and line.
    """
    lines = read_lines(path)
    if lines and lines[0][1].lower().startswith('image_id'):
        lines.pop(0)
    splits: Dict[str, str] = {}
    for number, name, values in _rows(lines, 1, path):
        if not name or values[0] not in _SPLITS:
            raise ValueError(
                f"{path}, line {number}: {' '.join([name, *values]).strip()!r:.80}; expected an image name and 0 "
                '(train), 1 (val) or 2 (test), as in list_eval_partition.txt.')
        splits[name] = _SPLITS[values[0]]
    return splits


def _rows(lines: Sequence[Tuple[int, str]], count: int, path: str) -> Iterator[Tuple[int, str, List[str]]]:
    """Yield number, name and values of each line; a name may hold spaces, and commas if the values stand without."""
    names: Set[str] = set()
    for number, line in lines:
        for comma in (',', ';', None):
            name, *values = line.rsplit(comma, count)
            if len(values) == count:
                break
        if name in names:
            raise ValueError(f'{path}, line {number}: {name!r} stands there again.')
        names.add(name)
        yield number, name.strip(), [value.strip() for value in values] or ['']
