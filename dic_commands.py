"""The commands ``dic-train`` and ``dic-test``, in a module that loads nothing, because OpenMP reads its settings once.

Idle OpenMP threads of torch wait actively by default. If another process needs one of the cores, this makes a training
several times slower (docs/performance.md); sleeping threads cost little on a quiet machine.
"""
import os
from typing import Optional

__all__ = ['test', 'train']


def train(root: Optional[str] = None) -> int:
    """Train with BasicSR; see :func:`dic_plugin.launch.train`. OMP_WAIT_POLICY is passive unless it is set."""
    _let_idle_threads_sleep()
    from dic_plugin import launch
    return launch.train(root)


def test(root: Optional[str] = None) -> int:
    """Test with BasicSR; see :func:`dic_plugin.launch.test`. OMP_WAIT_POLICY is passive unless it is set."""
    _let_idle_threads_sleep()
    from dic_plugin import launch
    return launch.test(root)


def _let_idle_threads_sleep() -> None:
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
