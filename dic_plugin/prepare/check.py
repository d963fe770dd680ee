"""Examination of a set of face crops, prepared by dic-prepare or otherwise.

A set is a folder of splits. A split is an LMDB (``train.lmdb``) or a folder of images (``train``), with its annotation
file (``train.npz``) beside it and, for BasicSR's PairedImageDataset, the low-quality images (``train_lq.lmdb`` or
``train_lq``). A single LMDB or folder of images is also a set.
"""
import hashlib
import os
import re
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
from dic_plugin.prepare.check_report import CheckReport, Size, SplitReport, size_text
from dic_plugin.prepare.workers import worker_map

__all__ = ['check_set']

CHUNK = 128  # images that a worker reads at a time

_Identity = Tuple[str, object, str]  # what splits must not share ('name', ...), its value, the face it belongs to


class _Image(NamedTuple):
    """An image that a worker has read."""
    size: Size = (0, 0)
    digest: bytes = b''  # of its pixels
    shrunk: Optional[bytes] = None  # of the pixels of its low-quality image, if their sizes fit
    error: Optional[str] = None  # why it cannot be read


def check_set(root: str, workers: Optional[int] = None) -> CheckReport:
    """Examine a set of face crops; every image is read.

    The low-quality images of dic-prepare must equal :func:`dic_plugin.data.degradation.make_lq` of the images; others
    only have to be smaller by an integer factor.

    Args:
        root: The set, as described in this module's docstring.
        workers: Number of processes. Default: one per core.

    Raises:
        FileNotFoundError: there is no set.
    """
    between = SplitReport(root)
    folder, names = _find_splits(os.path.normpath(root), between)
    made_here = os.path.isfile(os.path.join(folder, 'prepared.json'))
    splits: List[SplitReport] = []
    first: Dict[Tuple[str, object], Tuple[str, str]] = {}
    for name in names:
        splits.append(SplitReport(name))
        for what, value, face in _check_split(folder, splits[-1], made_here, workers or os.cpu_count() or 1):
            other, other_face = first.setdefault((what, value), (name, face))
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
    # of low-quality images, by name; alone, they are the set
    originals = {name: re.sub(r'_lq(\.lmdb)?$', r'\1', name) for name in names if len(names) > 1}
    splits = [name for name in names if originals.get(name, name) == name]
    between.add('low-quality images without their originals',
                *(f'{name}: there is no {originals[name]}' for name in names if originals.get(name, name) not in names))
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


def _check_split(folder: str, split: SplitReport, made_here: bool, workers: int) -> List[_Identity]:
    root = os.path.join(folder, split.name)
    lq_root = re.sub(r'(\.lmdb)?$', r'_lq\1', root, count=1)
    is_train = _stem(split.name) == 'train'
    annotations = _open_or_report('no valid annotation file', split, FaceAnnotations.load, _annotation_file(root))
    split.order = annotations and annotations.order
    files = _open_images(root, split)
    if files is None:
        return []
    split.num_images = len(files)
    lq_files = _open_images(lq_root, split) if os.path.isdir(lq_root) else None
    if made_here and not is_train and not os.path.isdir(lq_root):
        split.add('no low-quality images', f'expected {lq_root}')
    lq_images: Dict[str, _Image] = {}
    if lq_files is not None:
        _compare_names(files.names, lq_files.names, 'a low-quality image', 'low-quality images', split)
        lq_images = _read_images(lq_files, split, 'low-quality image', workers)
        split.lq_sizes.update(lq.size for lq in lq_images.values())
    images = _read_images(files, split, 'image', workers, {name: lq.size for name, lq in lq_images.items()})
    split.sizes.update(image.size for image in images.values())
    for name, image in images.items():
        if image.size[0] != image.size[1]:  # testing without gt_size can use it, training cannot
            split.add('image not square', f'{name}: {size_text(image.size)}', warning=not is_train)
    _check_pairs(images, lq_images, made_here, split)
    identities: List[_Identity] = [('name', name, name) for name in files.names]
    if annotations is not None:
        _compare_names(files.names, annotations.names.tolist(), 'landmarks', 'landmarks', split)
        _check_landmarks(annotations, images, split)
        sources = [] if annotations.source is None else annotations.source.tolist()
        identities += [('photograph', source, source) for source in sources]
    return identities + [('pixels', image.digest, name) for name, image in images.items()]


def _open_or_report(kind: str, split: SplitReport, what: Callable, *args: object) -> Any:
    """Return ``what(*args)``, or None after an error, which is reported."""
    try:
        return what(*args)
    except (OSError, ValueError) as error:
        split.add(kind, str(error))
        return None


def _open_images(root: str, split: SplitReport) -> Optional[FaceFiles]:
    backend = {'type': 'lmdb' if root.endswith('.lmdb') else 'disk'}
    return _open_or_report('cannot be opened', split, FaceFiles, root, backend)


def _compare_names(names: Sequence[str], others: Sequence[str], one: str, many: str, split: SplitReport) -> None:
    known, others_known = set(names), set(others)
    split.add(f'image without {one}', *(name for name in names if name not in others_known))
    split.add(f'{many} without an image', *(name for name in others if name not in known))


