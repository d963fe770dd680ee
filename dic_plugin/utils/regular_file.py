"""Files that users name: of a pipe or device, reading might never end, and writing might take its place."""
import errno
import os
import stat
from typing import IO, Any, Union

__all__ = ['check_regular', 'open_regular']


def open_regular(path: Union[str, os.PathLike], mode: str = 'r', **settings: Any) -> IO[Any]:
    """Open a file to read, as ``open`` does.

    Raises:
        OSError: As ``open``, or it is a pipe, a socket or a device, of which reading might never end.
    """
    check_regular(path)
    return open(path, mode, **settings)


def check_regular(path: Union[str, os.PathLike]) -> None:
    """Raise an OSError if a path is a pipe, a socket or a device, or does not exist."""
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(errno.EINVAL, 'is no regular file but a pipe, socket or device', os.fspath(path))
