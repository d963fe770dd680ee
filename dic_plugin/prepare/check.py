"""Examines a set of face crops, prepared here or anybody's own, before a training run stumbles over it.

A set is a folder of splits. A split is an LMDB (``train.lmdb``) or a folder of images (``train``), with its annotation
file (``train.npz``) beside it and, if BasicSR's PairedImageDataset is to read it, the low-quality images
(``train_lq.lmdb`` or ``train_lq``). A single LMDB or folder of images is a set too.
"""
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

import numpy as np

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_files import IMAGE_EXTENSIONS, FaceFiles
from dic_plugin.landmarks.layouts import ORDERS, component_groups
from dic_plugin.prepare.check_pixels import Seen, Size, WorkerDied, look_at_all
from dic_plugin.prepare.check_report import Findings, Report, SplitReport, size_text

__all__ = ['check_set']

_META_LINE = re.compile(r'(?P<name>.*?) \((?P<height>\d+),(?P<width>\d+),\d+\)')


class _Place(NamedTuple):
    """Where the parts of a split are."""
    images: str
    lq: Optional[str]
    annotation_file: str
    made_here: bool


@dataclass
class _Faces:
    """What splits must not share: of every face, its name, its photograph (if known) and its pixels (if readable)."""
    split: str
    names: List[str] = field(default_factory=list)
    sources: List[str] = field(default_factory=list)
    digests: List[Optional[bytes]] = field(default_factory=list)


def check_set(root: str, workers: Optional[int] = None) -> Report:
    """Examine a set of face crops.

    Every image is read. Problems are images that cannot be read or differ in shape from what ``meta_info.txt`` or the
    annotation says; names that images, annotation and low-quality images do not share; landmarks outside the image; a
    left eye that is not left of the right one; low-quality images that are not a whole number of times smaller or, in a
    set prepared here, not what :func:`dic_plugin.data.degradation.make_lq` gives; and faces that two splits share.

    Args:
        root: The set; see the head of this module.
        workers: Number of processes. Default: one for every core.

    Raises:
        FileNotFoundError: there is no set.
    """
    places, between = _find_splits(os.path.normpath(root))
    splits, faces = [], []
    for place in places:
        split = SplitReport(os.path.basename(place.images))
        faces.append(_check_split(place, split, workers or os.cpu_count() or 1))
        splits.append(split)
    _check_between(faces, any(place.made_here for place in places), between)
    return Report(splits, between)


# ---- which files belong together ----


def _find_splits(root: str) -> Tuple[List[_Place], SplitReport]:
    between = SplitReport(root)
    if not os.path.isdir(root):
        missing = 'is no folder' if os.path.exists(root) else 'does not exist'
        raise FileNotFoundError(f'{root!r} {missing}; expected a folder of face sets.')
    below = [name for name in sorted(os.listdir(root)) if os.path.isfile(os.path.join(root, name, 'prepared.json'))]
    if below:
        raise FileNotFoundError(f'{root!r} is no face set, but holds some; expected one of them: {", ".join(below)}.')
    folder, names = root, sorted(name for name in os.listdir(root) if _holds_images(os.path.join(root, name)))
    if _holds_images(root) and (not names or os.path.isfile(f'{root}.npz')):
        folder, name = os.path.split(root)
        names = [name]
    if not names:
        raise FileNotFoundError(
            f'{root!r} holds no face set; expected LMDBs (train.lmdb) or folders of images (train), '
            'each with its annotation file beside it (train.npz).')
    made_here = os.path.isfile(os.path.join(folder, 'prepared.json'))
    places = []
    for name in names:
        stem, suffix = _split_suffix(name)
        if stem.endswith('_lq') and len(names) > 1:
            original = stem[:-len('_lq')] + suffix
            if original not in names:
                between.problems.add('low-quality images without their originals', f'{name}: there is no {original}')
            continue
        images = os.path.join(folder, name)
        lq = _with_lq(images)
        places.append(_Place(images, lq if os.path.isdir(lq) else None, _annotation_file(images), made_here))
    annotated = {os.path.basename(place.annotation_file) for place in places}
    for name in sorted(os.listdir(root)) if folder == root else []:
        if name.endswith('.npz') and name not in annotated:
            between.warnings.add('annotation files without images', name)
    return places, between


def _holds_images(path: str) -> bool:
    if not os.path.isdir(path) or os.path.basename(path).startswith('.'):
        return False
    return path.endswith('.lmdb') or any(name.lower().endswith(IMAGE_EXTENSIONS) for name in os.listdir(path))


