"""From the shards of all photographs to the finished set: stores, annotation files, records."""
import csv
import os
from collections import Counter
from typing import Dict, Iterator, List, NamedTuple

import numpy as np
from tqdm import tqdm

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.prepare.image_store import open_store
from dic_plugin.prepare.process import PreparedFace, SkippedPhoto
from dic_plugin.prepare.shards import Shard, load_shard

__all__ = ['SPLITS', 'Counts', 'build_set', 'count', 'write_skipped']

SPLITS = ('train', 'val', 'test')

_FACE_COLUMNS = ('name', 'split', 'source', 'x0', 'y0', 'x1', 'y1', 'moved_x', 'moved_y', 'pad_left', 'pad_top',
                 'pad_right', 'pad_bottom', 'faces_in_photograph', 'confidence')


class Counts(NamedTuple):
    """What became of all photographs.

    Attributes:
        faces: Number of faces in every split that has any.
        empty: Splits whose photographs gave no face.
        reasons: Number of photographs left out for every reason, without its details in brackets.
        moved, padded: Faces whose crop was moved into, or padded at the border of, the photograph.
        several: Faces chosen from several in a photograph.
    """
    faces: Dict[str, int]
    empty: List[str]
    reasons: Dict[str, int]
    moved: int
    padded: int
    several: int


def count(paths: List[str], skipped: List[SkippedPhoto]) -> Counts:
    """Count the faces of all shards and what was left out, there and in ``skipped``."""
    faces, reasons = Counter(), Counter(map(_kind, skipped))
    planned = {photo.split for photo in skipped}
    moved = padded = several = 0
    for shard in _records(paths):
        faces.update(face.split for face in shard.faces)
        reasons.update(map(_kind, shard.skipped))
        planned.update(photo.split for photo in shard.skipped)
        moved += sum(any(face.moved) for face in shard.faces)
        padded += sum(any(face.padding) for face in shard.faces)
        several += sum(face.num_faces > 1 for face in shard.faces)
    # the most frequent reason first
    ordered = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    empty = [split for split in SPLITS if split in planned and not faces[split]]
    return Counts({split: faces[split] for split in SPLITS if faces[split]}, empty, ordered, moved, padded, several)


def build_set(folder: str, paths: List[str], skipped: List[SkippedPhoto], counts: Counts, order: str, scale: int,
              store: str) -> None:
    """Write the set of all shards into an empty folder.

    Args:
        folder: Where to write.
        paths: The shards, in order.
        skipped: Photographs that no shard knows, such as those that are missing.
        counts: Of these shards.
        order: Of the landmarks, for the annotation files.
        scale: How many times larger an image is than its ``lq``.
        store: ``lmdb`` or ``png``.
    """
    with tqdm(total=sum(counts.faces.values()), desc='writing', unit='face', smoothing=0.05) as bar:
        for split in counts.faces:
            _build_split(folder, paths, split, order, scale, store, bar)
    with open(os.path.join(folder, 'faces.csv'), 'w', newline='', encoding='utf-8') as file:
        rows = csv.writer(file, lineterminator='\n')
        rows.writerow(_FACE_COLUMNS)
        rows.writerows(_face_row(face) for shard in _records(paths) for face in shard.faces)
    write_skipped(os.path.join(folder, 'skipped.csv'), paths, skipped)


def write_skipped(path: str, shards: List[str], skipped: List[SkippedPhoto]) -> None:
    """Every photograph left out, with its reason."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        rows = csv.writer(file, lineterminator='\n')
        rows.writerow(SkippedPhoto._fields)
        for shard in _records(shards):
            rows.writerows(shard.skipped)
        rows.writerows(skipped)


def _build_split(folder, paths, split, order, scale, store, bar) -> None:
    sizes = [(len(face.image), len(face.lq or b'')) for face in _faces_of(paths, split)]
    images = open_store(os.path.join(folder, split), store, [size for size, _ in sizes])
    paired = split != 'train'
    lq_images = open_store(os.path.join(folder, f'{split}_lq'), store, [size for _, size in sizes]) if paired else None
    columns = {'names': [], 'landmarks': [], 'image_size': [], 'source': [], 'crop_box': []}
    for face in _faces_of(paths, split):
        images.put(face.image, face.name, (face.size, face.size, 3))
        if paired:
            lq_images.put(face.lq, face.name, (face.size // scale, face.size // scale, 3))
        for column, value in zip(columns.values(),
                                 (face.name, face.landmarks, (face.size, face.size), face.source, face.crop_box)):
            column.append(value)
        bar.update()
    images.close()
    if paired:
        lq_images.close()
    FaceAnnotations(
        np.array(columns['names']),
        np.array(columns['landmarks'], np.float32),
        order,
        image_size=np.array(columns['image_size'], np.int32),
        source=np.array(columns['source']),
        crop_box=np.array(columns['crop_box'], np.float32)).save(os.path.join(folder, f'{split}.npz'))


def _kind(photo: SkippedPhoto) -> str:
    return photo.reason.split(' (')[0]


def _records(paths: List[str]) -> Iterator[Shard]:
    """All shards, without the images."""
    return (load_shard(path, images=False) for path in paths)


def _faces_of(paths: List[str], split: str) -> Iterator[PreparedFace]:
    for path in paths:
        for face in load_shard(path).faces:
            if face.split == split:
                yield face


def _face_row(face: PreparedFace) -> tuple:
    confidence = '' if face.confidence is None else f'{face.confidence:.4g}'
    box = ('%g' % value for value in face.crop_box)
    return (face.name, face.split, face.source, *box, *face.moved, *face.padding, face.num_faces, confidence)
