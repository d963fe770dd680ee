"""The commands ``dic-train`` and ``dic-test``: BasicSR's own pipelines, which do exactly what the option file asks for.

Nothing of BasicSR's loops is repeated here. For the time of a run, functions of ours stand in for single functions that
the loops call (see :mod:`dic_plugin.launch.pipeline`): options are checked and everything is built before anything is
written, ``total_iter`` is reached exactly, a run is resumed where it was, stops in order when it is asked to, and
spreads over processes with or without GPUs.
"""
from dic_plugin.launch.pipeline import test, train

__all__ = ['test', 'train']
