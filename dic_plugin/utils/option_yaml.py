"""Option files as data: modules that they name are imported, by which BasicSR finds plugins; nothing is called."""
import importlib
from typing import Any

import yaml

from dic_plugin.utils.option_values import OptionError
from dic_plugin.utils.regular_file import open_regular

__all__ = ['read_yaml']


class _Loader(yaml.SafeLoader):
    """Reads the name of a Python object as text, after importing its module; refuses other tags."""


def _name(loader: yaml.Loader, suffix: str, node: yaml.Node) -> str:
    try:
        importlib.import_module(suffix.rpartition('.')[0])
    except (ImportError, ValueError) as error:
        raise yaml.constructor.ConstructorError(None, None, f'{suffix} cannot be imported: {error}',
                                                node.start_mark) from error
    return suffix


_Loader.add_multi_constructor('tag:yaml.org,2002:python/name:', _name)


def read_yaml(path: str) -> Any:
    """Read a YAML file.

    BasicSR's own loader would call whatever functions an option file names.

    Raises:
        OptionError: The file cannot be read, is no YAML, or asks for more than plain values and names of Python.
    """
    try:
        with open_regular(path, encoding='utf-8-sig') as file:
            return yaml.load(file, Loader=_Loader)  # noqa: S506 (of SafeLoader)
    except OSError as error:
        raise OptionError(f'{path}: {error.strerror}.') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f'{path}: not an option file: {error}') from error
