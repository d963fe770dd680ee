"""Face crops with landmarks, from a folder or an LMDB; the data of the paper's recipes (its section 4.1)."""
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils import data as data

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_set import FaceSet
from dic_plugin.data.face_transform import COMMON_KEYS, FaceTransform, describe
from dic_plugin.landmarks.layouts import ORDERS, flip_permutation
from dic_plugin.utils.option_check import dataset_options
from dic_plugin.utils.option_values import OptionError, flag, listed, number, numbers, path, refused, whole

__all__ = ['FaceLandmarkDataset', 'crop_margin']

NO_LQ = 'lq is made from dataroot_gt here; to read both from files take the type PairedImageDataset'


@DATASET_REGISTRY.register()
class FaceLandmarkDataset(data.Dataset):
    """Square face crops and their landmarks; the low-quality image is made from the crop.

    Any file that OpenCV decodes becomes 8-bit RGB: grey and palette images are expanded, transparent ones laid over
    black, 16 bits rounded to 8. The crop is resized to ``gt_size`` and shrunk from there to ``lq``, both with Pillow's
    bicubic filter in 8 bits.

    Args:
        opt (dict): Options of the dataset, which are only read:
            dataroot_gt (str | list): Folder of images, or an LMDB's; or a list of several, of either kind.
            annotation_file (str | list): The ``.npz`` of :mod:`dic_plugin.data.annotations`, one for each root.
                Default: no landmarks.
            meta_info_file (str | list): Text files naming the images to use, one a line; ``~`` for all. Default: all.
            set_weights (list): How many times an epoch goes through each root, whole numbers. Default: once.
            io_backend (dict): ``{type: disk}`` or ``{type: lmdb}``, for all roots. Default: lmdb where a root ends in
                ``.lmdb``.
            num_keypoints (int): Number of landmarks that the network has, to be checked against the file.
            gt_size (int): Size of ``gt``. Default, except in training: as stored.
            use_hflip (bool): In training, mirror every second face; left and right landmarks change places.
            max_rotation (float): In training, turn by up to this many degrees, either way.
            zoom_range (list): In training, enlarge the face by a random factor in this range, at least 1, at a random
                place; see :func:`dic_plugin.data.geometry.zoom_box`. Store crops larger than ``gt_size`` for it.
            use_rot (bool): In training, turn by 0 to 3 quarter turns.
            aspect_ratio_range (list): In training, distort by a random factor in this range, [0.66, 1.33] for Helen;
                see :func:`dic_plugin.data.geometry.aspect_crop_box`.
            mean, std (list): Normalise ``lq`` and ``gt``, as in BasicSR. DIC does not need it.
            scale, phase: put there by BasicSR.

    Each sample is a dict of ``lq`` (3, h, w) and ``gt`` (3, h * scale, w * scale), float32 RGB in [0, 1]; ``landmarks``
    (K, 2), float32 (x, y) in pixels of ``gt``, if annotated; ``lq_path``, ``gt_path``.

    Raises:
        OptionError, FileNotFoundError, ValueError: on construction, for options, files, or images and annotations that
            do not belong together; ``dataset[i]`` raises ValueError, KeyError or FileNotFoundError naming the image.
    """

    option_keys = {
        **COMMON_KEYS, 'dataroot_gt': listed(path),
        'dataroot_lq': refused(NO_LQ),
        'filename_tmpl': refused(NO_LQ),
        'io_backend': None,
        'meta_info_file': listed(path),
        'annotation_file': listed(path),
        'set_weights': listed(whole(1)),
        'use_rot': flag,
        'max_rotation': number(0, 180),
        'zoom_range': numbers(2, least=1, ascending=True),
        'aspect_ratio_range': numbers(2, above=0, ascending=True),
        'num_keypoints': whole(1)
    }

    def __init__(self, opt: Mapping[str, Any]) -> None:
        super().__init__()
        where = describe(opt)
        self.opt = opt = dataset_options(opt, self.option_keys, where)
        roots = opt.get('dataroot_gt')
        if not roots:
            raise OptionError(f'{where}:dataroot_gt is missing; expected a folder of face crops or an LMDB.')
        roots = roots if isinstance(roots, list) else [roots]
        annotation_files = _per_root(opt, 'annotation_file', roots, None)
        meta_info_files = _per_root(opt, 'meta_info_file', roots, None)
        self.sets = [FaceSet(*files, opt.get('io_backend')) for files in zip(roots, annotation_files, meta_info_files)]
        self._check_names(where)
        annotations = self._check_landmarks(where)
        permutation = None
        if annotations and opt.get('use_hflip') and opt.get('phase') == 'train':
            permutation = _flip_permutation(annotations.order, annotations.num_keypoints, where)
        self.transform = FaceTransform(opt, permutation)
        # the faces of an epoch as (set, face)
        self.faces = [(number, face) for number, weight in enumerate(_per_root(opt, 'set_weights', roots, 1))
                      for _ in range(weight) for face in range(len(self.sets[number]))]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        number, face = self.faces[index]
        img, landmarks = self.sets[number].read(face)
        return self.transform(img, landmarks, self.sets[number].files.paths[face])

    def _check_names(self, where: str) -> None:
        """Check that no root stands twice and, where results are written by name, that no name does."""
        root_of: Dict[str, str] = {}
        for files in (face_set.files for face_set in self.sets):
            for name in (files.real_root, *(files.names if self.opt.get('phase') != 'train' else ())):
                if name in root_of:
                    raise ValueError(f'{where}:dataroot_gt: {name!r} is in {root_of[name]!r} and in {files.root!r}; '
                                     'expected different names, for results are written under them.')
                root_of[name] = files.root

    def _check_landmarks(self, where: str) -> Optional[FaceAnnotations]:
        """Check that all sets have landmarks of one kind, or none; return those of the first."""
        first, expected = self.sets[0].annotations, self.opt.get('num_keypoints')
        for face_set in self.sets[1:]:
            if _kind(face_set.annotations) != _kind(first):
                raise ValueError(f'{where}: {self.sets[0].files.root!r} has {_kind(first)}, {face_set.files.root!r} '
                                 f'{_kind(face_set.annotations)}; expected one kind of landmarks in all sets.')
        found = first.num_keypoints if first else 0
        if expected is not None and expected != found:
            what = 'no annotation_file is given.'
            if first:
                what = (f'the annotation file {self.sets[0].annotation_file!r} has {found} landmarks per face '
                        f'({first.order}).')
            raise ValueError(f'{where}:num_keypoints is {expected}, but {what}')
        return first