def _read_images(files: FaceFiles,
                 split: SplitReport,
                 what: str,
                 workers: int,
                 lq_sizes: Optional[Dict[str, Size]] = None) -> Dict[str, _Image]:
    """Read all images and return those that can be read, by name."""
    images: Dict[str, _Image] = {}
    name = os.path.basename(files.root)
    try:
        with worker_map(min(workers, -(-len(files) // CHUNK)), _start_worker, files, lq_sizes or {}) as run:
            results = tqdm(run(_read_image, range(len(files)), chunksize=CHUNK), name, len(files), unit='image')
            for image, key in zip(results, files.names):  # in this order, which exhausts the progress bar
                images[key] = image
    except BrokenProcessPool:  # SIGBUS, for a missing part of an LMDB
        split.add('reading ended a worker process',
                  f'{name}: after {len(images):,} images; the LMDB is damaged, perhaps cut short, or memory ran out')
        return {}
    split.add(f'unreadable {what}', *(image.error for image in images.values() if image.error))
    images = {key: image for key, image in images.items() if not image.error}
    known = set(files.names)
    for key, expected in _read_meta_info(files).items():
        if key not in known:
            split.add('in meta_info, but missing', f'{name}/{key}')
        elif key in images and images[key].size != expected:
            split.add('shape not as in meta_info',
                      f'{name}/{key}: is {size_text(images[key].size)}, expected {size_text(expected)}')
    return images


def _read_meta_info(files: FaceFiles) -> Dict[str, Size]:
    """Return the sizes in the list that BasicSR's tools write, ``name.png (h,w,c)`` in each line, if there is one."""
    folder, name = os.path.split(files.root)
    inside, beside = os.path.join(files.root, 'meta_info.txt'), os.path.join(folder, f'meta_info_{name}.txt')
    path = inside if files.backend == 'lmdb' else beside
    if not os.path.isfile(path):
        return {}
    with open(path, encoding='utf-8') as file:
        entries = re.findall(r'^(.*?)(?:\.\w+)? \((\d+),(\d+),\d+\)', file.read(), re.MULTILINE)
    return {name: (int(width), int(height)) for name, height, width in entries}


def _check_pairs(images: Dict[str, _Image], lq_images: Dict[str, _Image], made_here: bool, split: SplitReport) -> None:
    usual = None
    for name in filter(lq_images.__contains__, images):
        (size, _, shrunk, _), lq = images[name], lq_images[name]
        scale = size[0] // lq.size[0]
        usual = usual or (None if shrunk is None else scale)
        if shrunk is None:
            split.add('low-quality image of a size that does not fit',
                      f'{name}: {size_text(lq.size)}, but the image is {size_text(size)}')
        elif scale != usual:
            split.add('low-quality image of another scale', f'{name}: {scale}, others {usual}')
        elif shrunk != lq.digest:  # other sets may use another filter
            split.add('low-quality image is not the shrunk image', name, warning=not made_here)


def _check_landmarks(annotations: FaceAnnotations, images: Dict[str, _Image], split: SplitReport) -> None:
    names = annotations.names.tolist()
    for row, (name, points) in enumerate(zip(names, annotations.landmarks)):
        if name not in images:
            continue
        size = images[name].size
        annotated = size if annotations.image_size is None else tuple(annotations.image_size[row].tolist())
        outside = ((points < -0.5) | (points > np.array(size) - 0.5)).any(axis=1)
        if annotated != size:
            split.add('image size not as annotated', f'{name}: is {size_text(size)}, annotated {size_text(annotated)}')
        elif outside.any():
            x, y = points[outside.argmax()]
            split.add('landmarks outside the image',
                      f'{name}: landmark {outside.argmax()} at ({x:.1f}, {y:.1f}), the image is {size_text(size)}')
    if ORDERS.get(annotations.order) != annotations.num_keypoints:
        split.add('eyes not checked', f'the order {annotations.order!r} is not known', warning=True)
        return
    left, right = component_groups(annotations.num_keypoints)[:2]
    left_x, right_x = (annotations.landmarks[:, eye, 0].mean(axis=1) for eye in (left, right))
    for row in np.flatnonzero(left_x >= right_x).tolist():
        split.add('left eye not left of the right eye',
                  f'{names[row]}: x is {left_x[row]:.1f}, of the right eye {right_x[row]:.1f}')


_WORKER: tuple = ()  # of a worker process, set when it starts: images, sizes of their low-quality images by name


def _start_worker(*state: object) -> None:
    global _WORKER
    _WORKER = state


def _read_image(row: int) -> _Image:
    files, lq_sizes = _WORKER
    name = files.names[row]
    try:
        img = files.read(row)
    except (KeyError, ValueError, OSError, lmdb.Error, cv2.error) as error:
        reason = str(error.args[0] if isinstance(error, KeyError) else error)
        return _Image(error=reason if name in reason else f'{files.paths[row]}: {reason}')
    height, width = img.shape[:2]
    lq_width, lq_height = lq_sizes.get(name, (width, height))
    scale = width // lq_width
    fits = scale > 1 and (width, height) == (lq_width * scale, lq_height * scale)
    return _Image((width, height), _digest(img), _digest(make_lq(img, scale)) if fits else None)


def _digest(img: np.ndarray) -> bytes:
    return hashlib.blake2b(img.tobytes(), digest_size=16).digest()
