"""The annotation file: the landmarks of a set of face crops in one ``.npz`` beside the images.

Arrays in the file (none of them needs pickle):

    names       (N,) unicode        image file names without extension, which are also the keys of an LMDB
    landmarks   (N, K, 2) float32   (x, y) in pixels of the stored image, centre of the top-left pixel at (0, 0)
    order       () unicode          which landmark is which: a name that ends in K: ibug68, helen194, celeba5
    image_size  (N, 2) int32        optional: width and height of the stored image
    source      (N,) unicode        optional: file name of the photograph that the face was cut from
    crop_box    (N, 4) float32      optional: x0, y0, x1, y1 of the crop in that photograph, in pixels

Other arrays are left alone, so that tools can add their own.
"""
import os
import re
from dataclasses import dataclass
from typing import Dict, Optional

import numpy as np

from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.utils.atomic_write import atomic_write

__all__ = ['FaceAnnotations']

_OPTIONAL = ('image_size', 'source', 'crop_box')


@dataclass(frozen=True, eq=False)
class FaceAnnotations:
    """The landmarks of N faces; the fields are those of the file (see the head of this module), ``order`` a str.

    Raises:
        ValueError: on construction, if the arrays do not fit together or hold what they must not: a name twice, NaN.
    """
    names: np.ndarray
    landmarks: np.ndarray
    order: str
    image_size: Optional[np.ndarray] = None
    source: Optional[np.ndarray] = None
    crop_box: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        num = len(self.names)
        _check_array('names', self.names, 'U', (num, ), '(N,)')
        _check_array('landmarks', self.landmarks, np.float32, (num, None, 2), f'({num}, K, 2)')
        for field, dtype, shape in (('image_size', np.int32, (num, 2)), ('source', 'U', (num, )),
                                    ('crop_box', np.float32, (num, 4))):
            if getattr(self, field) is not None:
                _check_array(field, getattr(self, field), dtype, shape, str(shape))
        if num == 0:
            raise ValueError('holds no face; expected at least one name with its landmarks.')
        self._check_names()
        self._check_order()
        for field in ('landmarks', 'crop_box'):
            self._check_finite(field)

    @property
    def num_keypoints(self) -> int:
        """Landmarks per face, K."""
        return self.landmarks.shape[1]

    @property
    def margin(self) -> Optional[float]:
        """Median distance from the landmarks' bounding box to the crop's edge, in larger sides of the box; None without
        ``image_size``. It is what dic-prepare and dic-infer call ``--margin``."""
        if self.image_size is None:
            return None
        extent = np.ptp(self.landmarks, axis=1).max(axis=1)
        return float(np.median((self.image_size.min(axis=1) / np.maximum(extent, 1) - 1) / 2))

    def save(self, path: str) -> None:
        """Write the file. It appears whole or, if anything fails, not at all."""
        arrays = {field: getattr(self, field) for field in _OPTIONAL if getattr(self, field) is not None}
        with atomic_write(path) as temporary, open(temporary, 'wb') as file:
            np.savez_compressed(file, names=self.names, landmarks=self.landmarks, order=np.array(self.order), **arrays)

    @classmethod
    def load(cls, path: str) -> 'FaceAnnotations':
        """Read and check a file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no annotation file, or its contents are wrong. The message names the file and, where there
                is one, the first face at fault.
        """
        if not os.path.isfile(path):
            raise FileNotFoundError(f'Annotation file {path!r} does not exist; expected an .npz of landmarks, as '
                                    'dic-prepare writes (README.md, section "Data").')
        try:
            with open(path, 'rb') as stream:
                file = np.load(stream, allow_pickle=False)
                arrays = {name: file[name] for name in file.files}
        except Exception as error:  # of a damaged archive, nearly anything
            raise ValueError(
                f'{path}: not a readable annotation file (.npz without pickled objects): {error}') from error
        missing = [name for name in ('names', 'landmarks', 'order') if name not in arrays]
        if missing:
            raise ValueError(
                f'{path}: has no array {missing[0]!r}; an annotation file holds names, landmarks and order.')
        try:
            return cls(arrays['names'], arrays['landmarks'], str(arrays['order']),
                       **{field: arrays.get(field)
                          for field in _OPTIONAL})
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def _check_names(self) -> None:
        first_row: Dict[str, int] = {}
        for row, name in enumerate(self.names.tolist()):
            if not name:
                raise ValueError(f'face {row} has an empty name; expected its file name without extension.')
            if name in first_row:
                raise ValueError(f'the name {name!r} stands twice, for the faces {first_row[name]} and {row}.')
            first_row[name] = row

    def _check_order(self) -> None:
        if re.sub(r'.*\D', '', self.order) != str(self.num_keypoints):
            raise ValueError(
                f'has {self.num_keypoints} landmarks per face, but its order is {self.order!r}; expected a '
                f'name that ends in {self.num_keypoints} (known: {", ".join(sorted(ORDERS))}).')

    def _check_finite(self, field: str) -> None:
        array = getattr(self, field)
        if array is not None and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise ValueError(f'{field} of {str(self.names[row])!r} hold NaN or infinity.')


def _check_array(field, array, dtype, shape, expected) -> None:
    right_type = isinstance(array, np.ndarray) and (array.dtype.kind == 'U' if dtype == 'U' else array.dtype == dtype)
    right_shape = right_type and array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape))
    if not right_shape:
        found = f'{array.dtype} {array.shape}' if isinstance(array, np.ndarray) else type(array).__name__
        type_name = 'unicode' if dtype == 'U' else np.dtype(dtype).name
        raise ValueError(f'{field} must be an array of {type_name} and shape {expected}, but is {found}.')
