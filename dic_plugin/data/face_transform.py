"""From a face and its landmarks to the sample that BasicSR's models take: what both face datasets share."""
import random
from typing import Dict, Mapping, Optional, Union

import numpy as np
import torch
from basicsr.utils import img2tensor
from torchvision.transforms.functional import normalize

from dic_plugin.data.degradation import make_lq
from dic_plugin.data.geometry import (
    aspect_crop_box,
    crop_resize,
    flip_horizontal,
    rotate,
    rotate_quarter_turns,
    zoom_box,
)
from dic_plugin.utils.option_values import OptionError, flag, numbers, whole

__all__ = ['COMMON_KEYS', 'FaceTransform', 'describe', 'whole_number']

# options that both face datasets read, besides those of BasicSR's loops
COMMON_KEYS = {'gt_size': whole(1), 'use_hflip': flag, 'mean': numbers(3), 'std': numbers(3, above=0)}


def describe(opt: Mapping) -> str:
    """Return the place of a dataset in the option file, for messages: ``'datasets:train (FaceLandmarkDataset)'``."""
    return f"datasets:{opt.get('phase', '?')} ({opt.get('type', 'face dataset')})"


class FaceTransform:
    """Resizes and, for training, augments a face; makes ``lq`` from the result.

    Random choices come from Python's ``random``, which BasicSR seeds in every worker.

    Args:
        opt: Options of the dataset; read here: ``phase``, ``scale``, ``gt_size``, ``use_hflip``, ``max_rotation``,
            ``zoom_range``, ``aspect_ratio_range``, ``use_rot``, ``mean``, ``std``.
        permutation: (K,) landmarks exchanged by a flip; needed where landmarks are flipped.

    Raises:
        OptionError: an option is missing or has an impossible value.
    """

    def __init__(self, opt: Mapping, permutation: Optional[np.ndarray] = None) -> None:
        self.permutation = permutation
        self.scale = whole_number(opt, 'scale')
        self.gt_size = None if opt.get('gt_size') is None else whole_number(opt, 'gt_size')
        if self.gt_size is not None and self.gt_size % self.scale:
            raise OptionError(
                f'{describe(opt)}:gt_size is {self.gt_size}; expected a multiple of the scale, {self.scale}.')
        if opt.get('phase') not in ('train', 'val', 'test'):
            raise OptionError(f"{describe(opt)}:phase is {opt.get('phase')!r}; expected train, val or test.")
        train = opt['phase'] == 'train'
        if train and self.gt_size is None:
            raise OptionError(
                f'{describe(opt)}:gt_size is missing; training needs images of one size, 128 in the paper.')
        self.use_hflip = train and bool(opt.get('use_hflip'))
        self.use_rot = train and bool(opt.get('use_rot'))
        self.max_rotation = opt.get('max_rotation') if train else None
        self.zoom_range = opt.get('zoom_range') if train else None
        self.aspect_ratio_range = opt.get('aspect_ratio_range') if train else None
        self.mean, self.std = opt.get('mean'), opt.get('std')

    def __call__(self, img: np.ndarray, landmarks: Optional[np.ndarray],
                 path: str) -> Dict[str, Union[torch.Tensor, str]]:
        """Make a sample.

        Args:
            img: uint8 RGB, (H, W, 3).
            landmarks: (K, 2) float32 in pixels of ``img``, or None.
            path: What the image is called.

        Returns:
            ``lq`` and ``gt``, float32 RGB in [0, 1], (3, h, w) and (3, h * scale, w * scale); ``landmarks``, (K, 2)
            float32 in pixels of ``gt``, unless None; ``lq_path`` and ``gt_path``.

        Raises:
            ValueError: the image is not square although ``gt_size`` asks for a square, or not a multiple of the scale.
        """
        height, width = img.shape[:2]
        if self.gt_size is not None and height != width:
            raise ValueError(
                f'{path}: is {width}x{height} (width x height); expected a square face crop, to be resized to '
                f'gt_size {self.gt_size} without distortion.')
        if self.gt_size is None and (height % self.scale or width % self.scale):
            raise ValueError(f'{path}: is {width}x{height} (width x height); expected multiples of the scale, '
                             f'{self.scale}. Set gt_size to have images resized.')
        size = self.gt_size or width, self.gt_size or height
        if self.max_rotation:
            img, landmarks = rotate(img, landmarks, random.uniform(-self.max_rotation, self.max_rotation))
        if self.zoom_range is not None:
            place = random.uniform(0.25, 0.75), random.uniform(0.25, 0.75)  # landmarks at the very rim are rare
            x0, y0, x1, y1 = zoom_box(width, height, landmarks, random.uniform(*self.zoom_range), place)
            img = img[y0:y1, x0:x1]
            if landmarks is not None:
                landmarks = landmarks - np.array([x0, y0], np.float32)
            height, width = img.shape[:2]
        box = (0, 0, width, height)
        if self.aspect_ratio_range is not None:
            box = aspect_crop_box(width, height, landmarks, random.uniform(*self.aspect_ratio_range))
        gt, landmarks = crop_resize(img, landmarks, box, size)
        if self.use_hflip and random.random() < 0.5:
            gt, landmarks = flip_horizontal(gt, landmarks, self.permutation)
        if self.use_rot:
            gt, landmarks = rotate_quarter_turns(gt, landmarks, random.randrange(4))

        sample = {'lq': self._to_tensor(make_lq(gt, self.scale)), 'gt': self._to_tensor(gt)}
        if landmarks is not None:
            sample['landmarks'] = torch.from_numpy(np.ascontiguousarray(landmarks))
        return dict(sample, lq_path=path, gt_path=path)

    def _to_tensor(self, img: np.ndarray) -> torch.Tensor:
        tensor = img2tensor(img.astype(np.float32) / 255., bgr2rgb=False)
        if self.mean is not None or self.std is not None:
            normalize(tensor, self.mean, self.std, inplace=True)
        return tensor


def whole_number(opt: Mapping, key: str, smallest: int = 1, default: Optional[int] = None) -> int:
    """Return the value of an option, which must be a whole number of at least ``smallest``."""
    value = opt.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        hint = ' (BasicSR copies it from the top of the option file)' if key == 'scale' else ''
        raise OptionError(f'{describe(opt)}:{key} is {value!r}; expected a whole number of at least {smallest}{hint}.')
    return value
