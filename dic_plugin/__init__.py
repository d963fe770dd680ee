"""DIC and DICGAN (CVPR 2020, face super-resolution with iterative collaboration) for BasicSR.

Importing this package registers its architectures, losses, datasets, models and metrics in BasicSR's registries, and
makes ``import basicsr`` work on any torchvision. BasicSR's own option loader does so through one line that every
shipped option file begins with: ``plugin: !!python/name:dic_plugin.__version__``.

To restore faces: ``from dic_plugin import FaceRestorer``.
"""
from typing import Any

from dic_plugin import compat
from dic_plugin.version import __version__

compat.apply()

# BasicSR may be imported only now; importing these packages fills its registries.
from dic_plugin import archs, data, losses, metrics, models  # noqa: E402,F401 isort:skip

__all__ = ['FaceRestorer', '__version__']


def __getattr__(name: str) -> Any:
    # not at the top: training has no use for it
    if name == 'FaceRestorer':
        from dic_plugin.inference.restorer import FaceRestorer
        return FaceRestorer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
