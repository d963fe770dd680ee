"""Results of the preparation kept on disk in pieces, so that an interrupted run goes on where it stopped.

A shard holds what became of a fixed run of photographs. It depends on these and the settings alone, and is written
under its name only when whole: whatever the number of workers, the same shards lead to the same set.
"""
import os
import zipfile
from typing import Dict, List, NamedTuple, Sequence, Union

import numpy as np

from dic_plugin.prepare.process import PreparedFace, SkippedPhoto
from dic_plugin.utils.atomic_write import atomic_write

__all__ = ['PHOTOS_PER_SHARD', 'Shard', 'load_shard', 'save_shard', 'shard_path']

PHOTOS_PER_SHARD = 64

# fields of PreparedFace that stack into one array; the encoded images are laid end to end
_FIELDS = {
    'name': 'U',
    'split': 'U',
    'source': 'U',
    'landmarks': np.float32,
    'size': np.int32,
    'crop_box': np.float32,
    'moved': np.int32,
    'padding': np.int32,
    'num_faces': np.int32,
    'confidence': np.float64,
}


class Shard(NamedTuple):
    """What became of some photographs: the faces, in order, and the photographs left out, in order."""
    faces: List[PreparedFace]
    skipped: List[SkippedPhoto]


def shard_path(folder: str, index: int) -> str:
    """The file of shard ``index``, counted from 0."""
    return os.path.join(folder, f'{index:06d}.npz')


def save_shard(path: str, results: Sequence[Union[PreparedFace, SkippedPhoto]]) -> None:
    """Write the results of some photographs. The file appears whole or not at all."""
    faces = [result for result in results if isinstance(result, PreparedFace)]
    skipped = [result for result in results if isinstance(result, SkippedPhoto)]
    arrays: Dict[str, np.ndarray] = {'skipped': np.array(skipped, 'U').reshape(-1, 3)}
    for field, dtype in _FIELDS.items():
        arrays[field] = np.array([_plain(getattr(face, field)) for face in faces], dtype)
    for field in ('image', 'lq'):
        encoded = [getattr(face, field) or b'' for face in faces]
        arrays[f'{field}_bytes'] = np.array([len(content) for content in encoded], np.int64)
        arrays[field] = np.frombuffer(b''.join(encoded), np.uint8)
    with atomic_write(path) as temporary, open(temporary, 'wb') as file:
        np.savez(file, **arrays)


def load_shard(path: str, images: bool = True) -> Shard:
    """Read a shard, with ``images`` False without the encoded images (empty bytes instead).

    Raises:
        ValueError: the file is damaged; it names it.
    """
    try:
        with open(path, 'rb') as stream:
            file = np.load(stream, allow_pickle=False)
            arrays = {name: file[name] for name in file.files if images or name not in ('image', 'lq')}
        columns = {field: arrays[field] for field in _FIELDS}
        for field in ('image', 'lq'):
            ends = np.cumsum(arrays[f'{field}_bytes']).tolist()
            content = arrays[field].tobytes() if images else b''
            columns[field] = [content[start:end] for start, end in zip([0, *ends], ends)]
        faces = [PreparedFace(**_row(columns, row)) for row in range(len(columns['name']))]
        return Shard(faces, [SkippedPhoto(*row) for row in arrays['skipped'].tolist()])
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path}: is damaged ({error}). Delete it and run the same command again.') from error


def _plain(value):
    return np.nan if value is None else value


def _row(columns, row) -> dict:
    values = {field: column[row] for field, column in columns.items()}
    for field, dtype in _FIELDS.items():
        if dtype == 'U':
            values[field] = str(values[field])
        elif np.ndim(values[field]) == 0:
            values[field] = values[field].item()
    if np.isnan(values['confidence']):
        values['confidence'] = None
    values['lq'] = values['lq'] or None
    for field in ('moved', 'padding'):
        values[field] = tuple(values[field].tolist())
    return values
