"""Weights that the page offers, the faces that it restores, of photographs and synthetic ones, and their pictures."""
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np
from basicsr.metrics import calculate_psnr

from dic_plugin.faces.cautions import weights_cautions
from dic_plugin.faces.crop import FaceCrop, crop_face, enlarge
from dic_plugin.faces.detectors import make_detector
from dic_plugin.faces.found_face import Detector
from dic_plugin.faces.photograph import Skipped, faces_of_photograph
from dic_plugin.inference import FaceRestorer, RestoredStep
from dic_plugin.inference.strip import attention_pictures
from dic_plugin.synthetic import draw_face
from dic_plugin.utils.drawing import draw_landmarks

SYNTHETIC_SEED = 7  # of a series on which no recipe trains or tests
DIC_NAMES = (b'first_block.', b'hour_glass.')  # in the paper's code and here; in OpenMMLab
SIDE = 384  # approximate width of a picture, in pixels
NAMES = 2**20  # bytes at the beginning of a checkpoint in which all tensors are named


class DemoFace(NamedTuple):
    """A restored face.

    Attributes:
        title: its source, for people.
        crop: the face before.
        steps: the results of every step, B = 1.
        notes: reasons why the result may be poor.
    """
    title: str
    crop: FaceCrop
    steps: List[RestoredStep]
    notes: List[str]


def find_weights(root: str) -> List[str]:
    """Return the checkpoints of DIC in a folder and its subfolders: those called latest first, then the newest.

    Files are judged by the names of their tensors, without loading them.
    """
    found = [path for path in Path(root).rglob('*.pth') if path.is_file() and _may_hold_dic(path)]
    return [str(path) for path in sorted(found, key=lambda p: ('latest' not in p.name, -p.stat().st_mtime, str(p)))]


def _may_hold_dic(path: Path) -> bool:
    try:
        with open(path, 'rb') as file:
            head = file.read(NAMES)
    except OSError:
        return False
    # a complete zip file, or a pickle as written before torch 1.6
    return any(name in head for name in DIC_NAMES) and (zipfile.is_zipfile(path) or head.startswith(b'\x80'))


def get_restorer(path: str, device: Optional[str] = None) -> FaceRestorer:
    """Return the restorer of a checkpoint; the last two are kept until their files change.

    Raises:
        CheckpointError, ValueError: as FaceRestorer.
    """
    path = os.path.expanduser(path)
    return _make_restorer(path, device, os.stat(path).st_mtime_ns if os.path.isfile(path) else 0)


@lru_cache(maxsize=2)
def _make_restorer(path: str, device: Optional[str], changed: int) -> FaceRestorer:
    return FaceRestorer(path, device)


def restore_synthetic(restorer: FaceRestorer, number: int) -> List[DemoFace]:
    """Return the restored synthetic face of this number, from 0, of a series on which no recipe trains.

    Raises:
        ValueError: the number is negative, or faces of the network's size cannot be drawn.
    """
    image, _ = draw_face(SYNTHETIC_SEED, number, restorer.input_size * restorer.upscale)
    crop = crop_face(image, None, restorer.input_size, restorer.upscale)
    return _restore(restorer, [f'Synthetic face {number}'], [crop], [[]])


def restore_photo(restorer: FaceRestorer, path: str, aligned: bool = False) -> List[DemoFace]:
    """Return every restored face of a photograph, largest first.

    Args:
        restorer: restores them.
        path: the photograph.
        aligned: it is a face crop, whose central square is used without detection.

    Raises:
        ValueError: the file cannot be read as an image, or holds no face that can be used.
        ModuleNotFoundError, FileNotFoundError: the detector is missing; the message names its source.
    """
    name = os.path.basename(path)
    try:
        found = faces_of_photograph(path, None if aligned else _detector(), restorer.input_size, restorer.upscale,
                                    restorer.margin)
    except Skipped as error:
        raise ValueError(f'{name}: {error}. Expected a photograph (PNG, JPEG, ...).') from None
    num = len(found.crops)
    if not num:
        raise ValueError(f'{name}: no face was found. If it shows only a face, mark it as a face crop.')
    titles = [name if aligned else f'{name}, face {number} of {num}' for number in range(1, num + 1)]
    common = weights_cautions(restorer.trained_on, None, True)
    common += [f'a face is left out: {reason}' for reason in found.left_out]
    notes = [[*common, *(f'{each.kind} ({each.detail})' for each in cautions)] for cautions in found.cautions]
    return _restore(restorer, titles, found.crops, notes)


@lru_cache(maxsize=1)
def _detector() -> Detector:
    return make_detector('dlib')


def _restore(restorer: FaceRestorer, titles: List[str], crops: List[FaceCrop],
             notes: List[List[str]]) -> List[DemoFace]:
    steps = restorer([crop.lq for crop in crops]).steps
    faces = []
    for index, (title, crop, own) in enumerate(zip(titles, crops, notes)):
        values: Any = ([None if v is None else v[index:index + 1] for v in step] for step in steps)
        results = [RestoredStep(*step) for step in values]
        faces.append(DemoFace(title, crop, results, [*restorer.notes, *own]))
    return faces


class Pictures(NamedTuple):
    """Pictures of a face, uint8 RGB.

    Attributes:
        input: the network's input.
        bicubic: the input enlarged without a network.
        step: the result of the step, with its landmarks if they are wanted.
        original: the face as the photograph has it; None if that is no larger than the input.
        attention: one picture and name per facial component: the attention of the step's fusion, over the result of the
            previous step, whose landmarks guided it. Empty in the first step and without fusion.
    """
    input: np.ndarray
    bicubic: np.ndarray
    step: np.ndarray
    original: Optional[np.ndarray]
    attention: List[Tuple[np.ndarray, str]]


def pictures(face: DemoFace, step: int, landmarks: bool) -> Pictures:
    """Return the pictures of a face after ``step`` steps, at least 1."""
    result, lq, crop = face.steps[step - 1], face.crop.lq, face.crop.crop
    attention = []
    if result.attention is not None:
        maps = attention_pictures(result.attention[0], face.steps[step - 2].faces[0])
        attention = [(_large(picture), name) for picture, name in maps]
    return Pictures(
        _large(lq), _large(enlarge(lq, len(crop))), _large(result.faces[0], result.landmarks[0] if landmarks else None),
        _large(crop) if face.crop.side > len(lq) else None, attention)


def psnr(face: DemoFace, step: int) -> Optional[Tuple[float, float]]:
    """Return the PSNR of this step's face and of the bicubic one, in dB, on luma, 8 pixels of border cropped.

    None if the photograph's face is smaller than the result: there is no ground truth then.
    """
    truth = face.crop.crop
    if face.crop.side < len(truth):
        return None
    ours, bicubic = (
        calculate_psnr(image[..., ::-1], truth[..., ::-1], 8, test_y_channel=True)
        for image in (face.steps[step - 1].faces[0], enlarge(face.crop.lq, len(truth))))
    return ours, bicubic


def _large(image: np.ndarray, landmarks: Optional[np.ndarray] = None) -> np.ndarray:
    points = np.empty((0, 2)) if landmarks is None else landmarks
    return draw_landmarks(image, points, max(SIDE // image.shape[1], 1))
