"""OpenFace's CSV files: a row for every face, with ``x_0..x_67``, ``y_0..y_67``, ``confidence`` and ``success``.

Its header has a space after each comma. ``FaceLandmarkImg`` writes a file for every image, named after it, without
``success``; ``FeatureExtraction`` one for a folder, in which the images are numbered from 1 in ``frame``. A file for
many images may also name them in a column of its own.
"""
import csv
import os
from array import array
from collections import defaultdict
from operator import itemgetter
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.faces.photograph import Skipped
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare.formats.annotations import Annotations
from dic_plugin.prepare.formats.text import parse_numbers
from dic_plugin.prepare.photo import Photo
from dic_plugin.utils.regular_file import open_regular

__all__ = ['OpenFaceTable', 'open_openface_files', 'open_openface_table', 'read_openface']

MIN_CONFIDENCE = 0.5
NAME_COLUMNS = ('filename', 'file', 'image', 'image_name', 'name')

_ORDER = 'ibug68'
_NUM_POINTS = ORDERS[_ORDER]


class OpenFaceTable(NamedTuple):
    """The rows of a file.

    Attributes:
        landmarks: (N, 68, 2) float32.
        confidence: (N,) float64, 0 to 1.
        success: (N,) bool; True where the file has no such column.
        names: the image of every row, if a column holds it.
        frames: the number of the image of every row from 1, if a column tells it.
    """
    landmarks: np.ndarray
    confidence: np.ndarray
    success: np.ndarray
    names: Optional[List[str]]
    frames: Optional[List[int]]

    def faces(self, rows: Iterable[int]) -> List[FoundFace]:
        """Return the faces in some of the rows; raise Skipped if OpenFace found none there."""
        faces = [
            FoundFace(self.landmarks[row].astype(np.float64), confidence=float(self.confidence[row])) for row in rows
            if self.success[row]
        ]
        if not faces:
            raise Skipped('OpenFace found no face')
        return faces


def open_openface_files(path: str, files: Dict[str, str], photos: Sequence[Photo]) -> Annotations:
    """Open files of one image each.

    Args:
        path: Their folder, or the only file.
        files: The files by their path in the folder without ending.
        photos: The photographs.
    """
    paths = list(files.values())

    def faces_of(index: int) -> List[FoundFace]:
        table = read_openface(paths[index])
        return table.faces(range(len(table.landmarks)))

    return Annotations([path], _ORDER, list(files), faces_of, photos, MIN_CONFIDENCE)


def open_openface_table(path: str, photos: Sequence[Photo]) -> Annotations:
    """Open one file, for many images if a column tells them apart, otherwise for the image of its name.

    Raises:
        ValueError: as :func:`read_openface`; or it numbers its images, and their number is not that of the photographs.
    """
    table = read_openface(path)
    names = table.names
    if names is None and table.frames is not None:
        names = _names_of_frames(path, table.frames, photos)
    if names is None:
        stem = os.path.splitext(os.path.basename(path))[0]
        return open_openface_files(path, {stem: path}, photos)
    rows_of: Dict[str, List[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows_of[name].append(row)
    rows = list(rows_of.values())
    return Annotations([path], _ORDER, list(rows_of), lambda index: table.faces(rows[index]), photos, MIN_CONFIDENCE)


def _names_of_frames(path: str, frames: List[int], photos: Sequence[Photo]) -> List[str]:
    """Return the name of each row's image; OpenFace numbers images in the order of their names."""
    in_order = sorted(photo.relative for photo in photos)
    if set(frames) != set(range(1, len(photos) + 1)):
        raise ValueError(
            f"{path}: its column 'frame' counts {len(set(frames))} images, from {min(frames, default=0)} to "
            f'{max(frames, default=0)}, but there are {len(photos)} photographs. Expected one row for each in the '
            f'order of their names, or a column that names the image of every row ({", ".join(NAME_COLUMNS)}).')
    return [in_order[frame - 1] for frame in frames]


def read_openface(path: str) -> OpenFaceTable:
    """Read a file, row by row: those of large datasets have gigabytes of text.

    Raises:
        ValueError: a column is missing, a row has too few or too many fields, or one that is no number where there must
            be one. The message names file and line.
    """
    rows = _rows(path)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    column_of = {name: column for column, name in enumerate(header)}
    points = [f'{axis}_{index}' for axis in 'xy' for index in range(_NUM_POINTS)]
    missing = [name for name in ['confidence'] + points if name not in column_of]
    if missing:
        raise ValueError(f'{path}: has no column {missing[0]!r}; expected the columns x_0..x_67, y_0..y_67 and '
                         'confidence, as OpenFace writes them with its option -2Dfp.')
    name_column = next((column_of[name] for name in header if name.lower() in NAME_COLUMNS), None)
    numbers = itemgetter(*(column_of[name] for name in points + ['confidence']))
    success_column, frame_column = column_of.get('success'), column_of.get('frame')

    landmarks, confidence, success = array('f'), array('d'), array('b')
    names: List[str] = []
    frames: List[int] = []
    for line, row in rows:
        values = _parse(numbers(row), 2 * _NUM_POINTS + 1, path, line)
        landmarks.extend(values[:-1])
        confidence.append(values[-1])
        success.append(success_column is None or _parse([row[success_column]], 1, path, line)[0] > 0)
        if name_column is not None:
            names.append(row[name_column].strip())
        if frame_column is not None:
            frames.append(_parse_frame(row[frame_column], path, line))
    by_axis = np.frombuffer(landmarks, np.float32).reshape(-1, 2, _NUM_POINTS)
    return OpenFaceTable(
        by_axis.transpose(0, 2, 1), np.frombuffer(confidence), np.frombuffer(success, np.bool_),
        names if name_column is not None else None, frames if frame_column is not None else None)


def _rows(path: str) -> Iterator[Tuple[int, List[str]]]:
    """Yield the header and the rows that follow, with their line numbers."""
    num_fields = None
    with open_regular(path, newline='', encoding='utf-8-sig') as file:
        try:
            heading = file.readline()
            file.seek(0)
            european = ';' in heading and ',' not in heading  # as a spreadsheet writes it, with decimal commas
            reader = csv.reader(file, skipinitialspace=True, delimiter=';' if european else ',')
            for fields in reader:
                while fields and not fields[-1].strip():  # some end the line with a comma
                    fields.pop()
                if not fields:
                    continue
                num_fields = num_fields or len(fields)
                if len(fields) != num_fields:
                    raise ValueError(f'{path}, line {reader.line_num}: has {len(fields)} fields, but the header has '
                                     f'{num_fields}.')
                yield reader.line_num, [field.replace(',', '.') for field in fields] if european else fields
        except UnicodeDecodeError as error:
            raise ValueError(f'{path}: not a text file in UTF-8: {error}') from error
        except csv.Error as error:
            raise ValueError(f'{path}, after line {reader.line_num}: not a CSV file: {error}') from error


def _parse(texts: Sequence[str], count: int, path: str, line: int) -> List[float]:
    try:
        return list(map(float, texts))
    except ValueError:  # Windows writes NaN as -nan(ind)
        return parse_numbers(['nan' if 'nan' in text.lower() else text for text in texts], count, path, line)


def _parse_frame(text: str, path: str, line: int) -> int:
    frame = _parse([text], 1, path, line)[0]
    if not frame.is_integer():
        raise ValueError(f"{path}, line {line}: has {text!r} in the column 'frame'; expected a whole number.")
    return int(frame)