def _per_root(opt: Mapping[str, Any], key: str, roots: List[str], default: Any) -> List[Any]:
    value = opt.get(key)
    values = [default] * len(roots) if value is None else value if isinstance(value, list) else [value]
    if len(values) != len(roots):
        raise OptionError(f'{describe(opt)}:{key} has {len(values)} values; expected {len(roots)}, one for each '
                          'dataroot_gt.')
    return [default if item is None else item for item in values]


def _kind(annotations: Optional[FaceAnnotations]) -> str:
    return f'landmarks of the order {annotations.order}' if annotations else 'no landmarks'


def _flip_permutation(order: str, num_keypoints: int, where: str) -> np.ndarray:
    if ORDERS.get(order) != num_keypoints:
        raise OptionError(f'{where}:use_hflip: landmarks in the order {order!r} cannot be flipped; known orders: '
                          f'{", ".join(sorted(ORDERS))}. Set `use_hflip: false`.')
    try:
        return flip_permutation(num_keypoints)
    except ValueError as error:
        raise OptionError(f'{where}:use_hflip: {error}') from error


def crop_margin(opt: Mapping[str, Any]) -> Optional[float]:
    """Return the margin around the faces that a training set shows, see FaceAnnotations.margin.

    Of several sets it is the first's; with ``zoom_range``, that of the mean zoom.

    Args:
        opt: Options of the dataset, of any type.

    Returns:
        None if the dataset has no annotation file, or a file that cannot be read.
    """
    files = opt.get('annotation_file') if opt.get('type') == FaceLandmarkDataset.__name__ else None
    try:
        margin = FaceAnnotations.load(files[0] if isinstance(files, list) else files).margin if files else None
    except (OSError, ValueError):
        return None
    if margin is None:
        return None
    zoom = float(np.mean(opt.get('zoom_range') or 1))
    return max(0., round(((1 + 2 * margin) / zoom - 1) / 2, 2))
