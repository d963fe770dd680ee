"""The test images as files: every model reads the same low-quality images and is compared with the same originals."""
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


class FaceSet(NamedTuple):
    """Folders of images with equal names, and true landmarks.

    Attributes:
        name: Name of the dataset.
        gt, lq: Folders of PNG files.
        annotations: The annotation file (.npz), or None without landmarks.
        names: File names without extension, in order.
        lq_size: Height and width of the low-quality images.
        inputs: The options that the files were made from.
    """
    name: str
    gt: str
    lq: str
    annotations: Optional[str]
    names: List[str]
    lq_size: List[int]
    inputs: Dict[str, Any]

    @property
    def landmarks(self) -> Dict[str, np.ndarray]:
        """True landmarks ``K,2`` by name of the image; empty if there are none."""
        if self.annotations is None:
            return {}
        annotations = FaceAnnotations.load(self.annotations)
        return dict(zip(annotations.names.tolist(), annotations.landmarks))

    def dataset(self) -> Dict[str, Any]:
        """Return BasicSR's options of this dataset."""
        return dict(
            name=self.name,
            type='PairedImageDataset',
            dataroot_gt=self.gt,
            dataroot_lq=self.lq,
            io_backend={'type': 'disk'})


def write_test_set(options: Mapping[str, Any], workspace: Workspace) -> FaceSet:
    """Write the images of a dataset into ``test_set/``, once.

    Args:
        options: Options of a BasicSR dataset that gives ``lq``, ``gt`` and optionally ``landmarks``.
        workspace: The results folder.

    Raises:
        FileNotFoundError, ValueError: Those of the dataset; or it is empty, has no ``gt``, or two images of one name.
    """
    folder = workspace.root / 'test_set'

    def write() -> Dict[str, Any]:
        shutil.rmtree(folder, ignore_errors=True)
        return _write(build_dataset(dict(options)), folder)

    done = workspace.once('test_set', 'images', options, write, is_intact=folder.is_dir())
    annotations = str(folder / 'annotations.npz') if done['annotated'] else None
    return FaceSet(options['name'], str(folder / 'gt'), str(folder / 'lq'), annotations, done['names'], done['lq_size'],
                   dict(options))


def _write(dataset: Any, folder: Path) -> Dict[str, Any]:
    landmarks: Dict[str, np.ndarray] = {}
    sizes: Dict[str, Any] = {}
    for kind in ('gt', 'lq'):
        (folder / kind).mkdir(parents=True)
    for index in range(len(dataset)):
        face = dataset[index]
        if 'gt' not in face or 'lq' not in face:
            raise ValueError(f'test_set: {type(dataset).__name__} gives {", ".join(face)}; expected lq and gt.')
        name = os.path.splitext(os.path.basename(face['gt_path']))[0]
        if name in sizes:
            raise ValueError(f'test_set: two images are called {name!r}; expected different names.')
        for kind in ('gt', 'lq'):
            path = str(folder / kind / f'{name}.png')
            if not cv2.imwrite(path, tensor2img(face[kind])):
                raise ValueError(f'{path}: cannot be written.')
        sizes[name] = face['gt'].shape[:0:-1]
        if 'landmarks' in face:
            landmarks[name] = face['landmarks'].numpy()
    if not sizes:
        raise ValueError(f'test_set: {type(dataset).__name__} has no images.')
    names, is_annotated = list(sizes), len(landmarks) == len(sizes)
    if is_annotated:
        points = np.stack(list(landmarks.values())).astype(np.float32)
        order = next((order for order, number in ORDERS.items() if number == points.shape[1]),
                     f'points{points.shape[1]}')
        FaceAnnotations(np.array(names), points, order, np.array(list(sizes.values()), np.int32)).save(
            str(folder / 'annotations.npz'))  # yapf: disable
    return dict(names=names, annotated=is_annotated, lq_size=list(face['lq'].shape[1:]))
