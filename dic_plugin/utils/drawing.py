"""Pictures for people: landmarks on faces, and one strip a face showing every step."""
from typing import List, NamedTuple, Optional

import cv2
import mmcv
import numpy as np

ZOOM = 2  # a landmark of one pixel on a 128x128 face is hard to see
HEADER = 18
GAP = 4
GREEN = (80, 255, 80)


class Tile(NamedTuple):
    """One picture of a strip.

    Attributes:
        title: short text above it.
        image: ``H,W,3`` uint8 BGR.
        landmarks: ``K,2``, (x, y) in pixels of the image, or None.
    """
    title: str
    image: np.ndarray
    landmarks: Optional[np.ndarray] = None


def draw_landmarks(image: np.ndarray, landmarks: np.ndarray, zoom: int = ZOOM) -> np.ndarray:
    """Enlarge an image by a whole number and draw a dot at each landmark.

    Args:
        image: ``H,W,3`` uint8 BGR.
        landmarks: ``K,2``, (x, y) in pixels of the image; not-finite ones are left out.
        zoom: enlargement; pixels are repeated, so that nothing looks sharper than it is.

    Returns:
        ``zoom*H,zoom*W,3`` uint8 BGR.
    """
    canvas = np.ascontiguousarray(image.repeat(zoom, 0).repeat(zoom, 1))
    for x, y in landmarks[np.isfinite(landmarks).all(1)]:
        # centre of the enlarged pixel; OpenCV takes the coordinates in 1/16 pixels
        centre = tuple(int(round(((value + 0.5) * zoom - 0.5) * 16)) for value in (x, y))
        cv2.circle(canvas, centre, int(0.7 * zoom * 16), GREEN, -1, cv2.LINE_AA, shift=4)
    return canvas


def draw_strip(tiles: List[Tile]) -> np.ndarray:
    """Draw tiles side by side, each under its title.

    Every tile is enlarged to the height of the last one times ZOOM, smaller ones (the input) by repeating pixels.

    Returns:
        uint8 BGR.
    """
    height, width = tiles[-1].image.shape[:2]
    columns = []
    for tile in tiles:
        image = tile.image
        if image.shape[:2] != (height, width):
            image = mmcv.imresize(image, (width, height), interpolation='nearest')
        landmarks = np.empty((0, 2)) if tile.landmarks is None else tile.landmarks
        column = np.full((HEADER + ZOOM * height, ZOOM * width, 3), 255, np.uint8)
        column[HEADER:] = draw_landmarks(image, landmarks)
        cv2.putText(column, tile.title, (2, HEADER - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        columns += [column, np.full((len(column), GAP, 3), 255, np.uint8)]
    return np.concatenate(columns[:-1], 1)
