"""Files that appear whole or not at all."""
import json
import math
import os
import shutil
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Union
from uuid import uuid4

from dic_plugin.utils.regular_file import check_regular


@contextmanager
def atomic_write(path: Union[str, os.PathLike]) -> Iterator[str]:
    """Yield a temporary name beside ``path``; the file written there replaces it at the end, or is removed on an error.

    A folder made there takes the place of none. Where ``path`` is a link, what it points to is replaced.

    Raises:
        OSError: the file cannot take its place, or a pipe, socket or device is there (root may put a file in the place
            of /dev/null). What was there before is then unchanged.
    """
    if os.path.exists(path):
        check_regular(path)
    target = os.path.realpath(path)
    # not made of the file's own name: that may be as long as the file system allows
    temporary = os.path.join(os.path.dirname(target), f'.{uuid4().hex}.tmp')
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.filename == temporary:  # a name that the user has not given
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
        raise
    finally:
        if os.path.isdir(temporary):
            shutil.rmtree(temporary)
        elif os.path.exists(temporary):
            os.remove(temporary)


def write_text(path: Union[str, os.PathLike], text: str) -> None:
    """Write a text file.

    Raises:
        OSError: it cannot be written. What was there before is then unchanged.
    """
    with atomic_write(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write(text)


def strict_json(value: Any) -> Any:
    """Return a value as strict JSON knows it: named tuples become objects, NaN None, infinity text.

    >>> strict_json({'psnr': [float('inf'), float('nan'), 1.5]})
    {'psnr': ['inf', None, 1.5]}
    """
    if hasattr(value, '_asdict'):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: strict_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def write_json(path: Union[str, os.PathLike], content: Any) -> None:
    """Write plain values as JSON; the same bytes for the same content.

    Raises:
        OSError: it cannot be written. What was there before is then unchanged.
        ValueError: a number is not finite.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + '\n')
