"""Results of the preparation on disk, and the set that is built from them: images, annotation files, tables."""
import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from basicsr.utils.lmdb_util import LmdbMaker
from tqdm import tqdm

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.image_file import decode_rgb
from dic_plugin.prepare.near_copies import fingerprint, near_pairs
from dic_plugin.prepare.process import PNG_LEVEL, PreparedFace, SkippedPhoto
from dic_plugin.utils.atomic_write import write_json

__all__ = ['Counts', 'build_set', 'count', 'leave_out_copies', 'load_result', 'save_result', 'write_skipped']

SPLITS = ('train', 'val', 'test')

_FACE_COLUMNS = ('name', 'split', 'source', 'x0', 'y0', 'x1', 'y1', 'moved_x', 'moved_y', 'pad_left', 'pad_top',
                 'pad_right', 'pad_bottom', 'faces_in_photograph', 'confidence', 'notes')


class Counts(NamedTuple):
    """Numbers of faces and of photographs left out."""
    faces: Dict[str, int]  # by split, without empty splits
    empty: List[str]  # splits whose photographs gave no face
    reasons: Dict[str, int]  # photographs left out by reason (without its details), the most frequent first
    moved: int  # faces whose crop was moved into the photograph
    padded: int  # faces whose crop was padded at the border of the photograph
    several: int  # faces chosen from several in a photograph
    others: Optional[Dict[str, int]] = None  # files that are no photographs, see Photographs
    notes: Optional[Dict[str, int]] = None  # faces by what was done to their photographs


def save_result(stem: str, result: Union[PreparedFace, SkippedPhoto]) -> None:
    """Write the result of a photograph: ``<stem>.png``, ``<stem>_lq.png`` and, last and whole, ``<stem>.json``."""
    if isinstance(result, PreparedFace):
        for suffix, content in (('', result.image), ('_lq', result.lq)):
            if content is not None:
                Path(f'{stem}{suffix}.png').write_bytes(content)
        result = result._replace(landmarks=result.landmarks.tolist(), image=None, lq=None)
    write_json(f'{stem}.json', result._asdict())


def load_result(stem: str) -> Union[PreparedFace, SkippedPhoto]:
    """Read the result of a photograph, without its images.

    Raises:
        ValueError: the record is damaged; the message names it.
    """
    path = f'{stem}.json'
    try:
        with open(path, encoding='utf-8') as file:
            fields = json.load(file)
        if 'reason' in fields:
            return SkippedPhoto(**fields)
        return PreparedFace(**dict(fields, landmarks=np.array(fields['landmarks'], np.float32)))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: is damaged ({error}). Delete it and run the same command again.') from error


def count(faces: Sequence[PreparedFace],
          skipped: Sequence[SkippedPhoto],
          others: Optional[Dict[str, int]] = None) -> Counts:
    """Count faces and photographs left out."""
    number = Counter(face.split for face in faces)
    planned = {photo.split for photo in skipped}
    return Counts(
        faces={split: number[split]
               for split in SPLITS if number[split]},
        empty=[split for split in SPLITS if split in planned and not number[split]],
        reasons=dict(Counter(sorted(photo.reason.split(' (')[0] for photo in skipped)).most_common()),
        moved=sum(any(face.moved) for face in faces),
        padded=sum(any(face.padding) for face in faces),
        several=sum(face.num_faces > 1 for face in faces),
        others=others,
        notes=dict(Counter(note for face in faces for note in face.notes)))


def leave_out_copies(results: Dict[str, Union[PreparedFace, SkippedPhoto]]) -> None:
    """Replace every training face that is nearly the same picture as a test face by the reason to leave it out.

    Args:
        results: Those of all photographs by the stem of their files; changed.
    """
    test, train = [[stem for stem, face in results.items() if isinstance(face, PreparedFace) and face.split == split]
                   for split in ('test', 'train')]
    if not test or not train:
        return
    prints = [[fingerprint(decode_rgb(Path(f'{stem}.png').read_bytes(), stem)) for stem in stems]
              for stems in (test, train)]
    for row, column in near_pairs(*prints):
        original, copy = results[test[row]], results[train[column]]
        if isinstance(copy, PreparedFace):
            reason = f'nearly the same picture as a test photograph ({original.source})'
            results[train[column]] = SkippedPhoto(copy.source, copy.split, reason)


def build_set(folder: str, faces: Dict[str, PreparedFace], skipped: Sequence[SkippedPhoto], order: str, scale: int,
              store: str) -> None:
    """Write a set into an empty folder.

    Args:
        folder: The folder.
        faces: The faces by the stem of their files (see :func:`save_result`), in order.
        skipped: The photographs left out.
        order: Order of the landmarks.
        scale: Factor between an image and its low-quality image.
        store: ``lmdb`` or ``png``.
    """
    for split in SPLITS:
        stems = [stem for stem, face in faces.items() if face.split == split]
        part = [faces[stem] for stem in stems]
        if not part:
            continue
        root, names = os.path.join(folder, split), [face.name for face in part]
        _write_images(root, store, [f'{stem}.png' for stem in stems], names, part[0].size)
        if split != 'train':
            _write_images(f'{root}_lq', store, [f'{stem}_lq.png' for stem in stems], names, part[0].size // scale)
        FaceAnnotations(
            np.array(names),
            np.stack([face.landmarks for face in part]),
            order,
            image_size=np.array([(face.size, face.size) for face in part], np.int32),
            source=np.array([face.source for face in part]),
            crop_box=np.array([face.crop_box for face in part], np.float32)).save(f'{root}.npz')
    _write_csv(os.path.join(folder, 'faces.csv'), _FACE_COLUMNS, map(_face_row, faces.values()))
    write_skipped(os.path.join(folder, 'skipped.csv'), skipped)


def write_skipped(path: str, skipped: Sequence[SkippedPhoto]) -> None:
    """Write the table of the photographs left out."""
    _write_csv(path, SkippedPhoto._fields, skipped)


def _write_images(root: str, store: str, paths: List[str], names: List[str], side: int) -> None:
    """Write square PNG files into ``<root>.lmdb`` or, with ``store`` png, the folder ``root``.

    A folder has ``meta_info_<folder>.txt``, in BasicSR's format, beside it.
    """
    parent, folder = os.path.split(root)
    progress = tqdm(zip(paths, names), f'writing {folder}', len(paths), unit='image', smoothing=0.05)
    if store == 'lmdb':
        # A value takes whole pages of 4 KiB; twice that leaves room for the index and for unfinished transactions.
        map_size = 2 * sum(os.path.getsize(path) + 4096 for path in paths) + (1 << 20)
        maker = LmdbMaker(f'{root}.lmdb', map_size, batch=1000, compress_level=PNG_LEVEL)
        for path, name in progress:
            maker.put(Path(path).read_bytes(), name, (side, side, 3))
        maker.close()
        os.remove(f'{root}.lmdb/lock.mdb')  # not needed by BasicSR's readers, and different in each run
        return
    os.makedirs(root)
    for path, name in progress:
        shutil.copyfile(path, os.path.join(root, f'{name}.png'))
    with open(os.path.join(parent, f'meta_info_{folder}.txt'), 'w', encoding='ascii') as file:
        file.writelines(f'{name}.png ({side},{side},3)\n' for name in names)


def _write_csv(path: str, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(columns)
        writer.writerows(rows)


def _face_row(face: PreparedFace) -> Tuple:
    confidence = '' if face.confidence is None else f'{face.confidence:.4g}'
    return (face.name, face.split, face.source, *face.crop_box, *face.moved, *face.padding, face.num_faces, confidence,
            '; '.join(face.notes))
