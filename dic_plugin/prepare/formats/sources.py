"""The two kinds of annotation source: a table of landmarks, or a file for every photograph.

Both are :class:`dic_plugin.faces.found_face.AnnotationSource`; attributes and methods are described there.
"""
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.formats.names import AnnotatedNames
from dic_plugin.prepare.photo import Photo

__all__ = ['FileSource', 'TableSource', 'finite_faces']


def finite_faces(faces: List[FoundFace]) -> List[FoundFace]:
    """The faces whose landmarks are finite.

    Raises:
        Skipped: none is.
    """
    finite = [face for face in faces if np.isfinite(face.landmarks).all()]
    if not finite:
        raise Skipped('landmarks hold NaN or infinity')
    return finite


class TableSource:
    """One face for each name, all in memory.

    Args:
        paths: The files, or the folder.
        order: Which landmark is which.
        names: (N,) names, each of them once.
        landmarks: (N, K, 2).
        photos: The photographs.
        boxes: (N, 4) whole numbers; four zeros where the annotation gives no box. None: no face has one.
    """
    min_confidence = 0.0  # these formats tell no confidence

    def __init__(self,
                 paths: Sequence[str],
                 order: str,
                 names: Sequence[str],
                 landmarks: np.ndarray,
                 photos: Sequence[Photo],
                 boxes: Optional[np.ndarray] = None) -> None:
        self.order = order
        self._names = AnnotatedNames(names, photos, paths)
        self.described = self._names.described
        self._landmarks = landmarks
        self._boxes = boxes

    def find(self, photo: Photo) -> List[FoundFace]:
        row = self._names.index(photo)
        has_box = self._boxes is not None and self._boxes[row].any()
        box = tuple(self._boxes[row].tolist()) if has_box else None
        return finite_faces([FoundFace(self._landmarks[row].astype(np.float64), box)])

    def missing(self, photos: List[Photo]) -> List[str]:
        return self._names.missing(photos)


class FileSource:
    """A file for every photograph, read when its faces are asked for.

    Args:
        paths: The files, or the folder.
        order: Which landmark is which.
        files: The file for each name.
        read: Gives the faces in a file; may raise Skipped.
        photos: The photographs.
        min_confidence: In the format's own scale.
    """

    def __init__(self,
                 paths: Sequence[str],
                 order: str,
                 files: Dict[str, str],
                 read: Callable[[str], List[FoundFace]],
                 photos: Sequence[Photo],
                 min_confidence: float = 0.0) -> None:
        self.order = order
        self.min_confidence = min_confidence
        self._names = AnnotatedNames(list(files), photos, paths)
        self.described = self._names.described
        self._files = list(files.values())
        self._read = read

    def find(self, photo: Photo) -> List[FoundFace]:
        return finite_faces(self._read(self._files[self._names.index(photo)]))

    def missing(self, photos: List[Photo]) -> List[str]:
        return self._names.missing(photos)
