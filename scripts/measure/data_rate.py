"""Measures how fast training data is read and prepared, on drawn faces in textured scenes: JPEGs of about 500x600.

    OMP_NUM_THREADS=1 python scripts/measure/data_rate.py

Loading: FaceLandmarkDataset from an LMDB of 128x128 crops, against plain reading: per sample, decode the photograph's
JPEG, crop, resize to 128 and 16 with Pillow, and draw 68 heatmaps of 32x32 one after the other. FaceLandmarkDataset
leaves the heatmaps to the training device, which draws those of a batch at once; "and heatmaps" adds the time that
this takes here, on the CPU. Preparation: photograph in, encoded crop out, with given landmarks and with dlib's.

One thread; the ways take turns, and the figures are medians over the rounds. All files are in the system's cache.
Processor time is measured, so that other programs matter less, but for the DataLoader, whose worker is a process.
Exits with 1 where FaceLandmarkDataset alone is not 8 times as fast as plain reading.
"""
import argparse
import collections
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import cv2
import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import dic_plugin  # noqa: E402, F401 (before what imports basicsr)

# isort: split
from basicsr.utils.lmdb_util import LmdbMaker  # noqa: E402

from dic_plugin.data.annotations import FaceAnnotations  # noqa: E402
from dic_plugin.data.face_landmark_dataset import FaceLandmarkDataset  # noqa: E402
from dic_plugin.faces.detectors import make_detector  # noqa: E402
from dic_plugin.faces.found_face import Detector, FoundFace  # noqa: E402
from dic_plugin.landmarks.heatmaps import HEATMAP_STRIDE, render_heatmaps  # noqa: E402
from dic_plugin.prepare.photo import Photo  # noqa: E402
from dic_plugin.prepare.process import CropSettings, PreparedFace, Task, prepare_photo  # noqa: E402
from dic_plugin.synthetic import draw_face  # noqa: E402
from take_turns import take_turns  # noqa: E402

CELEBA_PHOTOS = 202599
TARGET = 8.
GT, SCALE, BATCH = 128, 8, 8
FACE = 256  # the side of the drawn faces, in pixels of the photograph
CROP = CropSettings(size=GT, gt_size=GT, scale=SCALE)


class Scene(NamedTuple):
    """A photograph and its landmarks, (68, 2) in its pixels."""
    photo: Photo
    landmarks: np.ndarray


