"""Examination of a set of face crops, prepared by dic-prepare or otherwise.

A set is a folder of splits. A split is an LMDB (``train.lmdb``) or a folder of images (``train``), with its annotation
file (``train.npz``) beside it and, for BasicSR's PairedImageDataset, the low-quality images (``train_lq.lmdb`` or
``train_lq``). A single LMDB or folder of images is also a set.
"""
import hashlib
import os
import re
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import lmdb
import numpy as np
from tqdm import tqdm

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.degradation import make_lq
from dic_plugin.data.face_files import IMAGE_EXTENSIONS, FaceFiles
from dic_plugin.landmarks.layouts import ORDERS, component_groups
from dic_plugin.prepare.check_report import CheckReport, SplitReport, size_text
from dic_plugin.prepare.workers import worker_map

__all__ = ['check_set']

CHUNK = 128  # images that a worker reads at a time

_META_LINE = re.compile(r'(?P<name>.*?) \((?P<height>\d+),(?P<width>\d+),\d+\)')

_Size = Tuple[int, int]  # width, height

# What splits must not share, with the face it belongs to: names, photographs (if known), pixels (if readable).
_Identities = Dict[str, List[Tuple[object, str]]]


class _Seen(NamedTuple):
    """The parts of a face that a worker reads; None if missing or not readable."""
    size: Optional[_Size]
    error: Optional[str]
    digest: Optional[bytes]
    lq_size: Optional[_Size]
    lq_error: Optional[str]
    lq_is_shrunk: bool


def check_set(root: str, workers: Optional[int] = None) -> CheckReport:
    """Examine a set of face crops; every image is read.

    Problems are images that cannot be read or whose shape differs from ``meta_info.txt`` or the annotation; names that
    images, annotation and low-quality images do not share; landmarks outside the image; a left eye that is not left of
    the right one; low-quality images that are not an integer factor smaller or, in a set of dic-prepare, differ from
    :func:`dic_plugin.data.degradation.make_lq`; and faces that two splits share.

    Args:
        root: The set, as described in this module's docstring.
        workers: Number of processes. Default: one per core.

    Raises:
        FileNotFoundError: there is no set.
    """
    between = SplitReport(root)
    folder, names = _find_splits(os.path.normpath(root), between)
    made_here = os.path.isfile(os.path.join(folder, 'prepared.json'))
    splits = [SplitReport(name) for name in names]
    identities = [_check_split(folder, split, made_here, workers or os.cpu_count() or 1) for split in splits]
    for what in ('name', 'photograph', 'pixels'):
        first: Dict[object, Tuple[str, str]] = {}
        for name, identity in zip(names, identities):
            for key, face in identity.get(what, []):
                other, other_face = first.setdefault(key, (name, face))
                if _stem(other) != _stem(name):  # an LMDB and a folder may hold the same split
                    # dic-prepare names faces after photographs; other sets may number each split from 1
                    may_be = what == 'name' and not made_here
                    between.add(f'same {what} in two splits', f'{other}/{other_face} and {name}/{face}', warning=may_be)
    return CheckReport(splits, between)


def _find_splits(root: str, between: SplitReport) -> Tuple[str, List[str]]:
    """Return the folder of the set and the names of the LMDBs and folders of its splits."""
    if not os.path.isdir(root):
        missing = 'is no folder' if os.path.exists(root) else 'does not exist'
        raise FileNotFoundError(f'{root!r} {missing}; expected a folder of face sets.')
    entries = sorted(os.listdir(root))
    below = [name for name in entries if os.path.isfile(os.path.join(root, name, 'prepared.json'))]
    if below:
        raise FileNotFoundError(f'{root!r} is no face set, but holds some; expected one of them: {", ".join(below)}.')
    names = [name for name in entries if _holds_images(os.path.join(root, name))]
    if _holds_images(root) and (not names or os.path.isfile(f'{root}.npz')):
        folder, name = os.path.split(root)
        return folder, [name]
    if not names:
        raise FileNotFoundError(
            f'{root!r} holds no face set; expected LMDBs (train.lmdb) or folders of images (train), '
            'each with its annotation file beside it (train.npz).')
    splits = []
    for name in names:
        original = re.sub(r'_lq(\.lmdb)?$', r'\1', name)
        if original == name or len(names) == 1:
            splits.append(name)
        elif original not in names:
            between.add('low-quality images without their originals', f'{name}: there is no {original}')
    annotated = {os.path.basename(_annotation_file(os.path.join(root, name))) for name in splits}
    unused = [name for name in entries if name.endswith('.npz') and name not in annotated]
    between.add('annotation files without images', *unused, warning=True)
    return root, splits


