"""Every face of a photograph, small ones included: detectors see it as a whole and, if asked to, in tiles."""
from typing import Iterator, List, Optional, Tuple

import mmcv
import numpy as np

from dic_plugin.faces.found_face import Detector, FoundFace

SEARCHED_SIDE = 1000  # pixels; dlib's detector shrinks what is larger
SEEN_FROM = 40  # pixels; what a detector finds in an image of that size
MOST_ENLARGED = 4  # by more, blur is all that a detector sees
SAME_FACE = 0.4  # of the smaller box of landmarks inside the other; a tile may show a part of a face


def find_faces(photo: np.ndarray, detector: Detector, min_face: Optional[int] = None) -> List[FoundFace]:
    """Find faces with their landmarks, the largest first.

    A small photograph is enlarged before it is searched, so that faces of 10 pixels on are found in one of 250. A large
    one is searched as it is for the training data: dlib shrinks it to 1000 pixels and finds faces that fill at least
    1/25 of its longer side. ``min_face`` also has it searched for smaller ones, part by part.

    Args:
        photo: uint8 RGB (H, W, 3).
        detector: of :func:`dic_plugin.faces.detectors.make_detector`.
        min_face: Width of the smallest face to be looked for, in pixels, at least 10. Default: see above.

    Returns:
        Faces that the detector is sure enough of, each once, by the size of their landmarks' bounding box.
    """
    longest = max(photo.shape[:2])
    zoom = min(SEARCHED_SIDE / longest, MOST_ENLARGED)
    found = _search(photo, (0, 0), max(zoom, 1), detector)  # the detector shrinks a large one itself
    # Below 1 for faces of more than SEEN_FROM pixels: larger tiles, and so fewer of them.
    closer = zoom if min_face is None else min(SEEN_FROM / min_face, MOST_ENLARGED)
    if closer > zoom:
        for x0, y0, tile in _tiles(photo, int(SEARCHED_SIDE / closer)):
            found += _search(tile, (x0, y0), closer, detector)
    sure = [face for face in found if face.confidence is None or face.confidence >= detector.min_confidence]
    sensible = [face for face in sure if _sides(face).min() > 0]
    once: List[FoundFace] = []
    for face in sorted(sensible, key=lambda face: (-(face.confidence or 0), -_sides(face).prod())):
        if all(_overlap(face, other) < SAME_FACE for other in once):
            once.append(face)
    return sorted(once, key=lambda face: -_sides(face).prod())


def _search(img: np.ndarray, origin: Tuple[int, int], zoom: float, detector: Detector) -> List[FoundFace]:
    height, width = img.shape[:2]
    size = (width, height) if zoom == 1 else (max(round(width * zoom), 1), max(round(height * zoom), 1))
    seen = img if zoom == 1 else mmcv.imresize(img, size, interpolation='bicubic', backend='pillow')
    zooms = np.array(size) / (width, height)
    return [
        FoundFace((face.landmarks + 0.5) / zooms - 0.5 + origin, confidence=face.confidence)
        for face in detector.find(seen)
    ]


def _tiles(photo: np.ndarray, side: int) -> Iterator[Tuple[int, int, np.ndarray]]:
    """Yield x0, y0 and the pixels of tiles that overlap by a third, so that one of them contains each small face."""
    height, width = photo.shape[:2]
    for y0 in _starts(height, side):
        for x0 in _starts(width, side):
            yield x0, y0, photo[y0:y0 + side, x0:x0 + side]


def _starts(length: int, side: int) -> List[int]:
    """
    >>> _starts(100, 60), _starts(50, 60)
    ([0, 40], [0])
    """
    number = max(int(np.ceil((length - side) / (side * 2 / 3))), 0) + 1
    return [round(index * (length - side) / max(number - 1, 1)) for index in range(number)] if number > 1 else [0]


def _sides(face: FoundFace) -> np.ndarray:
    """Return width and height of the landmarks' bounding box; zeros if there is none."""
    if not len(face.landmarks) or not np.isfinite(face.landmarks).all():
        return np.zeros(2)
    return face.landmarks.max(axis=0) - face.landmarks.min(axis=0)


def _overlap(one: FoundFace, other: FoundFace) -> float:
    low = np.maximum(one.landmarks.min(axis=0), other.landmarks.min(axis=0))
    high = np.minimum(one.landmarks.max(axis=0), other.landmarks.max(axis=0))
    return float(np.clip(high - low, 0, None).prod() / min(_sides(one).prod(), _sides(other).prod()))