class PlainFaces(torch.utils.data.Dataset):
    """Dataset of unprepared photographs, with the steps of the paper's published loader.

    Args:
        scenes: The photographs.
        boxes: Where to crop each of them, (x0, y0, x1, y1), inside the photograph.
    """

    def __init__(self, scenes: List[Scene], boxes: List[List[int]]) -> None:
        self.scenes, self.boxes = scenes, boxes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        (photo, landmarks), (x0, y0, x1, y1) = self.scenes[index], self.boxes[index]
        img = cv2.imread(photo.path)[:, :, ::-1]
        gt = Image.fromarray(img[y0:y1, x0:x1]).resize((GT, GT), Image.BICUBIC)
        lq = gt.resize((GT // SCALE, GT // SCALE), Image.BICUBIC)
        landmarks = (landmarks - (x0, y0) + 0.5) * GT / (x1 - x0) - 0.5
        cells = GT // HEATMAP_STRIDE
        heatmaps = np.stack([plain_heatmap(point / HEATMAP_STRIDE, cells) for point in landmarks])
        return {
            'lq': plain_tensor(lq),
            'gt': plain_tensor(gt),
            'heatmaps': torch.from_numpy(heatmaps.astype(np.float32)),
            'landmarks': torch.from_numpy(landmarks.astype(np.float32)),
            'gt_path': photo.path,
        }


def plain_heatmap(centre: np.ndarray, size: int, sigma: float = 1.) -> np.ndarray:
    """A Gaussian of height 1 at ``centre`` (x, y), (size, size)."""
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    return np.exp(-((x - centre[0])**2 + (y - centre[1])**2) / (2 * sigma**2))


def plain_tensor(img: Image.Image) -> torch.Tensor:
    """float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.asarray(img).transpose(2, 0, 1))).float() / 255


def draw_scenes(folder: str, num: int) -> List[Scene]:
    """Write ``num`` JPEGs of about 500x600, each a face in a textured scene."""
    scenes = []
    for index in range(num):
        rng = np.random.RandomState(index)
        width, height = 480 + 10 * (index % 5), 580 + 10 * (index % 4)
        img = np.full((height, width, 3), 128, np.float32)
        for cell, strength in ((100, 60), (25, 25), (6, 12), (2, 6)):  # from large shapes to the grain of a surface
            coarse = rng.randn(height // cell + 1, width // cell + 1, 3).astype(np.float32)
            img += strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        img = np.clip(img, 0, 255).astype(np.uint8)
        face, landmarks = draw_face(0, index, FACE)
        # far enough from the border for every crop to be inside
        x0, y0 = rng.randint(FACE // 4, width - FACE - FACE // 4), rng.randint(FACE // 4, height - FACE - FACE // 4)
        img[y0:y0 + FACE, x0:x0 + FACE] = face
        name = f'{index:06d}'
        path = os.path.join(folder, f'{name}.jpg')
        cv2.imwrite(path, cv2.cvtColor(img, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        scenes.append(Scene(Photo(name, path, f'{name}.jpg'), landmarks + (x0, y0)))
    return scenes


def crop_scene(scene: Scene, detector: Optional[Detector] = None):
    """The preparation of one photograph: with its own landmarks, or with those that the detector finds."""
    faces = None if detector else [FoundFace(scene.landmarks)]
    return prepare_photo(Task(scene.photo, 'train', faces, 'ibug68', 0.), CROP, detector)


def store(faces: List[PreparedFace], folder: str) -> FaceLandmarkDataset:
    """Write prepared faces as an LMDB with its annotation file, and open it as training does."""
    path = os.path.join(folder, 'faces.lmdb')
    images = LmdbMaker(path, map_size=2 * sum(len(face.image) + 4096 for face in faces) + (1 << 20))
    for face in faces:
        images.put(face.image, face.name, (face.size, face.size, 3))
    images.close()
    annotation_file = os.path.join(folder, 'faces.npz')
    FaceAnnotations(
        np.array([face.name for face in faces]), np.array([face.landmarks for face in faces]), 'ibug68',
        np.array([(face.size, face.size) for face in faces], np.int32)).save(annotation_file)
    return FaceLandmarkDataset({
        'type': 'FaceLandmarkDataset',
        'phase': 'train',
        'scale': SCALE,
        'gt_size': GT,
        'dataroot_gt': path,
        'io_backend': {
            'type': 'lmdb'
        },
        'annotation_file': annotation_file,
    })


def measure_loading(plain: PlainFaces, prepared: FaceLandmarkDataset, rounds: int) -> Dict[str, float]:
    """Milliseconds a sample of every way to read it."""

    def read(dataset):
        for index in range(len(dataset)):
            dataset[index]

    landmarks = torch.stack([prepared[index % len(prepared)]['landmarks'] for index in range(BATCH)])
    cells = (GT // HEATMAP_STRIDE, GT // HEATMAP_STRIDE)
    seconds = take_turns(
        {
            'plain': lambda: read(plain),
            'prepared': lambda: read(prepared),
            'heatmaps': lambda: render_heatmaps(landmarks, cells)
        }, rounds, time.process_time)
    samples = {'plain': len(plain), 'prepared': len(prepared), 'heatmaps': BATCH}
    return {name: value * 1e3 / samples[name] for name, value in seconds.items()}


def measure_data_loader(plain: PlainFaces, prepared: FaceLandmarkDataset, rounds: int) -> Dict[str, float]:
    """Milliseconds a sample through a DataLoader with one worker."""

    def iterate(dataset, repeats):  # the worker stays; several times over, so that its start of an epoch counts little
        loader = torch.utils.data.DataLoader(
            dataset,
            BATCH,
            sampler=list(range(len(dataset))) * repeats,
            num_workers=1,
            persistent_workers=True,
            worker_init_fn=lambda _: use_one_thread())
        return lambda: collections.deque(loader, maxlen=0), repeats * len(dataset)

    ways, samples = {}, {}
    for name, dataset, repeats in (('plain', plain, 1), ('prepared', prepared, 8)):
        ways[name], samples[name] = iterate(dataset, repeats)
    seconds = take_turns(ways, rounds, time.perf_counter)
    return {name: value * 1e3 / samples[name] for name, value in seconds.items()}


def measure_preparation(scenes: List[Scene], rounds: int, detector: Optional[Detector] = None) -> float:
    """Photographs a second, of processor time."""
    seconds = take_turns({'prepare': lambda: [crop_scene(scene, detector) for scene in scenes]}, rounds,
                         time.process_time)['prepare']
    return len(scenes) / seconds


def loading_lines(alone: Dict[str, float], loader: Dict[str, float]) -> List[str]:
    """The table of the loading times (milliseconds a sample)."""
    drawn = alone['prepared'] + alone['heatmaps']
    lines = ['loading, samples a second on one core        plain  prepared   ratio']
    for label, plain, prepared in (('  dataset alone', alone['plain'], alone['prepared']), ('  dataset and heatmaps',
                                                                                            alone['plain'], drawn),
                                   ('  DataLoader, one worker', loader['plain'], loader['prepared'])):
        lines.append(f'{label:40s}{1e3 / plain:10.1f}{1e3 / prepared:10.1f}{plain / prepared:8.1f}')
    return lines


def preparation_line(label: str, speed: float, cores: int) -> str:
    """One way to prepare, ``speed`` photographs a second and core, and what follows for CelebA."""
    hours = CELEBA_PHOTOS / speed / 3600
    return f'  {label:38s}{speed:10.1f}{hours:12.2f}{hours / cores:12.2f}'


def use_one_thread() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the measurements; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=int, default=48, help='how many photographs (default: 48)')
    parser.add_argument('--rounds', type=int, default=7, help='how often everything is measured (default: 7)')
    args = parser.parse_args(argv)
    if args.num < 1 or args.rounds < 1:
        parser.error('--num and --rounds must be at least 1.')

    use_one_thread()
    with tempfile.TemporaryDirectory() as folder:
        scenes = draw_scenes(folder, args.num)
        faces = [crop_scene(scene) for scene in scenes]
        kilobytes = statistics.mean(os.path.getsize(scene.photo.path) for scene in scenes) / 1024
        print(f'{args.num} photographs (JPEG, {kilobytes:.0f} KiB), crops of {GT}x{GT} '
              f'(PNG, {statistics.mean(len(face.image) for face in faces) / 1024:.0f} KiB), {args.rounds} rounds')
        plain, prepared = PlainFaces(scenes, [list(map(int, face.crop_box)) for face in faces]), store(faces, folder)
        alone = measure_loading(plain, prepared, args.rounds)
        print('\n'.join(loading_lines(alone, measure_data_loader(plain, prepared, args.rounds))), flush=True)

        cores = os.cpu_count() or 1
        print(f'\npreparation, photographs a second per core; hours for CelebA\'s {CELEBA_PHOTOS:,}\n'
              f'{"":40s}{"a second":>10s}{"on 1 core":>12s}{f"on {cores} cores":>12s}')
        print(preparation_line('landmarks given', measure_preparation(scenes, args.rounds), cores), flush=True)
        try:
            detector = make_detector('dlib')
        except (ModuleNotFoundError, FileNotFoundError) as error:
            print(f'  landmarks found by dlib: not measured. {error}')
        else:
            some = scenes[:8]  # of which each takes half a second
            speed = measure_preparation(some, min(args.rounds, 3), detector)
            print(preparation_line('landmarks found by dlib', speed, cores))
    ratio = alone['plain'] / alone['prepared']
    if ratio < TARGET:
        print(f'missed: reading prepared faces is {ratio:.1f} times as fast, expected {TARGET:g}', file=sys.stderr)
    return int(ratio < TARGET)


if __name__ == '__main__':
    sys.exit(main())
