"""Option files by name: those that come with this package are found from anywhere."""
import os
import sys
from pathlib import Path

__all__ = ['option_file']

ROOTS = (Path(__file__).resolve().parents[2] / 'options', Path(sys.prefix) / 'share/dic_plugin/options')


def option_file(name: str) -> str:
    """Return the path of an option file.

    Args:
        name: a path, with ``~`` or not, or the name of a shipped option file: ``train_DIC``,
            ``benchmark/synthetic_x8.yml``. A file of that path comes first.

    Returns:
        The path; where there is no such file, the one that was given.
    """
    path = os.path.expanduser(name)
    if not os.path.exists(path):
        for root in ROOTS:
            shipped = root / (name if name.endswith('.yml') else f'{name}.yml')
            if shipped.is_file():
                return str(shipped)
    return path
