"""One prepared set: the images of a folder or LMDB and, where there is an annotation file, their landmarks."""
from typing import Any, Mapping, Optional, Tuple

import numpy as np

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_files import FaceFiles

__all__ = ['FaceSet']


class FaceSet:
    """Faces by index.

    Args:
        root: Folder of images, or an LMDB's.
        annotation_file: The ``.npz`` of :mod:`dic_plugin.data.annotations`, or None.
        meta_info_file: See FaceFiles.
        io_backend: See FaceFiles. Default: lmdb for a root that ends in ``.lmdb``, disk for others.

    Attributes:
        files: The FaceFiles.
        annotations: The FaceAnnotations, or None.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or images and annotations do not belong together.
    """

    def __init__(self,
                 root: str,
                 annotation_file: Optional[str] = None,
                 meta_info_file: Optional[str] = None,
                 io_backend: Optional[Mapping[str, Any]] = None) -> None:
        backend = io_backend or {'type': 'lmdb' if root.rstrip('/').endswith('.lmdb') else 'disk'}
        self.files = FaceFiles(root, backend, meta_info_file)
        self.annotation_file = annotation_file
        self.annotations = None
        if annotation_file:
            self.annotations = FaceAnnotations.load(annotation_file)
            # every read asks whether the landmarks are inside: of each face only the outermost need be looked at
            self.lowest = self.annotations.landmarks.min(axis=1)
            self.highest = self.annotations.landmarks.max(axis=1)
            self.row_of = {name: row for row, name in enumerate(self.annotations.names.tolist())}
            self._check_belong_together(subset=bool(meta_info_file))

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        """Return image, uint8 RGB ``H,W,3``, and landmarks, ``K,2`` float32 in its pixels, or None without annotations.

        Raises:
            FileNotFoundError, KeyError: The image is not there.
            ValueError: It is damaged, of another size than annotated, or has landmarks outside. The message names it.
        """
        img = self.files.read(index)
        if self.annotations is None:
            return img, None
        path, row = self.files.paths[index], self.row_of[self.files.names[index]]
        landmarks = self.annotations.landmarks[row]
        height, width = img.shape[:2]
        mismatch = f'image and annotation do not belong together ({self.annotation_file})'
        if self.annotations.image_size is not None and tuple(self.annotations.image_size[row]) != (width, height):
            annotated = 'x'.join(map(str, self.annotations.image_size[row]))
            raise ValueError(
                f'{path}: is {width}x{height} (width x height), but was annotated as {annotated}; {mismatch}.')
        (left, top), (right, bottom) = self.lowest[row].tolist(), self.highest[row].tolist()
        if left < -0.5 or top < -0.5 or right > width - 0.5 or bottom > height - 0.5:
            outside = ((landmarks < -0.5) | (landmarks > (width - 0.5, height - 0.5))).any(axis=1)
            point = int(outside.argmax())
            x, y = landmarks[point]
            raise ValueError(f'{path}: landmark {point} at ({x:.1f}, {y:.1f}) is outside the image of {width}x{height} '
                             f'(width x height); {mismatch}.')
        return img, landmarks

    def _check_belong_together(self, subset: bool) -> None:
        """Check that every image has landmarks and, unless a list selects some of the images, every face an image."""
        without = [name for name in self.files.names if name not in self.row_of]
        if without:
            raise ValueError(f'{self.annotation_file}: has no landmarks for {without[0]!r} ({len(without)} of '
                             f'{len(self.files)} images in {self.files.root!r}); images and annotations do not belong '
                             'together.')
        if not subset and len(self.row_of) > len(self.files):
            images = set(self.files.names)
            extra = [name for name in self.row_of if name not in images]
            raise ValueError(
                f'{self.annotation_file}: {extra[0]!r} has no image in {self.files.root!r} ({len(extra)} of '
                f'{len(self.row_of)} faces); images and annotations do not belong together. To use some of '
                'the images only, name them in a meta_info_file.')
