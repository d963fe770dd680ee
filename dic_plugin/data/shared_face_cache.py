"""Memory for drawn faces that a process shares with the loader workers that it forks."""
import mmap
import zlib
from typing import Any, Dict, Optional, Tuple

import numpy as np

__all__ = ['SharedFaceCache']


class SharedFaceCache:
    """Keeps up to ``num`` faces; what one process puts in, its parent and its forked siblings get.

    The memory is an anonymous shared mapping: it takes no file and no place in /dev/shm, which is often too small in
    containers. Workers started by spawn cannot inherit it: pickled, a cache arrives empty, and each worker fills its
    own.

    Args:
        num: Number of faces.
        img_size: Height and width of their images, which are uint8 RGB.
        num_keypoints: Landmarks per face.
    """

    def __init__(self, num: int, img_size: int, num_keypoints: int) -> None:
        self.args = (num, img_size, num_keypoints)
        self.images = _shared_array((num, img_size, img_size, 3), np.uint8)
        self.landmarks = _shared_array((num, num_keypoints, 2), np.float32)
        # 0 where there is no face. Not a mere mark: another core may see that before it sees all of the face.
        self.checksums = _shared_array((num, ), np.uint32)

    def get(self, index: int) -> Optional[Tuple[np.ndarray, np.ndarray]]:
        """Return image and landmarks of face ``index`` (views, not to be changed), or None if it is not stored yet."""
        img, landmarks = self.images[index], self.landmarks[index]
        checksum = self.checksums[index]
        return (img, landmarks) if checksum and checksum == _checksum(img, landmarks) else None

    def put(self, index: int, img: np.ndarray, landmarks: np.ndarray) -> None:
        """Keep a face. Two processes may put the same one at once: they write the same bytes."""
        self.images[index] = img
        self.landmarks[index] = landmarks
        self.checksums[index] = _checksum(self.images[index], self.landmarks[index])

    def __getstate__(self) -> Dict[str, Any]:
        return {'args': self.args}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__init__(*state['args'])  # type: ignore[misc]


def _checksum(img: np.ndarray, landmarks: np.ndarray) -> int:
    return zlib.crc32(landmarks.data, zlib.crc32(img.data)) or 1


def _shared_array(shape: Tuple[int, ...], dtype) -> np.ndarray:
    num_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, num_bytes), dtype).reshape(shape)
