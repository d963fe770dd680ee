"""A photograph of the set to be prepared, and files that hold landmarks of photographs.

Coordinates are those of :mod:`dic_plugin.faces.found_face`.
"""
from typing import List, NamedTuple, Protocol

from dic_plugin.faces.found_face import FoundFace

__all__ = ['AnnotationSource', 'Photo']


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
