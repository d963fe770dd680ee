"""What the steps of the preparation hand to each other.

Coordinates are (x, y) in pixels of the photograph as it is shown (a JPEG's orientation tag applied), with the centre of
the top-left pixel at (0, 0). Boxes are (x0, y0, x1, y1) in whole pixels, x1 and y1 excluded, and may reach outside.
"""
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Protocol, Tuple

import numpy as np

__all__ = ['AnnotationSource', 'Box', 'Detector', 'FoundFace', 'Photo', 'Skipped']

Box = Tuple[int, int, int, int]


class Photo(NamedTuple):
    """A photograph.

    Attributes:
        name: What its crop will be called: an LMDB key, so of ASCII letters, digits, ``_`` and ``-`` only.
        path: The file.
        relative: The file within the folder of photographs, with ``/``: what annotations and records call it.
    """
    name: str
    path: str
    relative: str


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a photograph.

    Attributes:
        landmarks: (K, 2) float64; see the head of this module.
        box: The square that the annotation gives, if any.
        confidence: How sure the detector was, in its own scale, if it says so.
    """
    landmarks: np.ndarray
    box: Optional[Box] = None
    confidence: Optional[float] = None


class Skipped(Exception):
    """A photograph cannot be used; the text is the reason, in a few words without the file's name."""


class AnnotationSource(Protocol):
    """Landmarks from files. Lives in the main process.

    Attributes:
        order: Which landmark is which, as in an annotation file: ``ibug68``, ``helen194``, ``celeba5``.
        min_confidence: Below this confidence a face is not used unless the user says otherwise; the format's own scale.
        described: What messages call it: the file or folder.
    """
    order: str
    min_confidence: float
    described: str

    def find(self, photo: Photo) -> List[FoundFace]:
        """Every annotated face of a photograph.

        Raises:
            Skipped: it has none, with the reason.
        """

    def missing(self, photos: List[Photo]) -> List[str]:
        """What is annotated, but not among ``photos``: names as the annotation has them, sorted."""


class Detector(Protocol):
    """Finds faces in pixels. One is made in every worker.

    Attributes:
        order, min_confidence, described: As in :class:`AnnotationSource`.
        model: The file that decides what it finds, or None.
    """
    order: str
    min_confidence: float
    described: str
    model: Optional[str]

    def find(self, img: np.ndarray) -> List[FoundFace]:
        """Every face of a whole photograph, uint8 RGB (H, W, 3); an empty list where there is none."""