def _holds_images(path: str) -> bool:
    if not os.path.isdir(path) or os.path.basename(path).startswith('.'):
        return False
    return path.endswith('.lmdb') or any(name.lower().endswith(IMAGE_EXTENSIONS) for name in os.listdir(path))


def _stem(path: str) -> str:
    return re.sub(r'\.lmdb$', '', path)


def _annotation_file(images: str) -> str:
    """Return the file beside the images or, if there is none, the only one among them."""
    beside = f'{_stem(images)}.npz'
    inside = [name for name in os.listdir(images) if name.endswith('.npz')]
    return os.path.join(images, inside[0]) if len(inside) == 1 and not os.path.isfile(beside) else beside


def _check_split(folder: str, split: SplitReport, made_here: bool, workers: int) -> _Identities:
    images = os.path.join(folder, split.name)
    lq_images = re.sub(r'(\.lmdb)?$', r'_lq\1', images, count=1)
    backend = {'type': 'lmdb' if images.endswith('.lmdb') else 'disk'}
    annotations = lq_files = None
    if os.path.isfile(_annotation_file(images)):
        annotations = _open_or_report('annotation file not valid', FaceAnnotations.load, split,
                                      _annotation_file(images))
    else:
        split.add('no annotation file', f'expected {_annotation_file(images)}')
    split.order = annotations and annotations.order
    files = _open_or_report('cannot be opened', FaceFiles, split, images, backend)
    if files is None:
        return {}
    split.num_images = len(files)
    identities: _Identities = {'name': list(zip(files.names, files.names))}
    if os.path.isdir(lq_images):
        split.lq_sizes = Counter()
        lq_files = _open_or_report('cannot be opened', FaceFiles, split, lq_images, backend)
        if lq_files is not None:
            _compare_names(files.names, lq_files.names, 'a low-quality image', 'low-quality images', split)
    elif made_here and _stem(split.name) != 'train':
        split.add('no low-quality images', f'expected {lq_images}')
    if annotations is not None:
        _compare_names(files.names, annotations.names.tolist(), 'landmarks', 'landmarks', split)
        sources = [] if annotations.source is None else annotations.source.tolist()
        identities['photograph'] = list(zip(sources, sources))
        _check_eyes(annotations, split)

    seen: Dict[str, _Seen] = {}
    try:
        with worker_map(min(workers, -(-len(files) // CHUNK)), _start_worker, files, lq_files) as run:
            results = tqdm(run(_read_face, range(len(files)), chunksize=CHUNK), split.name, len(files), unit='image')
            for face, name in zip(results, files.names):  # in this order, which exhausts the progress bar
                seen[name] = face
    except BrokenProcessPool:  # SIGBUS, for a missing part of an LMDB
        split.add('reading ended a worker process',
                  f'after {len(seen):,} images; the LMDB is damaged, perhaps cut short, or memory ran out')
        return identities
    _check_images(seen, made_here, split)
    size_of = {name: face.size for name, face in seen.items()}
    _check_meta_info(files, size_of, split)
    if lq_files is not None:
        _check_meta_info(lq_files, {name: face.lq_size for name, face in seen.items()}, split)
    if annotations is not None:
        _check_landmarks(size_of, annotations, split)
    identities['pixels'] = [(face.digest, name) for name, face in seen.items() if face.digest]
    return identities


def _open_or_report(kind: str, what: Callable, split: SplitReport, *args) -> Any:
    """Return ``what(*args)``, or None after an error, which is reported."""
    try:
        return what(*args)
    except (OSError, ValueError) as error:
        split.add(kind, str(error))
        return None


def _compare_names(names: Sequence[str], others: Sequence[str], one: str, many: str, split: SplitReport) -> None:
    known, others_known = set(names), set(others)
    split.add(f'image without {one}', *(name for name in names if name not in others_known))
    split.add(f'{many} without an image', *(name for name in others if name not in known))


def _check_eyes(annotations: FaceAnnotations, split: SplitReport) -> None:
    if ORDERS.get(annotations.order) != annotations.num_keypoints:
        split.add('eyes not checked', f'the order {annotations.order!r} is not known', warning=True)
        return
    left, right = component_groups(annotations.num_keypoints)[:2]
    left_x, right_x = (annotations.landmarks[:, eye, 0].mean(axis=1) for eye in (left, right))
    for row in np.flatnonzero(left_x >= right_x):
        split.add('left eye not left of the right eye',
                  f'{annotations.names[row]}: x is {left_x[row]:.1f}, of the right eye {right_x[row]:.1f}')


def _check_images(seen: Dict[str, _Seen], made_here: bool, split: SplitReport) -> None:
    first_scale = None
    for name, (size, error, _, lq_size, lq_error, lq_is_shrunk) in seen.items():
        if lq_error is not None:
            split.add('unreadable low-quality image', lq_error)
        if size is None:
            split.add('unreadable image', str(error))
            continue
        split.sizes[size] += 1
        if size[0] != size[1]:  # testing without gt_size can use it, training cannot
            split.add('image not square', f'{name}: {size_text(size)}', warning=_stem(split.name) != 'train')
        if lq_size is None or split.lq_sizes is None:
            continue
        split.lq_sizes[lq_size] += 1
        scale = size[0] // lq_size[0]
        if scale < 2 or size != (lq_size[0] * scale, lq_size[1] * scale):
            split.add('low-quality image of a size that does not fit',
                      f'{name}: {size_text(lq_size)}, but the image is {size_text(size)}')
            continue
        first_scale = first_scale or scale
        if scale != first_scale:
            split.add('low-quality image of another scale', f'{name}: {scale}, others {first_scale}')
        elif not lq_is_shrunk:  # other sets may use another filter
            split.add('low-quality image is not the shrunk image', name, warning=not made_here)


def _check_meta_info(files: FaceFiles, size_of: Dict[str, Optional[_Size]], split: SplitReport) -> None:
    """Compare sizes with the entries ``name.png (h,w,c)`` of the list that BasicSR's tools write."""
    folder, name = os.path.split(files.root)
    inside, beside = os.path.join(files.root, 'meta_info.txt'), os.path.join(folder, f'meta_info_{name}.txt')
    meta_info = inside if files.backend == 'lmdb' else beside
    if not os.path.isfile(meta_info):
        return
    names = set(files.names)
    with open(meta_info, encoding='utf-8') as file:
        entries = [match for match in map(_META_LINE.match, file) if match]
    for entry in entries:
        key, expected = os.path.splitext(entry['name'])[0], (int(entry['width']), int(entry['height']))
        size = size_of.get(key)
        if key not in names:
            split.add('in meta_info, but missing', f'{key} ({meta_info})')
        elif size not in (None, expected):
            split.add('shape not as in meta_info',
                      f'{name}/{key}: is {size_text(size)}, expected {size_text(expected)}')


def _check_landmarks(size_of: Dict[str, Optional[_Size]], annotations: FaceAnnotations, split: SplitReport) -> None:
    for row, (name, points) in enumerate(zip(annotations.names.tolist(), annotations.landmarks)):
        size = size_of.get(name)
        if size is None:
            continue
        annotated = size if annotations.image_size is None else tuple(annotations.image_size[row].tolist())
        outside = ((points < -0.5) | (points > np.array(size) - 0.5)).any(axis=1)
        if annotated != size:
            split.add('image size not as annotated', f'{name}: is {size_text(size)}, annotated {size_text(annotated)}')
        elif outside.any():
            x, y = points[outside.argmax()]
            split.add('landmarks outside the image',
                      f'{name}: landmark {outside.argmax()} at ({x:.1f}, {y:.1f}), the image is {size_text(size)}')


_WORKER: tuple = ()  # of a worker process, set when it starts: images, low-quality images, rows of these by name


def _start_worker(files: FaceFiles, lq_files: Optional[FaceFiles]) -> None:
    global _WORKER
    _WORKER = (files, lq_files, {name: row for row, name in enumerate(lq_files.names)} if lq_files else {})


def _read_face(row: int) -> _Seen:
    files, lq_files, lq_rows = _WORKER
    img, error = _read(files, row)
    lq_row = lq_rows.get(files.names[row])
    lq, lq_error = (None, None) if lq_row is None else _read(lq_files, lq_row)
    digest = None if img is None else hashlib.blake2b(img.tobytes(), digest_size=16).digest()
    lq_is_shrunk = False
    if img is not None and lq is not None:
        scale = img.shape[0] // lq.shape[0]
        fits = img.shape == (lq.shape[0] * scale, lq.shape[1] * scale, 3)
        lq_is_shrunk = fits and np.array_equal(make_lq(img, scale), lq)
    size, lq_size = (None if image is None else image.shape[1::-1] for image in (img, lq))
    return _Seen(size, error, digest, lq_size, lq_error, lq_is_shrunk)


def _read(files: FaceFiles, row: int) -> Tuple[Optional[np.ndarray], Optional[str]]:
    try:
        return files.read(row), None
    except (KeyError, ValueError, OSError, lmdb.Error, cv2.error) as error:
        reason = str(error.args[0] if isinstance(error, KeyError) else error)
        return None, reason if files.names[row] in reason else f'{files.paths[row]}: {reason}'
