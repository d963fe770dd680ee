"""One photograph: from the file to the encoded crop."""
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple, Union

import cv2
import numpy as np

from dic_plugin.data.degradation import make_lq
from dic_plugin.faces.crop import MARGIN, Placement, cut, place, square_around, square_of_box
from dic_plugin.faces.found_face import Detector, FoundFace
from dic_plugin.faces.photograph import Skipped, read_photograph
from dic_plugin.prepare.agreement import five_point_error
from dic_plugin.prepare.image_store import PNG_LEVEL
from dic_plugin.prepare.photo import Photo

__all__ = ['CropSettings', 'PreparedFace', 'SkippedPhoto', 'Task', 'prepare_photo']

MIN_SIDE = 16  # of a face in the photograph, in pixels; the size that the network starts from


class CropSettings(NamedTuple):
    """What is the same for all photographs of a run.

    Attributes:
        size: Side of the crops for training, in pixels.
        gt_size: Side of the crops for all other splits: what the network puts out.
        scale: How much smaller their low-quality images are.
        margin: See :func:`dic_plugin.faces.crop.square_around`.
        whole: The photographs are square face crops already, to be used whole.
        min_confidence: Below it a face is not used. None: what the source of the landmarks suggests.
        max_error: How far landmarks may be from the task's five points; see
            :func:`dic_plugin.prepare.agreement.five_point_error`. None: any distance.
    """
    size: int
    gt_size: int
    scale: int
    margin: float = MARGIN
    whole: bool = False
    min_confidence: Optional[float] = None
    max_error: Optional[float] = None


class Task(NamedTuple):
    """A photograph to be prepared.

    Attributes:
        photo: The photograph.
        split: The part of the data that it belongs to; ``train`` gets no low-quality image.
        faces: The faces annotated in it. None: ask the detector.
        order: Order of their landmarks.
        min_confidence: What the source of the landmarks suggests.
        five_points: (5, 2) CelebA's points of the photograph, to check the landmarks against.
    """
    photo: Photo
    split: str
    faces: Optional[List[FoundFace]]
    order: str
    min_confidence: float
    five_points: Optional[np.ndarray] = None


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """A finished crop.

    Attributes:
        name: Name without suffix, or LMDB key.
        split: As in the task.
        source: The photograph, as annotations call it.
        image: The crop as PNG.
        lq: Its low-quality image as PNG; None in training, which makes its own.
        landmarks: (K, 2) float32 in pixels of the crop.
        size: Side of the crop.
        crop_box: (4,) float32: what was cut from the photograph, (x0, y0, x1, y1); may reach outside.
        moved: By how much (dx, dy) that box was moved to reach outside less.
        padding: Its columns and rows outside, (left, top, right, bottom), which repeat the outermost pixels.
        num_faces: Faces found in the photograph with enough confidence, of which this one is the largest.
        confidence: That of the landmarks' source, if it gives any.
    """
    name: str
    split: str
    source: str
    image: bytes
    lq: Optional[bytes]
    landmarks: np.ndarray
    size: int
    crop_box: np.ndarray
    moved: Tuple[int, int]
    padding: Tuple[int, int, int, int]
    num_faces: int
    confidence: Optional[float]


class SkippedPhoto(NamedTuple):
    """A photograph that cannot be used, and why: the reason, with its figures in brackets at the end."""
    source: str
    split: str
    reason: str


def prepare_photo(task: Task,
                  settings: CropSettings,
                  detector: Optional[Detector] = None) -> Union[PreparedFace, SkippedPhoto]:
    """Read a photograph, find its face, cut it out, and encode the crop.

    Args:
        task: The photograph.
        settings: Those of the run.
        detector: Needed for tasks without faces.

    Returns:
        The crop or, if the photograph cannot be used, the reason.

    Raises:
        ValueError: the task has no faces and there is no detector, or the settings do not fit together.
    """
    if task.faces is None and detector is None:
        raise ValueError(f'{task.photo.relative}: has no annotated faces, and no detector is given to find them.')
    try:
        return _prepare(task, settings, detector)
    except Skipped as skipped:
        return SkippedPhoto(task.photo.relative, task.split, str(skipped))


