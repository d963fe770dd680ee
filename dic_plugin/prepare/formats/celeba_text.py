"""CelebA's text files: its five landmarks, and its split into training, validation and test images."""
from typing import Dict, Sequence

import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare.formats.annotations import Annotations
from dic_plugin.prepare.formats.text import parse_numbers, read_lines
from dic_plugin.prepare.photo import Photo

__all__ = ['open_five_points', 'read_five_points', 'read_partition']

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
            columns' names, and a line for every image.

    Raises:
        ValueError: the file is not in this format, or not whole. The message names file and line.
    """
    lines = read_lines(path)
    if len(lines) < 2 or not lines[0][1].isdigit() or not lines[1][1].startswith('lefteye_x'):
        raise ValueError(
            f"{path}: expected CelebA's list of landmarks, list_landmarks_celeba.txt: the number of images, "
            "then 'lefteye_x lefteye_y ...', then a line for every image.")
    if int(lines[0][1]) != len(lines) - 2:
        raise ValueError(f'{path}: announces {int(lines[0][1])} images, but has {len(lines) - 2}.')
    points: Dict[str, np.ndarray] = {}
    for number, line in lines[2:]:
        name, *texts = line.split()
        if name in points:
            raise ValueError(f'{path}, line {number}: {name!r} stands there again.')
        points[name] = np.array(parse_numbers(texts, 2 * ORDERS[_ORDER], path, number), np.float32).reshape(-1, 2)
    return points


def read_partition(path: str) -> Dict[str, str]:
    """Read ``list_eval_partition.txt``: 'train', 'val' or 'test' by image name.

    Raises:
        ValueError: a line is not ``name 0``, ``name 1`` or ``name 2``, or a name stands twice. The message names file
            and line.
    """
    splits: Dict[str, str] = {}
    for number, line in read_lines(path):
        name, _, split = line.replace('\t', ' ').rpartition(' ')
        name = name.strip()
        if not name or split not in _SPLITS:
            raise ValueError(f"{path}, line {number}: {line!r:.80}; expected an image name and 0 (train), 1 (val) or 2 "
                             '(test), as in list_eval_partition.txt.')
        if name in splits:
            raise ValueError(f'{path}, line {number}: {name!r} stands there again.')
        splits[name] = _SPLITS[split]
    return splits
