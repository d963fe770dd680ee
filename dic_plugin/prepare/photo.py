"""A photograph to prepare, and the interface of files that hold landmarks of photographs.

Coordinates are those of :mod:`dic_plugin.faces.found_face`.
"""
from typing import List, NamedTuple, Protocol

from dic_plugin.faces.found_face import FoundFace

__all__ = ['AnnotationSource', 'Photo']


class Photo(NamedTuple):
    """A photograph.

    Attributes:
        name: Name of its crop, used as LMDB key: ASCII letters, digits, ``_`` and ``-`` only.
        path: Path of the file.
        relative: Path within the folder of photographs, with ``/``; its name in annotations and records.
    """
    name: str
    path: str
    relative: str


class AnnotationSource(Protocol):
    """Landmarks read from files. Used in the main process only.

    Attributes:
        order: Order of the landmarks, as in an annotation file: ``ibug68``, ``helen194``, ``celeba5``.
        min_confidence: Default for the lowest confidence of a face that is used, in the format's own scale.
        described: Name in messages: the file or folder.
    """
    order: str
    min_confidence: float
    described: str

    def find(self, photo: Photo) -> List[FoundFace]:
        """Return all annotated faces of a photograph; raise Skipped with the reason if it has none."""

    def missing(self, photos: List[Photo]) -> List[str]:
        """Return the sorted names (as annotated) of the annotated photographs that are not among ``photos``."""
