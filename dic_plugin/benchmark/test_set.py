"""The test images as files: every model gets the same low-quality images, and is judged by the same originals."""
import os
import shutil
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import cv2
import numpy as np
from basicsr.data import build_dataset
from basicsr.utils import tensor2img

from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.landmarks.layouts import ORDERS


class TestSet(NamedTuple):
    """Folders of images with equal names, and true landmarks.

    Attributes:
        name: of the dataset.
        gt, lq: folders of PNG files.
        annotations: annotation file (.npz), or None without landmarks.
        names: file names without extension, in order.
        lq_size: height and width of the low-quality images.
        inputs: what they were made from.
    """
    __test__ = False  # for pytest, by whose rule this is a test

    name: str
    gt: str
    lq: str
    annotations: Optional[str]
    names: List[str]
    lq_size: List[int]
    inputs: Dict[str, Any]

    def dataset(self) -> Dict[str, Any]:
        """BasicSR's options for it."""
        return dict(
            name=self.name,
            type='PairedImageDataset',
            dataroot_gt=self.gt,
            dataroot_lq=self.lq,
            io_backend={'type': 'disk'})


def write_test_set(options: Mapping[str, Any], workspace: Workspace) -> TestSet:
    """Write what a dataset gives into ``test_set/``, once.

    Args:
        options: of a BasicSR dataset that gives ``lq``, ``gt`` and perhaps ``landmarks``.
        workspace: where.

    Raises:
        FileNotFoundError, ValueError: the dataset's own; or it has no face, no ``gt``, or a name twice.
    """
    folder = workspace.root / 'test_set'
    inputs = dict(options)
    done = workspace.finished('test_set', 'images', inputs) if folder.is_dir() else None
    if done is None:
        temporary = folder.with_name(f'test_set.{os.getpid()}.tmp')
        try:
            done = _write(build_dataset(dict(options)), temporary)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        workspace.finish('test_set', 'images', inputs, done)
    annotations = str(folder / 'annotations.npz') if done['annotated'] else None
    return TestSet(options['name'], str(folder / 'gt'), str(folder / 'lq'), annotations, done['names'], done['lq_size'],
                   inputs)


def _write(dataset: Any, folder: Path) -> Dict[str, Any]:
    names, landmarks, sizes = [], [], []
    for kind in ('gt', 'lq'):
        (folder / kind).mkdir(parents=True)
    for index in range(len(dataset)):
        face = dataset[index]
        if 'gt' not in face or 'lq' not in face:
            raise ValueError(f'test_set: {type(dataset).__name__} gives {", ".join(face)}; expected lq and gt.')
        name = os.path.splitext(os.path.basename(face['gt_path']))[0]
        if name in names:
            raise ValueError(f'test_set: two images are called {name!r}; expected different names.')
        names.append(name)
        for kind in ('gt', 'lq'):
            image = tensor2img(face[kind])
            path = str(folder / kind / f'{name}.png')
            if not cv2.imwrite(path, image):
                raise ValueError(f'{path}: cannot be written.')
        sizes.append(face['gt'].shape[:0:-1])
        if 'landmarks' in face:
            landmarks.append(face['landmarks'].numpy())
    if not names:
        raise ValueError(f'test_set: {type(dataset).__name__} holds no image.')
    if len(landmarks) == len(names):
        num_keypoints = landmarks[0].shape[0]
        order = next((order for order, number in ORDERS.items() if number == num_keypoints), f'points{num_keypoints}')
        FaceAnnotations(np.array(names), np.float32(landmarks), order,
                        np.int32(sizes)).save(str(folder / 'annotations.npz'))
    return dict(names=names, annotated=len(landmarks) == len(names), lq_size=list(face['lq'].shape[1:]))
