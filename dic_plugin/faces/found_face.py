"""A face in a photograph, and the interface of detectors.

Coordinates are (x, y) in pixels of the photograph as displayed (a JPEG's orientation tag applied), with the centre of
the top-left pixel at (0, 0). Boxes are (x0, y0, x1, y1) in whole pixels, x1 and y1 excluded, and may reach outside.
"""
from dataclasses import dataclass
from typing import List, Optional, Protocol, Tuple

import numpy as np

Box = Tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a photograph."""
    landmarks: np.ndarray  # (K, 2) float64
    box: Optional[Box] = None  # the square that the annotation gives, if any
    confidence: Optional[float] = None  # in the detector's own scale

    @property
    def extent(self) -> np.ndarray:
        """Width and height of the landmarks' bounding box; zeros if there is none."""
        if not len(self.landmarks) or not np.isfinite(self.landmarks).all():
            return np.zeros(2)
        return self.landmarks.max(axis=0) - self.landmarks.min(axis=0)


class Detector(Protocol):
    """Finds faces in pixels. Every worker makes one."""
    order: str  # of the landmarks, as in an annotation file: ibug68, helen194, celeba5
    min_confidence: float  # faces of a lower confidence are not used by default
    described: str  # its name in messages
    model: Optional[str]  # the file that decides what it finds

    def find(self, img: np.ndarray) -> List[FoundFace]:
        """Return all faces of a photograph, uint8 RGB (H, W, 3)."""
