"""Examination of a set of face crops, prepared by dic-prepare or otherwise.

A set is a folder of splits. A split is an LMDB (``train.lmdb``) or a folder of images (``train``), with its annotation
file (``train.npz``) beside it and, for BasicSR's PairedImageDataset, the low-quality images (``train_lq.lmdb`` or
``train_lq``). A single LMDB or folder of images is also a set.
"""
import hashlib
import os
import re
from concurrent.futures.process import BrokenProcessPool
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import cv2
import lmdb
import numpy as np
from tqdm import tqdm

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.degradation import make_lq
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.data.face_set import FaceSet
from dic_plugin.data.image_file import IMAGE_EXTENSIONS
from dic_plugin.landmarks.layouts import ORDERS, component_groups
from dic_plugin.prepare.check_report import CheckReport, Size, SplitReport, size_text
from dic_plugin.prepare.near_copies import fingerprint, near_pairs
from dic_plugin.prepare.workers import worker_map

__all__ = ['check_set']

CHUNK = 128  # images that a worker reads at a time

_Identity = Tuple[str, object, str]  # what splits must not share ('name', ...), its value, the face it belongs to


class _Image(NamedTuple):
    """An image that a worker has read."""
    size: Size
    digest: bytes  # of its pixels
    shrunk: Optional[bytes]  # of the pixels of its low-quality image, if their sizes fit
    fingerprint: np.ndarray  # see near_copies


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
    seen: Dict[str, Dict[str, _Image]] = {}
    for name in names:
        splits.append(SplitReport(name))
        identities, images = _check_split(folder, splits[-1], made_here, workers or os.cpu_count() or 1)
        for other, other_images in seen.items():
            if _stem(other) != _stem(name):  # an LMDB and a folder may hold the same split
                _check_near_copies(other, other_images, name, images, between)
        seen[name] = images
        for what, value, face in identities:
            other, other_face = first.setdefault((what, value), (name, face))
            if _stem(other) != _stem(name):
                # dic-prepare names faces after photographs; other sets may number each split from 1
                may_be = what == 'name' and not made_here
                between.add(f'same {what} in two splits', f'{other}/{other_face} and {name}/{face}', warning=may_be)
    return CheckReport(splits, between)


def _check_near_copies(first: str, first_images: Dict[str, _Image], second: str, second_images: Dict[str, _Image],
                       between: SplitReport) -> None:
    names, others = list(second_images), list(first_images)
    prints = [[image.fingerprint for image in images.values()] for images in (second_images, first_images)]
    for row, column in near_pairs(*prints):
        name, other = names[row], others[column]
        if second_images[name].digest != first_images[other].digest:  # which is reported as such
            between.add('nearly the same picture in two splits', f'{first}/{other} and {second}/{name}', warning=True)


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


def _check_split(folder: str, split: SplitReport, made_here: bool,
                 workers: int) -> Tuple[List[_Identity], Dict[str, _Image]]:
    root = os.path.join(folder, split.name)
    lq_root = re.sub(r'(\.lmdb)?$', r'_lq\1', root, count=1)
    is_train = _stem(split.name) == 'train'
    plain = _open(split, 'cannot be opened', root)
    if plain is None:
        return [], {}
    faces = _open(split, 'annotation file does not fit', root, annotation_file=_annotation_file(root)) or plain
    names = faces.files.names
    split.num_images = len(names)
    lq_faces = _open(split, 'cannot be opened', lq_root) if os.path.isdir(lq_root) else None
    lq_images = _read_images(lq_faces, split, workers, {}) if lq_faces else {}
    images = _read_images(faces, split, workers, {name: lq.size for name, lq in lq_images.items()})
    split.sizes.update(image.size for image in images.values())
    split.lq_sizes.update(lq.size for lq in lq_images.values())
    for name, image in images.items():
        if image.size[0] != image.size[1]:  # testing without gt_size can use it, training cannot
            split.add('image not square', f'{name}: {size_text(image.size)}', warning=not is_train)
    if lq_faces:
        given, lq_given = set(names), set(lq_faces.files.names)
        split.add('image without a low-quality image', *(name for name in names if name not in lq_given))
        split.add('low-quality images without an image', *sorted(lq_given - given))
        _check_pairs(images, lq_images, made_here, split)
    elif made_here and not is_train and not os.path.isdir(lq_root):
        split.add('no low-quality images', f'expected {lq_root}')
    identities: List[_Identity] = [('name', name, name) for name in names]
    identities += [('pixels', image.digest, name) for name, image in images.items()]
    if faces.annotations:
        split.order = faces.annotations.order
        _check_eyes(faces.annotations, split)
        if faces.annotations.source is not None:
            identities += [('photograph', source, source) for source in faces.annotations.source.tolist()]
    return identities, images


