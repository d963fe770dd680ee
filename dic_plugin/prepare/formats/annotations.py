"""Landmarks read from files, found by photograph."""
import os
from typing import Callable, List, Sequence, Tuple

import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.formats.names import match_names
from dic_plugin.prepare.photo import Photo

__all__ = ['BAD_FILE', 'Annotations']

BAD_FILE = 'landmark file cannot be used'


class Annotations:
    """The annotated faces of photographs. Used in the main process only.

    Args:
        paths: The files, or their folder.
        order: Order of the landmarks: ``ibug68``, ``helen194``, ``celeba5``.
        names: The annotated names, each of them once.
        faces_of: Returns the faces of the name with an index; may raise Skipped.
        photos: The photographs.
        min_confidence: Default for the lowest confidence of a face that is used, in the format's own scale.
        bad_files: Files that do not say which photograph they annotate, and the reasons.

    Attributes:
        order, min_confidence, bad_files: As given.
        described: Name in messages: the files or the folder.

    Raises:
        ValueError: as :func:`match_names`; or there is no name, or none that means one of the photographs.
    """

    def __init__(self,
                 paths: Sequence[str],
                 order: str,
                 names: Sequence[str],
                 faces_of: Callable[[int], List[FoundFace]],
                 photos: Sequence[Photo],
                 min_confidence: float = 0.0,
                 bad_files: Sequence[Tuple[str, str]] = ()) -> None:
        self.order = order
        self.min_confidence = min_confidence
        self.bad_files = bad_files
        self.described = ', '.join(paths)
        self._file_names = ', '.join(os.path.basename(os.path.normpath(path)) for path in paths)
        self._names = names
        self._faces_of = faces_of
        self._index_of = match_names(names, photos, self.described)
        if not names:
            raise ValueError(f'{self.described}: holds no face.')
        if photos and not self._index_of:
            raise ValueError(
                f'{self.described}: none of the {len(names)} names in it, such as {names[0]!r}, is that of one '
                f'of the {len(photos)} photographs, such as {photos[0].relative!r}.')

    def find(self, photo: Photo) -> List[FoundFace]:
        """Return all annotated faces of a photograph.

        Raises:
            Skipped: with the reason why it has none, which begins with BAD_FILE if its file cannot be used.
        """
        if photo.relative not in self._index_of:
            raise Skipped(f'not in {self._file_names}')
        try:
            faces = self._faces_of(self._index_of[photo.relative])
        except (OSError, ValueError) as error:  # of a file for this photograph alone
            raise Skipped(f'{BAD_FILE} ({error})') from error
        finite = [face for face in faces if np.isfinite(face.landmarks).all()]
        if not finite:
            raise Skipped('landmarks hold NaN or infinity')
        return finite

    def missing(self, photos: Sequence[Photo]) -> List[str]:
        """Return the sorted names of the annotated photographs that are not among ``photos``."""
        matched = set(match_names(self._names, photos, self.described).values())
        return sorted(name for index, name in enumerate(self._names) if index not in matched)
