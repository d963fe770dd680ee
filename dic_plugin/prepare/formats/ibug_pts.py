"""iBUG's ``.pts`` files (300-W, and the tools that write the same): 68 landmarks of one face.

    version: 1
    n_points:  68
    {
    336.820955 240.864510
    ...
    }

Coordinates are Matlab's, with the centre of the top-left pixel at (1, 1). Public copies also have the points alone,
without the lines around them.
"""
from typing import Dict, List, Sequence

import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare.formats.annotations import Annotations
from dic_plugin.prepare.formats.text import parse_numbers, read_lines
from dic_plugin.prepare.photo import Photo

__all__ = ['open_pts', 'read_pts']

_ORDER = 'ibug68'


def open_pts(path: str, files: Dict[str, str], photos: Sequence[Photo]) -> Annotations:
    """Open ``.pts`` files, each for the photograph of its name.

    Args:
        path: The folder, or the only file.
        files: The files by their path in the folder without ending.
        photos: The photographs.
    """
    paths = list(files.values())
    return Annotations([path], _ORDER, list(files), lambda index: [FoundFace(read_pts(paths[index]))], photos)


def read_pts(path: str) -> np.ndarray:
    """Read the landmarks in a file, (68, 2) float64, with the centre of the top-left pixel at (0, 0).

    Raises:
        ValueError: the file is not in this format, or has another number of points. The message names file and line.
    """
    expected = ORDERS[_ORDER]
    points: List[List[float]] = []
    lines = read_lines(path)
    if len(lines) == expected and lines[0][1][0] not in 'v{':
        return np.array([parse_numbers(line.split(), 2, path, number) for number, line in lines]) - 1
    inside = False
    for number, line in lines:
        key, _, value = line.partition(':')
        if not inside and key.strip().lower() == 'n_points' and value.strip() != str(expected):
            raise ValueError(f'{path}, line {number}: has {value.strip()!r} points; expected {expected} (iBUG).')
        if line == '}' and inside:
            if len(points) != expected:
                raise ValueError(f'{path}, line {number}: the points end after {len(points)}; expected {expected}.')
            return np.array(points) - 1
        if inside:
            points.append(parse_numbers(line.split(), 2, path, number))
        inside = inside or line == '{'
    raise ValueError(f"{path}: has {len(lines)} lines; expected {expected} points between '{{' and '}}', as in iBUG's "
                     f'.pts files, or {expected} lines of two numbers.')