def _open(split: SplitReport, problem: str, root: str, annotation_file: Optional[str] = None) -> Optional[FaceSet]:
    """Return the set of a folder or LMDB, or None after an error, which is reported."""
    try:
        return FaceSet(root, annotation_file)
    except (OSError, ValueError) as error:
        split.add(problem, str(error))
        return None


def _read_images(faces: FaceSet, split: SplitReport, workers: int, lq_sizes: Dict[str, Size]) -> Dict[str, _Image]:
    """Read all images, report those that cannot be used, and return the others by name."""
    files, images = faces.files, {}
    folder = os.path.basename(files.root)
    seen = 0
    try:
        processes = min(workers, -(-len(files) // CHUNK))
        if processes == 1 and files.backend != 'lmdb':  # a damaged LMDB may end the process that reads it
            processes = 0
        with worker_map(processes, _start_worker, faces, lq_sizes) as run:
            results = tqdm(run(_read_image, range(len(files)), chunksize=CHUNK), folder, len(files), unit='image')
            for seen, (image, name) in enumerate(zip(results, files.names), 1):  # this order exhausts the progress bar
                if isinstance(image, str):
                    split.add('image cannot be used', image)
                else:
                    images[name] = image
    except BrokenProcessPool:  # SIGBUS, for a missing part of an LMDB
        split.add('reading ended a worker process',
                  f'{folder}: after {seen:,} images; the LMDB is damaged, perhaps cut short, or memory ran out')
        return {}
    known = set(files.names)
    for name, size in _read_meta_info(files).items():
        if name not in known:
            split.add('in meta_info, but missing', f'{folder}/{name}')
        elif name in images and images[name].size != size:
            split.add('shape not as in meta_info',
                      f'{folder}/{name}: is {size_text(images[name].size)}, expected {size_text(size)}')
    return images


def _read_meta_info(files: FaceFiles) -> Dict[str, Size]:
    """Return the sizes in the list that BasicSR's tools write, ``name.png (h,w,c)`` in each line, if there is one."""
    folder, name = os.path.split(files.root)
    path = (
        os.path.join(files.root, 'meta_info.txt') if files.backend == 'lmdb' else os.path.join(
            folder, f'meta_info_{name}.txt'))
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


def _check_eyes(annotations: FaceAnnotations, split: SplitReport) -> None:
    if ORDERS.get(annotations.order) != annotations.num_keypoints:
        split.add('eyes not checked', f'the order {annotations.order!r} is not known', warning=True)
        return
    left, right = component_groups(annotations.num_keypoints)[:2]
    left_x, right_x = (annotations.landmarks[:, eye, 0].mean(axis=1) for eye in (left, right))
    for row in np.flatnonzero(left_x >= right_x).tolist():
        split.add('left eye not left of the right eye',
                  f'{annotations.names[row]}: x is {left_x[row]:.1f}, of the right eye {right_x[row]:.1f}')


_WORKER: tuple = ()  # of a worker process, set when it starts: dataset, sizes of the low-quality images by name


def _start_worker(*state: object) -> None:
    global _WORKER
    _WORKER = state


def _read_image(row: int) -> Union[_Image, str]:
    """Return an image of the worker's dataset or, if it cannot be used, the reason."""
    faces, lq_sizes = _WORKER
    name = faces.files.names[row]
    try:
        img, _ = faces.read(row)
    except (KeyError, ValueError, OSError, lmdb.Error, cv2.error) as error:
        reason = str(error.args[0] if isinstance(error, KeyError) else error)
        return reason if name in reason else f'{faces.files.paths[row]}: {reason}'
    height, width = img.shape[:2]
    lq_width, lq_height = lq_sizes.get(name, (width, height))
    scale = width // lq_width
    fits = scale > 1 and (width, height) == (lq_width * scale, lq_height * scale)
    return _Image((width, height), _digest(img), _digest(make_lq(img, scale)) if fits else None, fingerprint(img))


def _digest(img: np.ndarray) -> bytes:
    return hashlib.blake2b(img.tobytes(), digest_size=16).digest()
