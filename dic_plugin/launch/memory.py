"""Memory of a training on a CPU, which the process keeps instead of handing it back to the system after every use."""
import ctypes
import os
import sys
from contextlib import contextmanager
from typing import Any, Iterator

__all__ = ['memory_kept']

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of glibc's mallopt(3)
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}
DEFAULTS = {M_MMAP_MAX: 2**16, M_TRIM_THRESHOLD: 2**17}


@contextmanager
def memory_kept() -> Iterator[None]:
    """Let the C library reuse large blocks in a ``with`` statement.

    By default it maps every block of more than 32 MiB anew, and the system fills it with zeros page by page, though an
    iteration needs the same blocks as the one before. Nothing changes without glibc, or if one of its variables
    (``MALLOC_MMAP_THRESHOLD_``, ...) is set.
    """
    libc: Any = ctypes.CDLL(None) if sys.platform == 'linux' else None
    if not hasattr(libc, 'mallopt') or any(name.startswith('MALLOC_') for name in os.environ):
        yield
        return
    for parameter, value in KEPT.items():
        libc.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in DEFAULTS.items():
            libc.mallopt(parameter, value)
        libc.malloc_trim(0)
