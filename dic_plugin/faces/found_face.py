"""A face in a photograph, and the interface of detectors.

Coordinates are (x, y) in pixels of the photograph as displayed (a JPEG's orientation tag applied), with the centre of
the top-left pixel at (0, 0). Boxes are (x0, y0, x1, y1) in whole pixels, x1 and y1 excluded, and may reach outside.
"""
from dataclasses import dataclass
from typing import List, Optional, Protocol, Tuple

import numpy as np

__all__ = ['Box', 'Detector', 'FoundFace']

Box = Tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a photograph.

    Attributes:
        landmarks: (K, 2) float64.
        box: The square that the annotation gives, if any.
        confidence: The detector's confidence, in its own scale, if it has one.
    """
    landmarks: np.ndarray
    box: Optional[Box] = None
    confidence: Optional[float] = None

    @property
    def extent(self) -> np.ndarray:
        """Width and height of the landmarks' bounding box; zeros if there is none."""
        if not len(self.landmarks) or not np.isfinite(self.landmarks).all():
            return np.zeros(2)
        return self.landmarks.max(axis=0) - self.landmarks.min(axis=0)


class Detector(Protocol):
    """Finds faces in pixels. Every worker makes one.

    Attributes:
        order: Order of the landmarks, as in an annotation file: ``ibug68``, ``helen194``, ``celeba5``.
        min_confidence: Faces of a lower confidence are not used by default.
        described: Name of the detector in messages.
        model: The file that decides what it finds, or None.
    """
    order: str
    min_confidence: float
    described: str
    model: Optional[str]

    def find(self, img: np.ndarray) -> List[FoundFace]:
        """Return all faces of a photograph, uint8 RGB (H, W, 3)."""