def _split_suffix(name: str) -> Tuple[str, str]:
    return (name[:-len('.lmdb')], '.lmdb') if name.endswith('.lmdb') else (name, '')


def _with_lq(path: str) -> str:
    stem, suffix = _split_suffix(path)
    return f'{stem}_lq{suffix}'


def _annotation_file(images: str) -> str:
    """Beside the images or, in a folder of somebody else's, the only one among them."""
    beside = f'{_split_suffix(images)[0]}.npz'
    inside = [name for name in os.listdir(images) if name.endswith('.npz')]
    return os.path.join(images, inside[0]) if len(inside) == 1 and not os.path.isfile(beside) else beside


# ---- one split ----


def _check_split(place: _Place, split: SplitReport, workers: int) -> _Faces:
    annotations = _load_annotations(place.annotation_file, split)
    faces = _Faces(split.name)
    files, lq_files = _open(place.images, split), None
    if files is None:
        return faces
    split.num_images, faces.names = len(files), files.names
    if place.lq is not None:
        lq_files = _open(place.lq, split)
        split.lq_sizes = Counter()
    elif place.made_here and split.name not in ('train', 'train.lmdb'):
        split.problems.add('no low-quality images', f'expected {_with_lq(place.images)}')
    if lq_files is not None:
        _compare_names(files.names, lq_files.names, 'a low-quality image', 'low-quality images', split)
    if annotations is not None:
        _compare_names(files.names, annotations.names.tolist(), 'landmarks', 'landmarks', split)
        faces.sources = [] if annotations.source is None else annotations.source.tolist()
        _check_eyes(annotations, split)

    try:
        seen = look_at_all(files, lq_files, workers, split.name)
    except WorkerDied as error:
        split.problems.add('reading ended a worker process', str(error))
        return faces
    _check_shapes(files, [image.size for image in seen], split)
    if lq_files is not None:
        lq_rows = {name: row for row, name in enumerate(lq_files.names)}
        sizes = [None] * len(lq_files)
        for name, image in zip(files.names, seen):
            if name in lq_rows:
                sizes[lq_rows[name]] = image.lq_size
        _check_shapes(lq_files, sizes, split)
        _check_lq(files.names, seen, place.made_here, split)
    _check_sizes(files.names, seen, split)
    if annotations is not None:
        _check_landmarks(dict(zip(files.names, (image.size for image in seen))), annotations, split)
    faces.digests = [image.digest for image in seen]
    return faces


def _open(path: str, split: SplitReport) -> Optional[FaceFiles]:
    try:
        return FaceFiles(path, {'type': 'lmdb' if path.endswith('.lmdb') else 'disk'})
    except (OSError, ValueError) as error:
        split.problems.add('cannot be opened', str(error))
        return None


def _load_annotations(path: str, split: SplitReport) -> Optional[FaceAnnotations]:
    try:
        annotations = FaceAnnotations.load(path)
    except FileNotFoundError:
        split.problems.add('no annotation file', f'expected {path}')
        return None
    except ValueError as error:
        split.problems.add('annotation file not valid', str(error))
        return None
    split.order = annotations.order
    return annotations


def _compare_names(names: List[str], others: List[str], one: str, many: str, split: SplitReport) -> None:
    there, others_there = set(names), set(others)
    for name in names:
        if name not in others_there:
            split.problems.add(f'image without {one}', name)
    for name in others:
        if name not in there:
            split.problems.add(f'{many} without an image', name)


def _check_eyes(annotations: FaceAnnotations, split: SplitReport) -> None:
    if ORDERS.get(annotations.order) != annotations.num_keypoints:
        split.warnings.add('eyes not checked', f'which landmarks they are is not known of {annotations.order!r}')
        return
    left, right = component_groups(annotations.num_keypoints)[:2]
    left_x, right_x = (annotations.landmarks[:, eye, 0].mean(axis=1) for eye in (left, right))
    for row in np.flatnonzero(left_x >= right_x):
        split.problems.add('left eye not left of the right eye',
                           f'{annotations.names[row]}: x is {left_x[row]:.1f}, of the right eye {right_x[row]:.1f}')


