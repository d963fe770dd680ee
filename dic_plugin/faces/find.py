"""Every face of a photograph, including small ones: detectors see it as a whole and, on request, in tiles."""
from typing import List, Optional, Tuple

import mmcv
import numpy as np

from dic_plugin.faces.found_face import Detector, FoundFace

SEARCHED_SIDE = 1000  # pixels; dlib's detector shrinks larger images
SEEN_FROM = 40  # pixels; the smallest face that a detector finds in an image of that size
MOST_ENLARGED = 4  # a detector sees only blur in larger ones
SAME_FACE = 0.4  # of the smaller box of landmarks inside the other; a tile may show a part of a face


def find_faces(photo: np.ndarray, detector: Detector, min_face: Optional[int] = None) -> List[FoundFace]:
    """Find faces with their landmarks, the largest first.

    A small photograph is enlarged before it is searched, so that faces from 10 pixels are found in one of 250. A large
    one is searched as for the training data: dlib shrinks it to 1000 pixels and finds faces that fill at least 1/25 of
    its longer side. With ``min_face`` it is also searched for smaller ones in tiles.

    Args:
        photo: uint8 RGB (H, W, 3).
        detector: Of :func:`dic_plugin.faces.detectors.make_detector`.
        min_face: Width of the smallest face to look for, in pixels, at least 10. Default: see above.

    Returns:
        Faces of sufficient confidence, each once, by the size of their landmarks' bounding box.
    """
    zoom = min(SEARCHED_SIDE / max(photo.shape[:2]), MOST_ENLARGED)
    found = _search(photo, (0, 0), max(zoom, 1), detector)  # the detector shrinks a large one itself
    # Below 1 for faces of more than SEEN_FROM pixels: larger tiles, and so fewer of them.
    closer = zoom if min_face is None else min(SEEN_FROM / min_face, MOST_ENLARGED)
    if closer > zoom:
        side = int(SEARCHED_SIDE / closer)
        for y0 in _starts(photo.shape[0], side):
            for x0 in _starts(photo.shape[1], side):
                found += _search(photo[y0:y0 + side, x0:x0 + side], (x0, y0), closer, detector)
    sure = [face for face in found if face.confidence is None or face.confidence >= detector.min_confidence]
    sensible = [face for face in sure if face.extent.min() > 0]
    once: List[FoundFace] = []
    for face in sorted(sensible, key=lambda face: (-(face.confidence or 0), -face.extent.prod())):
        if all(_overlap(face, other) < SAME_FACE for other in once):
            once.append(face)
    return sorted(once, key=lambda face: -face.extent.prod())


def _search(img: np.ndarray, origin: Tuple[int, int], zoom: float, detector: Detector) -> List[FoundFace]:
    height, width = img.shape[:2]
    size = (max(round(width * zoom), 1), max(round(height * zoom), 1))
    seen = img if zoom == 1 else mmcv.imresize(img, size, interpolation='bicubic', backend='pillow')
    zooms = np.array(size) / (width, height)
    return [
        FoundFace((face.landmarks + 0.5) / zooms - 0.5 + origin, confidence=face.confidence)
        for face in detector.find(seen)
    ]


def _starts(length: int, side: int) -> List[int]:
    """Return the starts of tiles that overlap by a third, so that one of them contains each small face.

    >>> _starts(100, 60), _starts(50, 60)
    ([0, 40], [0])
    """
    gaps = max(int(np.ceil((length - side) / (side * 2 / 3))), 0)
    return [round(index * (length - side) / max(gaps, 1)) for index in range(gaps + 1)]


def _overlap(one: FoundFace, other: FoundFace) -> float:
    low = np.maximum(one.landmarks.min(axis=0), other.landmarks.min(axis=0))
    high = np.minimum(one.landmarks.max(axis=0), other.landmarks.max(axis=0))
    return float(np.clip(high - low, 0, None).prod() / min(one.extent.prod(), other.extent.prod()))
