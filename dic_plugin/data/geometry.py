"""Moves that take the pixels of a face and its landmarks along together. Pure functions; inputs are never changed.

Images are (height, width, channels) arrays, landmarks (K, 2) float32 as (x, y) in pixels with the centre of the
top-left pixel at (0, 0), or None where a face has none. A pixel covers half a unit to each side of its centre, so that
an image of width W spans x from -0.5 to W - 0.5.
"""
from typing import Optional, Tuple

import mmcv
import numpy as np

__all__ = ['aspect_crop_box', 'crop_resize', 'flip_horizontal', 'rotate', 'rotate_quarter_turns', 'zoom_box']

Face = Tuple[np.ndarray, Optional[np.ndarray]]
Box = Tuple[int, int, int, int]


def flip_horizontal(img: np.ndarray, landmarks: Optional[np.ndarray], permutation: Optional[np.ndarray]) -> Face:
    """Mirror left and right.

    Args:
        img: Image, (H, W, C).
        landmarks: (K, 2) or None.
        permutation: (K,) of :func:`dic_plugin.landmarks.layouts.flip_permutation`: a left eye becomes a right eye. May
            be None without landmarks.
    """
    flipped = mmcv.imflip(img)
    if landmarks is None:
        return flipped, None
    mirrored = landmarks[permutation]
    mirrored[:, 0] = img.shape[1] - 1 - mirrored[:, 0]
    return flipped, mirrored


def rotate_quarter_turns(img: np.ndarray, landmarks: Optional[np.ndarray], turns: int) -> Face:
    """Turn counter-clockwise by ``turns`` times 90 degrees, without resampling; odd turns exchange height and width.

    The published code turns the heatmaps but leaves the landmarks behind; here both turn.
    """
    rotated = np.rot90(img, turns)
    if landmarks is None:
        return rotated, None
    turned = landmarks.copy()
    width, height = img.shape[1], img.shape[0]
    for _ in range(turns % 4):
        turned = np.stack([turned[:, 1], width - 1 - turned[:, 0]], axis=1)
        width, height = height, width
    return rotated, turned


def rotate(img: np.ndarray, landmarks: Optional[np.ndarray], degrees: float) -> Face:
    """Turn clockwise about the centre, at the same size, by bicubic interpolation; corners are filled by reflection.

    Args:
        img: uint8 image, (H, W, C).
        landmarks: (K, 2) or None; they may leave the image.
        degrees: Angle; negative turns counter-clockwise.
    """
    turned = mmcv.imrotate(img, degrees, interpolation='bicubic', border_mode='reflect_101')
    if landmarks is None:
        return turned, None
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = (np.array([img.shape[1], img.shape[0]]) - 1) / 2
    return turned, ((landmarks - centre) @ matrix + centre).astype(landmarks.dtype)


def zoom_box(width: int, height: int, landmarks: Optional[np.ndarray], zoom: float, place: Tuple[float, float]) -> Box:
    """Return the part of an image that, resized back to the whole, enlarges a face by ``zoom``.

    It holds all landmarks that are inside the image: where they reach too far, the zoom is limited to what they leave.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        landmarks: (K, 2), or None: then the box may lie anywhere.
        zoom: At least 1.
        place: (x, y) in [0, 1]: where the box lies, from the leftmost and topmost place allowed to the last.

    Returns:
        (x0, y0, x1, y1) in whole pixels, x1 and y1 excluded.

    >>> zoom_box(100, 100, None, 2, (0.5, 0))
    (25, 0, 75, 50)
    """
    sizes = np.array([width, height])
    if landmarks is None:
        first, last = sizes, np.zeros(2)
    else:
        first, last = _landmark_pixels(landmarks)
        first, last = np.clip(first, 0, sizes - 1), np.clip(last, 0, sizes - 1)
    lengths = np.clip(np.round(sizes / zoom), max(1, (last - first + 1).max()), sizes)
    earliest, latest = np.maximum(last + 1 - lengths, 0), np.minimum(first, sizes - lengths)
    x0, y0 = (int(start) for start in np.round(earliest + (latest - earliest) * np.array(place)))
    return x0, y0, x0 + int(lengths[0]), y0 + int(lengths[1])


def _landmark_pixels(landmarks: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return the pixels (x, y) that the outermost landmarks lie in."""
    return np.floor(landmarks.min(axis=0) + 0.5), np.floor(landmarks.max(axis=0) + 0.5)


def aspect_crop_box(width: int, height: int, landmarks: Optional[np.ndarray], ratio: float) -> Box:
    """Return the part of an image that, resized back to the whole, distorts a face by ``ratio`` (Helen's recipe).

    As in the published code: for a ratio below 1 the box keeps the width and takes ``ratio`` of the height, so that
    faces become taller; above 1 it keeps the height and takes 1 / ``ratio`` of the width. It is centred on the
    landmarks as far as the image allows, and always holds all of them: where they reach too far, the distortion is
    limited to what they leave. Nothing has to be padded.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        landmarks: (K, 2), all inside the image, or None: then the box is centred in the image.
        ratio: Height of the box over its width, relative to those of the image; positive.

    Returns:
        (x0, y0, x1, y1) in whole pixels, x1 and y1 excluded.

    >>> aspect_crop_box(100, 100, None, 0.5)
    (0, 25, 100, 75)
    """
    if landmarks is None:
        first, last = np.array([width // 2, height // 2]), np.array([(width - 1) // 2, (height - 1) // 2])
    else:
        first, last = _landmark_pixels(landmarks)
    x0, x1 = _crop_interval(width, width / max(ratio, 1.), int(first[0]), int(last[0]))
    y0, y1 = _crop_interval(height, height * min(ratio, 1.), int(first[1]), int(last[1]))
    return x0, y0, x1, y1


def _crop_interval(size: int, length: float, first: int, last: int) -> Tuple[int, int]:
    """Return ``length`` of ``size`` pixels around ``first``..``last``, which are included if they are inside."""
    first, last = max(first, 0), min(last, size - 1)
    length = min(max(int(round(length)), last - first + 1, 1), size)
    start = min(max(int(round((first + last + 1 - length) / 2)), 0), size - length)
    return start, start + length


def crop_resize(img: np.ndarray, landmarks: Optional[np.ndarray], box: Box, size: Tuple[int, int]) -> Face:
    """Cut out a box and resize it with Pillow's bicubic filter (in one step; 8 bits in, 8 bits out).

    Args:
        img: uint8 image, (H, W, C).
        landmarks: (K, 2) or None.
        box: (x0, y0, x1, y1) in whole pixels inside the image, x1 and y1 excluded.
        size: (width, height) of the result.
    """
    x0, y0, x1, y1 = box
    patch = img
    if box != (0, 0, img.shape[1], img.shape[0]):
        patch = mmcv.imcrop(img, np.array([x0, y0, x1 - 1, y1 - 1]))
    if (x1 - x0, y1 - y0) != tuple(size):
        patch = mmcv.imresize(patch, size, interpolation='bicubic', backend='pillow')
    if landmarks is None:
        return patch, None
    zoom = np.array([size[0] / (x1 - x0), size[1] / (y1 - y0)])
    moved = (landmarks - np.array([x0, y0]) + 0.5) * zoom - 0.5
    return patch, moved.astype(landmarks.dtype)
