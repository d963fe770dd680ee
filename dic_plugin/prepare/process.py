"""Preparation of one photograph: from the file to the encoded crop."""
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from dic_plugin.data.degradation import make_lq
from dic_plugin.faces.crop import MARGIN, Placement, cut, place, square_around, square_of_box
from dic_plugin.faces.found_face import Box, Detector, FoundFace
from dic_plugin.faces.photograph import Skipped, read_photograph
from dic_plugin.prepare.photo import Photo

__all__ = ['PNG_LEVEL', 'CropSettings', 'PreparedFace', 'SkippedPhoto', 'Task', 'five_point_error', 'prepare_photo']

MIN_SIDE = 16  # of a face in the photograph, in pixels: the size of the network's input
# Stored, not compressed (BasicSR's tools use level 1): twice the bytes, but decoding, which dominates the time of a
# loader, takes half the time (scripts/measure/data_rate.py).
PNG_LEVEL = 0


class CropSettings(NamedTuple):
    """Settings that all photographs of a run share."""
    size: int  # side of the training crops in pixels
    gt_size: int  # side of the crops of other splits: the size of the network's output
    scale: int  # factor between these and their low-quality images
    margin: float = MARGIN  # see dic_plugin.faces.crop.square_around
    whole: bool = False  # the photographs are square face crops, to be used whole
    min_confidence: Optional[float] = None  # of a face that is used; None: the task's
    max_error: Optional[float] = None  # greatest five_point_error to the task's points; None: any


class Task(NamedTuple):
    """A photograph to be prepared."""
    photo: Photo
    split: str  # only 'train' gets no low-quality image
    faces: Optional[List[FoundFace]]  # the annotated faces; None: use the detector
    order: str  # of their landmarks
    min_confidence: float  # default of the source of the landmarks
    five_points: Optional[np.ndarray] = None  # (5, 2) CelebA's points, to compare the landmarks with


class PreparedFace(NamedTuple):
    """A finished crop."""
    name: str  # without suffix; the LMDB key
    split: str
    source: str  # Photo.relative
    landmarks: np.ndarray  # (K, 2) float32 in pixels of the crop
    size: int  # side of the crop
    crop_box: Box  # in the photograph; may reach outside
    moved: Tuple[int, int]  # offset (dx, dy) by which the box was moved to reach outside less
    padding: Tuple[int, int, int, int]  # columns and rows outside (left, top, right, bottom): the outermost pixels
    num_faces: int  # in the photograph, with enough confidence; this is the largest
    confidence: Optional[float]
    image: Optional[bytes]  # PNG
    lq: Optional[bytes]  # PNG; None in training, where the dataset makes it
    notes: Sequence[str] = ()  # what was done to the photograph that its owner should know, see Picture


class SkippedPhoto(NamedTuple):
    """A photograph that is not used, with the reason, whose details are in brackets at its end."""
    source: str
    split: str
    reason: str


def prepare_photo(task: Task,
                  settings: CropSettings,
                  detector: Optional[Detector] = None) -> Union[PreparedFace, SkippedPhoto]:
    """Return the crop of a photograph or, if it cannot be used, the reason.

    Raises:
        ValueError: the task has no faces and there is no detector.
    """
    try:
        if task.faces is not None:  # these are checked before the photograph is decoded, which takes longer
            face, num_faces = _choose(task, settings, task.faces)
            img, _, notes = read_photograph(task.photo.path)
        elif detector is not None:
            img, _, notes = read_photograph(task.photo.path)
            face, num_faces = _choose(task, settings, detector.find(img))
        else:
            raise ValueError(f'{task.photo.relative}: has no annotated faces, and no detector is given to find them.')
        placement = _placement(face, settings, img.shape[1], img.shape[0])
        size = settings.size if task.split == 'train' else settings.gt_size
        crop, landmarks = cut(img, placement, face.landmarks, size)
        outside = int(((landmarks < -0.5) | (landmarks > size - 0.5)).any(axis=1).sum())
        if outside:
            raise Skipped(f'landmarks outside the crop ({outside} of {len(landmarks)})')
    except Skipped as skipped:
        return SkippedPhoto(task.photo.relative, task.split, str(skipped))
    confidence = None if face.confidence is None else float(face.confidence)
    lq = None if task.split == 'train' else _encode(make_lq(crop, settings.scale))
    return PreparedFace(task.photo.name, task.split, task.photo.relative, landmarks, size, *placement, num_faces,
                        confidence, _encode(crop), lq, notes)


def _choose(task: Task, settings: CropSettings, faces: List[FoundFace]) -> Tuple[FoundFace, int]:
    """Return the largest usable face, and the number of usable faces."""
    if not faces:
        raise Skipped('no face found')
    sensible = [face for face in faces if face.extent.max() > 0]
    if not sensible:
        raise Skipped('landmarks make no sense (not finite, or all in one place)')
    threshold = task.min_confidence if settings.min_confidence is None else settings.min_confidence
    sure = [face for face in sensible if face.confidence is None or face.confidence >= threshold]
    if not sure:
        best = max(face.confidence for face in sensible if face.confidence is not None)
        raise Skipped(f'confidence too low ({best:.3g}, less than {threshold:.3g})')
    largest = max(sure, key=lambda face: face.extent.prod())
    if settings.max_error is not None and task.five_points is not None:
        error = five_point_error(largest.landmarks, task.order, task.five_points)
        if not error <= settings.max_error:
            raise Skipped(f'landmarks disagree with the five points ({error:.3g}, more than {settings.max_error:.3g})')
    return largest, len(sure)


def five_point_error(landmarks: np.ndarray, order: str, points: np.ndarray) -> float:
    """Return the mean distance of landmarks from CelebA's own five points, in units of the distance between the eyes.

    The paper's authors kept only the CelebA faces on which OpenFace's landmarks agree with these points: the centres of
    the eyes, the tip of the nose and the corners of the mouth, the left one in the image first. In ibug68 they are the
    means of 36-41 and 42-47, then 30, 48 and 54.

    Args:
        landmarks: (68, 2) or (5, 2), in pixels of the photograph.
        order: Order of the landmarks, 'ibug68' or 'celeba5'.
        points: (5, 2) CelebA's points in the same photograph.

    Raises:
        Skipped: CelebA's eyes coincide.

    >>> points = np.array([[0., 0.], [10., 0.], [5., 5.], [2., 8.], [8., 8.]])
    >>> five_point_error(points + [3, 4], 'celeba5', points)
    0.5
    """
    if order == 'ibug68':
        eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
        landmarks = np.stack([*eyes, *landmarks[[30, 48, 54]]])
    eye_distance = float(np.linalg.norm(points[1] - points[0]))
    if not eye_distance > 0:
        raise Skipped(f"landmarks cannot be checked (CelebA's points {points.tolist()} have both eyes in one place)")
    return float(np.linalg.norm(landmarks - points, axis=1).mean() / eye_distance)


def _placement(face: FoundFace, settings: CropSettings, width: int, height: int) -> Placement:
    if settings.whole:
        if width != height:
            raise Skipped(f'not square, but to be used whole ({width}x{height})')
        placement = Placement((0, 0, width, height))
    else:
        try:
            square = (square_around(face.landmarks, settings.margin) if face.box is None else square_of_box(face.box))
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
    """Encode uint8 RGB (H, W, 3) as PNG."""
    return cv2.imencode('.png', img[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()
