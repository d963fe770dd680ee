"""Helen's own annotations: ``annotation/1.txt`` ... ``2330.txt``, 194 landmarks each.

The first line is the image's name without ending, which the name of the file does not tell; every other line a point:

    232194_1
    1025.470000 , 1150.040000
    ...
"""
import os
from typing import Dict, List, Sequence, Tuple

import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare.formats.annotations import Annotations
from dic_plugin.prepare.formats.text import parse_numbers, read_lines
from dic_plugin.prepare.photo import Photo
from dic_plugin.utils.regular_file import open_regular

__all__ = ['open_helen', 'read_helen']

_ORDER = 'helen194'


def open_helen(path: str, files: Sequence[str], photos: Sequence[Photo]) -> Annotations:
    """Open Helen's files, each for the photograph that its first line names.

    Args:
        path: The folder, or the only file.
        files: The files.
        photos: The photographs.

    Raises:
        ValueError: two files name the same image.
    """
    file_of: Dict[str, str] = {}
    bad_files: List[Tuple[str, str]] = []
    for file in files:
        try:
            name = _image_name(file)
        except ValueError as error:
            bad_files.append((file, str(error)))
            continue
        if name in file_of:
            raise ValueError(f'{file}: annotates the image {name!r}, as {os.path.basename(file_of[name])} does.')
        file_of[name] = file
    paths = list(file_of.values())
    return Annotations([path],
                       _ORDER,
                       list(file_of),
                       lambda index: [FoundFace(read_helen(paths[index]))],
                       photos,
                       bad_files=bad_files)


def _image_name(path: str) -> str:
    with open_regular(path, encoding='utf-8-sig') as file:
        try:
            name = file.readline(1000).strip()
        except UnicodeDecodeError as error:
            raise ValueError(f'{path}: not a text file in UTF-8: {error}') from error
    if not name or ',' in name:
        raise ValueError(f"{path}, line 1: {name!r:.80} is no image name; expected one, as in Helen's annotations.")
    return name


def read_helen(path: str) -> np.ndarray:
    """Read the landmarks in a file, (194, 2) float64.

    Raises:
        ValueError: the file is not in this format, or has another number of points. The message names file and line.
    """
    expected = ORDERS[_ORDER]
    lines = read_lines(path)[1:]
    points = [parse_numbers(line.split(','), 2, path, number) for number, line in lines]
    if len(points) != expected:
        last = lines[-1][0] if lines else 1
        raise ValueError(f'{path}, line {last}: the file ends after {len(points)} points; expected {expected} (Helen).')
    return np.array(points)
