"""Contact sheets of a prepared set: faces with their landmarks, to be inspected before a training."""
import os
from pathlib import Path
from typing import List

import cv2
import numpy as np

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.utils.atomic_write import atomic_write
from dic_plugin.utils.drawing import GAP, HEADER, draw_landmarks

__all__ = ['draw_preview']

FACES_PER_SHEET = 48
COLUMNS = 8
TILE = 192


def draw_preview(root: str, split: str, store: str) -> str:
    """Draw ``preview_<split>.png`` into a prepared set, unless it exists, and return its path.

    Args:
        root: Folder of the set.
        split: ``train``, ``val`` or ``test``.
        store: ``lmdb`` or ``png``.
    """
    path = os.path.join(root, f'preview_{split}.png')
    if os.path.isfile(path):
        return path
    suffix, backend = ('.lmdb', 'lmdb') if store == 'lmdb' else ('', 'disk')
    files = FaceFiles(os.path.join(root, split + suffix), {'type': backend})
    annotations = FaceAnnotations.load(os.path.join(root, f'{split}.npz'))
    landmarks_of = dict(zip(annotations.names.tolist(), annotations.landmarks))
    tiles = [_tile(files.names[row], files.read(row), landmarks_of[files.names[row]]) for row in _spread(len(files))]
    columns = min(COLUMNS, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    sheet = np.concatenate([np.concatenate(tiles[row:row + columns], 1) for row in range(0, len(tiles), columns)])
    with atomic_write(path) as temporary:
        Path(temporary).write_bytes(cv2.imencode('.png', sheet)[1].tobytes())
    return path


def _spread(total: int, wanted: int = FACES_PER_SHEET) -> List[int]:
    """Return ``wanted`` evenly spaced indices below ``total``, or all if there are fewer.

    >>> _spread(10, 4), _spread(3, 4)
    ([0, 2, 5, 7], [0, 1, 2])
    """
    return [index * total // wanted for index in range(wanted)] if total > wanted else list(range(total))


def _tile(name: str, img: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Draw an RGB face with its name above it, as BGR."""
    zoom = TILE / img.shape[0]
    img = cv2.resize(img[:, :, ::-1], (TILE, TILE), interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    tile = np.full((HEADER + TILE + GAP, TILE + GAP, 3), 255, np.uint8)
    tile[HEADER:-GAP, :-GAP] = draw_landmarks(img, (landmarks + 0.5) * zoom - 0.5, zoom=1)
    cv2.putText(tile, name[:24], (2, HEADER - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return tile