def _check_shapes(files: FaceFiles, sizes: List[Optional[Size]], split: SplitReport) -> None:
    """Against ``name.png (h,w,c)`` in the list that BasicSR's tools write."""
    folder, name = os.path.split(files.root)
    meta_info = os.path.join(files.root, 'meta_info.txt') if files.backend == 'lmdb' else os.path.join(
        folder, f'meta_info_{name}.txt')
    if not os.path.isfile(meta_info):
        return
    size_of = dict(zip(files.names, sizes))
    with open(meta_info, encoding='utf-8') as file:
        entries = [match for match in map(_META_LINE.match, file) if match]
    for entry in entries:
        key, height, width = os.path.splitext(entry['name'])[0], int(entry['height']), int(entry['width'])
        if key not in size_of:
            split.problems.add('in meta_info, but missing', f'{key} ({meta_info})')
        elif size_of[key] is not None and size_of[key] != (width, height):
            split.problems.add('shape not as in meta_info',
                               f'{name}/{key}: is {size_text(size_of[key])}, expected {size_text((width, height))}')


def _check_sizes(names: List[str], seen: List[Seen], split: SplitReport) -> None:
    for name, image in zip(names, seen):
        if image.error is not None:
            split.problems.add('unreadable image', image.error)
            continue
        split.sizes[image.size] += 1
        if image.size[0] != image.size[1]:  # testing takes it as it is, training and gt_size do not
            findings = split.problems if _split_suffix(split.name)[0] == 'train' else split.warnings
            findings.add('image not square', f'{name}: {size_text(image.size)}')


def _check_lq(names: List[str], seen: List[Seen], made_here: bool, split: SplitReport) -> None:
    first_scale = None
    for name, image in zip(names, seen):
        if image.lq_error is not None:
            split.problems.add('unreadable low-quality image', image.lq_error)
        if image.lq_size is None or image.size is None:
            continue
        split.lq_sizes[image.lq_size] += 1
        (width, height), (lq_width, lq_height) = image.size, image.lq_size
        scale = width // lq_width
        if scale < 2 or (width, height) != (lq_width * scale, lq_height * scale):
            split.problems.add('low-quality image of a size that does not fit',
                               f'{name}: {size_text(image.lq_size)}, but the image is {size_text(image.size)}')
            continue
        first_scale = first_scale or scale
        if scale != first_scale:
            split.problems.add('low-quality image of another scale', f'{name}: {scale}, others {first_scale}')
        elif not image.lq_is_shrunk:
            findings = split.problems if made_here else split.warnings  # others may shrink in another way
            findings.add('low-quality image is not the shrunk image', name)


def _check_landmarks(size_of: Dict[str, Optional[Size]], annotations: FaceAnnotations, split: SplitReport) -> None:
    for row, name in enumerate(annotations.names.tolist()):
        size = size_of.get(name)
        if size is None:
            continue
        if annotations.image_size is not None and tuple(annotations.image_size[row].tolist()) != size:
            split.problems.add('image size not as annotated',
                               f'{name}: is {size_text(size)}, annotated {size_text(annotations.image_size[row])}')
            continue
        points = annotations.landmarks[row]
        outside = ((points < -0.5) | (points > np.array(size) - 0.5)).any(axis=1)
        if outside.any():
            point = int(outside.argmax())
            x, y = points[point]
            split.problems.add('landmarks outside the image',
                               f'{name}: landmark {point} at ({x:.1f}, {y:.1f}), the image is {size_text(size)}')


# ---- between splits ----


def _check_between(splits: List[_Faces], made_here: bool, between: SplitReport) -> None:
    """A face in two splits makes the test easier than it looks."""
    # here, names are those of the photographs; others may number each split from 1
    named = [(faces.split, zip(faces.names, faces.names)) for faces in splits]
    _find_shared('same name in two splits', named, between.problems if made_here else between.warnings)
    sources = [(faces.split, zip(faces.sources, faces.sources)) for faces in splits]
    _find_shared('same photograph in two splits', sources, between.problems)
    pixels = [(faces.split, zip(faces.digests, faces.names)) for faces in splits]
    _find_shared('same pixels in two splits', pixels, between.problems)


def _find_shared(kind: str, splits: List[Tuple[str, Iterable[tuple]]], findings: Findings) -> None:
    first = {}
    for split, items in splits:
        for key, name in items:
            if key is None:
                continue
            other, other_name = first.setdefault(key, (split, name))
            # the same split as an LMDB and as a folder is one
            if _split_suffix(other)[0] != _split_suffix(split)[0]:
                findings.add(kind, f'{other}/{other_name} and {split}/{name}')
