"""Face crops with landmarks, from a folder or an LMDB; the data of the paper's recipes (its section 4.1)."""
from typing import Any, Dict, Mapping, Optional

import numpy as np
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils import data as data

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.data.face_transform import COMMON_KEYS, FaceTransform, describe
from dic_plugin.landmarks.layouts import ORDERS, flip_permutation
from dic_plugin.utils.option_check import dataset_options
from dic_plugin.utils.option_values import OptionError, flag, path, refused, whole

__all__ = ['FaceLandmarkDataset']

NO_LQ = 'lq is made from dataroot_gt here; to read both from files take the type PairedImageDataset'


@DATASET_REGISTRY.register()
class FaceLandmarkDataset(data.Dataset):
    """Square face crops and their landmarks; the low-quality image is made from the crop.

    Any file that OpenCV decodes becomes 8-bit RGB: grey and palette images are expanded, transparent ones laid over
    black, 16 bits rounded to 8. The crop is resized to ``gt_size`` and shrunk from there to ``lq``, both with Pillow's
    bicubic filter in 8 bits.

    Args:
        opt (dict): Options of the dataset, which are only read:
            dataroot_gt (str): Folder of images, or an LMDB's.
            io_backend (dict): ``{type: disk}`` (default) or ``{type: lmdb}``.
            meta_info_file (str): Text file naming the images to use, one a line. Default: all.
            annotation_file (str): The ``.npz`` of :mod:`dic_plugin.data.annotations`. Default: no landmarks.
            num_keypoints (int): Number of landmarks that the network has, to be checked against the file.
            gt_size (int): Size of ``gt``. Default, except in training: as stored.
            use_hflip (bool): In training, mirror every second face; left and right landmarks change places.
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
        **COMMON_KEYS, 'dataroot_gt': path,
        'dataroot_lq': refused(NO_LQ),
        'filename_tmpl': refused(NO_LQ),
        'io_backend': None,
        'meta_info_file': path,
        'annotation_file': path,
        'use_rot': flag,
        'aspect_ratio_range': None,
        'num_keypoints': whole(1)
    }

    def __init__(self, opt: Mapping[str, Any]) -> None:
        super().__init__()
        where = describe(opt)
        opt = dataset_options(opt, self.option_keys, where)
        if not opt.get('dataroot_gt'):
            raise OptionError(f'{where}:dataroot_gt is missing; expected a folder of face crops or an LMDB.')
        self.opt = opt
        self.files = FaceFiles(opt['dataroot_gt'], opt.get('io_backend') or {'type': 'disk'}, opt.get('meta_info_file'))
        self.annotation_file = opt.get('annotation_file')
        self.annotations: Optional[FaceAnnotations] = None
        permutation = None
        if self.annotation_file:
            self.annotations = FaceAnnotations.load(self.annotation_file)
            # every read asks whether the landmarks are inside: of each face only the outermost need be looked at
            self.lowest = self.annotations.landmarks.min(axis=1)
            self.highest = self.annotations.landmarks.max(axis=1)
            self.row_of = {name: row for row, name in enumerate(self.annotations.names.tolist())}
            self._check_belong_together(subset=bool(opt.get('meta_info_file')))
            if opt.get('use_hflip') and opt.get('phase') == 'train':
                permutation = self._flip_permutation(self.annotations, where)
        expected = opt.get('num_keypoints')
        found = self.annotations.num_keypoints if self.annotations else 0
        if expected is not None and expected != found:
            what = 'no annotation_file is given.'
            if self.annotations:
                what = (f'the annotation file {self.annotation_file!r} has {found} landmarks per face '
                        f'({self.annotations.order}).')
            raise ValueError(f'{where}:num_keypoints is {expected}, but {what}')
        self.transform = FaceTransform(opt, permutation)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        img = self.files.read(index)
        landmarks = self._landmarks_of(self.annotations, index, img) if self.annotations else None
        return self.transform(img, landmarks, self.files.paths[index])

    def _landmarks_of(self, annotations: FaceAnnotations, index: int, img: np.ndarray) -> np.ndarray:
        row = self.row_of[self.files.names[index]]
        landmarks = annotations.landmarks[row]
        height, width = img.shape[:2]
        mismatch = f'image and annotation do not belong together ({self.annotation_file})'
        if annotations.image_size is not None and tuple(annotations.image_size[row]) != (width, height):
            annotated = 'x'.join(map(str, annotations.image_size[row]))
            raise ValueError(f'{self.files.paths[index]}: is {width}x{height} (width x height), but was annotated as '
                             f'{annotated}; {mismatch}.')
        (left, top), (right, bottom) = self.lowest[row].tolist(), self.highest[row].tolist()
        if left < -0.5 or top < -0.5 or right > width - 0.5 or bottom > height - 0.5:
            outside = ((landmarks < -0.5) | (landmarks > (width - 0.5, height - 0.5))).any(axis=1)
            point = int(outside.argmax())
            x, y = landmarks[point]
            raise ValueError(
                f'{self.files.paths[index]}: landmark {point} at ({x:.1f}, {y:.1f}) is outside the image of '
                f'{width}x{height} (width x height); {mismatch}.')
        return landmarks

    def _check_belong_together(self, subset: bool) -> None:
        """Check that every image has landmarks and, unless a list selects some of the images, every face an image."""
        without = [name for name in self.files.names if name not in self.row_of]
        if without:
            raise ValueError(f'{self.annotation_file}: has no landmarks for {without[0]!r} ({len(without)} of '
                             f'{len(self.files)} images in {self.files.root!r}); images and annotations do not belong '
                             'together.')
        if not subset and len(self.row_of) > len(self.files):
            images = set(self.files.names)
            extra = [name for name in self.row_of if name not in images]
            raise ValueError(
                f'{self.annotation_file}: {extra[0]!r} has no image in {self.files.root!r} ({len(extra)} of '
                f'{len(self.row_of)} faces); images and annotations do not belong together. To use some of '
                'the images only, name them in a meta_info_file.')

    def _flip_permutation(self, annotations: FaceAnnotations, where: str) -> np.ndarray:
        order, num_keypoints = annotations.order, annotations.num_keypoints
        if ORDERS.get(order) != num_keypoints:
            raise OptionError(f'{where}:use_hflip: landmarks in the order {order!r} ({self.annotation_file}) cannot be '
                              f'flipped; known orders: {", ".join(sorted(ORDERS))}. Set `use_hflip: false`.')
        try:
            return flip_permutation(num_keypoints)
        except ValueError as error:
            raise OptionError(f'{where}:use_hflip: {error}') from error