def _prepare(task: Task, settings: CropSettings, detector: Optional[Detector]) -> PreparedFace:
    img = None
    faces = task.faces
    if faces is None:
        img = read_photograph(task.photo.path)
        faces = detector.find(img)
    face, num_faces = _choose(task, settings, faces)
    if img is None:  # annotated faces are judged before the photograph is decoded, which takes longer
        img = read_photograph(task.photo.path)
    placement = _placement(face, settings, img.shape[1], img.shape[0])
    size = settings.size if task.split == 'train' else settings.gt_size
    crop, landmarks = cut(img, placement, face.landmarks, size)
    outside = int(((landmarks < -0.5) | (landmarks > size - 0.5)).any(axis=1).sum())
    if outside:
        raise Skipped(f'landmarks outside the crop ({outside} of {len(landmarks)})')
    return PreparedFace(
        name=task.photo.name,
        split=task.split,
        source=task.photo.relative,
        image=_encode(crop),
        lq=None if task.split == 'train' else _encode(make_lq(crop, settings.scale)),
        landmarks=landmarks,
        size=size,
        crop_box=np.array(placement.box, np.float32),
        moved=placement.moved,
        padding=placement.padding,
        num_faces=num_faces,
        confidence=face.confidence)


def _choose(task: Task, settings: CropSettings, faces: List[FoundFace]) -> Tuple[FoundFace, int]:
    """The largest usable face, and how many there are."""
    if not faces:
        raise Skipped('no face found')
    sensible = [face for face in faces if _extent(face.landmarks).max() > 0]
    if not sensible:
        raise Skipped('landmarks make no sense (not finite, or all in one place)')
    threshold = task.min_confidence if settings.min_confidence is None else settings.min_confidence
    sure = [face for face in sensible if face.confidence is None or face.confidence >= threshold]
    if not sure:
        best = max(face.confidence for face in sensible)
        raise Skipped(f'confidence too low ({best:.3g}, less than {threshold:.3g})')
    largest = max(sure, key=lambda face: _extent(face.landmarks).prod())
    if settings.max_error is not None and task.five_points is not None:
        try:
            error = five_point_error(largest.landmarks, task.order, task.five_points)
        except ValueError as unusable:
            raise Skipped(f'landmarks cannot be checked ({unusable})') from unusable
        if not error <= settings.max_error:
            raise Skipped(f'landmarks disagree with the five points ({error:.3g}, more than {settings.max_error:.3g})')
    return largest, len(sure)


def _extent(landmarks: np.ndarray) -> np.ndarray:
    """Width and height of the landmarks' bounding box; zeros where there is none."""
    if not len(landmarks) or not np.isfinite(landmarks).all():
        return np.zeros(2)
    return landmarks.max(axis=0) - landmarks.min(axis=0)


def _placement(face: FoundFace, settings: CropSettings, width: int, height: int) -> Placement:
    if settings.whole:
        if width != height:
            raise Skipped(f'not square, but to be used whole ({width}x{height})')
        placement = Placement((0, 0, width, height), (0, 0), (0, 0, 0, 0))
    elif face.box is None:
        placement = place(square_around(face.landmarks, settings.margin), face.landmarks, width, height)
    else:
        try:
            square = square_of_box(face.box)
        except ValueError as error:
            raise Skipped('the annotated box is empty') from error
        placement = place(square, face.landmarks, width, height)
    side = placement.box[2] - placement.box[0]
    if side < MIN_SIDE:
        raise Skipped(f'face too small (crop of {side} pixels, less than {MIN_SIDE})')
    left, top, right, bottom = placement.padding
    if 2 * max(side - left - right, 0) * max(side - top - bottom, 0) < side * side:
        raise Skipped('most of the crop lies outside the photograph')
    return placement


def _encode(img: np.ndarray) -> bytes:
    """PNG of uint8 RGB (H, W, 3)."""
    return cv2.imencode('.png', cv2.cvtColor(img, cv2.COLOR_RGB2BGR),
                        [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()
