"""Files that appear whole or not at all."""
import os
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """A temporary name beside ``path``; what is written there takes its place at the end, or vanishes on an error."""
    temporary = f'{path}.{os.getpid()}.tmp'
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
