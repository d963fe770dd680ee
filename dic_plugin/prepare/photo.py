"""A photograph to prepare."""
from typing import NamedTuple

__all__ = ['Photo']


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
