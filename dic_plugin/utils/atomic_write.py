"""Files that appear whole or not at all."""
import os
from contextlib import contextmanager
from typing import Iterator
from uuid import uuid4


@contextmanager
def atomic_write(path: str) -> Iterator[str]:
    """A temporary name beside ``path``; what is written there takes its place at the end, or vanishes on an error.

    Raises:
        OSError: the file cannot take its place. What was there before is then unchanged.
    """
    # not made of the file's own name: that may be as long as the file system allows
    temporary = os.path.join(os.path.dirname(path), f'.{uuid4().hex}.tmp')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
