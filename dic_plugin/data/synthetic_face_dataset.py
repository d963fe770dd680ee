"""Faces drawn by our own code, with exact landmarks: the embedded default, which needs no data."""
from typing import Any, Dict, Mapping, Tuple

import numpy as np
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils import data as data

from dic_plugin.data.face_transform import COMMON_KEYS, FaceTransform, describe, whole_number
from dic_plugin.data.shared_face_cache import SharedFaceCache
from dic_plugin.landmarks.layouts import flip_permutation
from dic_plugin.synthetic import draw_face
from dic_plugin.synthetic.render import MAX_SIZE, MIN_SIZE
from dic_plugin.utils.option_check import dataset_options
from dic_plugin.utils.option_values import flag, refused, whole

__all__ = ['SyntheticFaceDataset']

NUM_KEYPOINTS = 68
DRAWN = refused('SyntheticFaceDataset draws its faces; to read files take the type FaceLandmarkDataset')


@DATASET_REGISTRY.register()
class SyntheticFaceDataset(data.Dataset):
    """Drawn faces with 68 landmarks in iBUG's order; the same face for the same seed and index on any machine.

    Args:
        opt (dict): Options of the dataset, which are only read:
            num_images (int): Number of faces.
            seed (int): Which faces; give validation another seed than training. Default: 0.
            gt_size (int): Size of ``gt``, 32 to 256. Default: 128.
            use_hflip (bool): In training, mirror every second face; left and right landmarks change places.
            cache (bool): Draw each face once and keep it in memory (48 kB each at 128x128), which forked loader workers
                share. Default: true.
            mean, std (list): Normalise ``lq`` and ``gt``, as in BasicSR. DIC does not need it.
            scale, phase: put there by BasicSR. ``io_backend`` is not used.

    Samples are those of :class:`dic_plugin.data.face_landmark_dataset.FaceLandmarkDataset`; ``lq_path`` and ``gt_path``
    are names that no file has, such as ``synthetic_0_000012.png``, for results to be named after.

    Raises:
        OptionError: an option is misspelt, missing or impossible.
    """

    option_keys = {
        **COMMON_KEYS, 'gt_size': whole(MIN_SIZE, MAX_SIZE),
        'seed': whole(0),
        'num_images': whole(1),
        'cache': flag,
        'io_backend': None,
        **dict.fromkeys(('dataroot_gt', 'dataroot_lq', 'filename_tmpl', 'meta_info_file', 'annotation_file'), DRAWN)
    }

    def __init__(self, opt: Mapping[str, Any]) -> None:
        super().__init__()
        opt = dataset_options(opt, self.option_keys, describe(opt))
        self.opt = opt
        self.seed = whole_number(opt, 'seed', smallest=0, default=0)
        self.num_images = whole_number(opt, 'num_images')
        gt_size = opt.get('gt_size') or 128
        self.gt_size = gt_size
        self.transform = FaceTransform(dict(opt, gt_size=gt_size), flip_permutation(NUM_KEYPOINTS))
        self.cache = SharedFaceCache(self.num_images, gt_size, NUM_KEYPOINTS) if opt.get('cache', True) else None

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> Dict[str, Any]:
        index = range(self.num_images)[index]  # as a list does: negative from the end, IndexError outside
        img, landmarks = self._face(index)
        return self.transform(img, landmarks, f'synthetic_{self.seed}_{index:06d}.png')

    def _face(self, index: int) -> Tuple[np.ndarray, np.ndarray]:
        face = self.cache.get(index) if self.cache else None
        if face is None:
            face = draw_face(self.seed, index, self.gt_size)
            if self.cache:
                self.cache.put(index, *face)
        return face
