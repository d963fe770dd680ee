"""Seconds per iteration and validation curves, read from BasicSR's training log.

An interval ends at a line that reports an iteration and begins at the line before it, whichever that is. Validation and
saving, which write lines of their own, are therefore excluded, and so is everything before the first iteration. The
first epoch, in which synthetic faces are drawn, counts only if there is no other.
"""
import re
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Optional, Tuple

_LINE = re.compile(r'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) \w+: (.*)')
_ITERATION = re.compile(r'\[.*\[epoch:\s*([\d,]+), iter:\s*([\d,]+)')
_START = re.compile(r'Start training from epoch: \d+, iter: (\d+)')
_METRIC = re.compile(r'\s+# (\S+): (\S+)')


class TrainingLog(NamedTuple):
    """The history of a training.

    Attributes:
        seconds_per_iteration: The median over the intervals, which pauses do not change; None without intervals.
        first_epoch_only: Whether the training ended within its first epoch.
        curves: By metric, (iteration, value) in order.
    """
    seconds_per_iteration: Optional[float]
    first_epoch_only: bool
    curves: Dict[str, List[Tuple[int, float]]]


def read_training_log(experiment: Path, total_iter: int) -> TrainingLog:
    """Read all logs in an experiment folder; later logs of a resumed training replace the figures of earlier ones.

    Args:
        experiment: BasicSR's experiment folder.
        total_iter: The iteration of the validation after the end.
    """
    seconds: Dict[int, Tuple[int, float]] = {}  # epoch and seconds per iteration, by iteration
    curves: Dict[str, Dict[int, float]] = {}
    for path in sorted(experiment.glob('train_*.log')):
        before: Optional[datetime] = None
        iteration: Optional[int] = None
        validates = False
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            stamped, metric = _LINE.match(line), _METRIC.match(line)
            if stamped is None:
                if validates and metric and iteration is not None:
                    curves.setdefault(metric[1], {})[iteration] = float(metric[2])
                continue
            now, text = datetime.strptime(stamped[1], '%Y-%m-%d %H:%M:%S,%f'), stamped[2]
            validates = text.startswith('Validation ')
            if start := _START.match(text):
                iteration = int(start[1])
            elif reported := _ITERATION.match(text):
                epoch, current = (int(number.replace(',', '')) for number in reported.groups())
                if before is not None and iteration is not None and current > iteration:
                    seconds[current] = epoch, (now - before).total_seconds() / (current - iteration)
                iteration = current
            elif text.startswith('End of training'):
                iteration = total_iter
            before = now
    later = [each for epoch, each in seconds.values() if epoch > 0]
    counted = later or [each for _, each in seconds.values()]
    return TrainingLog(
        median(counted) if counted else None, not later, {
            name: sorted(curve.items())
            for name, curve in curves.items()
        })
