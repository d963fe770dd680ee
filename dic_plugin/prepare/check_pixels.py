"""What the examination of a set sees in the images themselves, in worker processes."""
import hashlib
from concurrent.futures.process import BrokenProcessPool
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

import cv2
import lmdb
import numpy as np
from tqdm import tqdm

from dic_plugin.data.degradation import make_lq
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.prepare.workers import worker_pool

__all__ = ['Seen', 'Size', 'WorkerDied', 'look_at_all']

CHUNK = 128  # images that a worker looks at between two reports

Size = Tuple[int, int]  # width, height


class WorkerDied(Exception):
    """A worker process came to a sudden end; the text says after how much."""


class Seen(NamedTuple):
    """What a worker saw of an image: sizes are None where it could not be read."""
    size: Optional[Size]
    error: Optional[str]
    digest: Optional[bytes]
    lq_size: Optional[Size]
    lq_error: Optional[str]
    lq_is_shrunk: bool


_WORKER: Tuple[Optional[FaceFiles], Optional[FaceFiles], Dict[str, int]] = (None, None, {})  # of a worker process


def look_at_all(files: FaceFiles, lq_files: Optional[FaceFiles], workers: int, label: str) -> List[Seen]:
    """Read every image.

    Args:
        files: The images. An LMDB is opened by the workers only.
        lq_files: Their low-quality images, where there are any; those of the same name belong together.
        workers: Number of processes.
        label: For the progress bar.

    Returns:
        In the order of ``files``.

    Raises:
        WorkerDied: reading ended a worker, as the part of an LMDB does that is not there.
    """
    chunks = [range(start, min(start + CHUNK, len(files))) for start in range(0, len(files), CHUNK)]
    seen = []
    try:
        with worker_pool(min(workers, len(chunks)), _start_worker, (files, lq_files)) as pool, \
                tqdm(total=len(files), desc=label, unit='image') as bar:
            for chunk in pool.map(_look_at, chunks):
                seen += chunk
                bar.update(len(chunk))
    except BrokenProcessPool as error:
        raise WorkerDied(f'after {len(seen):,} images; the LMDB is damaged, perhaps cut short, or memory ran out') \
            from error
    return seen


def _start_worker(files: FaceFiles, lq_files: Optional[FaceFiles]) -> None:
    global _WORKER
    _WORKER = (files, lq_files, {name: row for row, name in enumerate(lq_files.names)} if lq_files else {})


def _look_at(rows: Iterable[int]) -> List[Seen]:
    files, lq_files, lq_rows = _WORKER
    seen = []
    for row in rows:
        img, error = _read(files, row)
        lq = lq_error = None
        if files.names[row] in lq_rows:
            lq, lq_error = _read(lq_files, lq_rows[files.names[row]])
        digest = None if img is None else hashlib.blake2b(img.tobytes(), digest_size=16).digest()
        lq_is_shrunk = img is not None and lq is not None and _is_shrunk(img, lq)
        seen.append(Seen(_size(img), error, digest, _size(lq), lq_error, lq_is_shrunk))
    return seen


def _read(files: FaceFiles, row: int) -> Tuple[Optional[np.ndarray], Optional[str]]:
    try:
        return files.read(row), None
    except (KeyError, ValueError, OSError, lmdb.Error, cv2.error) as error:
        reason = str(error.args[0] if isinstance(error, KeyError) else error)
        return None, reason if files.names[row] in reason else f'{files.paths[row]}: {reason}'


def _size(img: Optional[np.ndarray]) -> Optional[Size]:
    return None if img is None else (img.shape[1], img.shape[0])


def _is_shrunk(img: np.ndarray, lq: np.ndarray) -> bool:
    scale = img.shape[0] // lq.shape[0]
    if (lq.shape[0] * scale, lq.shape[1] * scale) != img.shape[:2]:
        return False
    return np.array_equal(make_lq(img, scale), lq)
