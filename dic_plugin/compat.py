"""Shims that BasicSR needs to run on current libraries, each with its reason and when it can be removed."""
import importlib.util
import os
import sys
import types
from typing import Any


def apply() -> None:
    """Make ``import basicsr`` work on any torchvision, and data roots take lists. Called once, before the rest.

    Raises:
        ModuleNotFoundError: BasicSR is not installed.
    """
    _require_basicsr()
    _provide_functional_tensor()
    _accept_lists_of_data_roots()


def _require_basicsr() -> None:
    # A folder named basicsr without __init__.py, such as the one that holds our launchers, is importable too (as a
    # namespace) and would only fail later, at a name that has nothing to do with the cause.
    spec = importlib.util.find_spec('basicsr')
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError('BasicSR is not installed in this Python: `pip install --no-build-isolation basicsr` '
                                  '(after torch, torchvision, cython and numpy), or run scripts/setup_env.sh.')


def _provide_functional_tensor() -> None:
    # BasicSR 1.4.2 imports rgb_to_grayscale from torchvision.transforms.functional_tensor, which torchvision 0.17
    # removed; the function lives on in torchvision.transforms.functional. Can go with BasicSR's next release.
    name = 'torchvision.transforms.functional_tensor'
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    from torchvision.transforms import functional
    module = types.ModuleType(name, 'Stand-in for the module that torchvision 0.17 removed.')
    setattr(module, 'rgb_to_grayscale', functional.rgb_to_grayscale)
    sys.modules[name] = module


def _accept_lists_of_data_roots() -> None:
    # parse_options expands `~` in dataroot_gt, which it takes for one path, before any dataset sees it.
    from basicsr.utils import options

    def expanduser(value: Any) -> Any:
        return [expanduser(item) for item in value] if isinstance(value, list) else os.path.expanduser(value)

    setattr(options, 'osp', types.SimpleNamespace(**{**vars(os.path), 'expanduser': expanduser}))
