"""What BasicSR's log of a training tells: seconds per iteration, and validation by iteration.

Time is measured between a line of the log that reports an iteration and the line before it, so that validation and
saving, which have lines of their own, do not count; nor does what happens before the first iteration. The first epoch
counts only where there is no other: synthetic faces are drawn in it, which can double the time of a fast network.
"""
import re
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Optional, Tuple

_LINE = re.compile(r'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) \w+: (.*)')
_ITERATION = re.compile(r'\[.*\[epoch:\s*([\d,]+), iter:\s*([\d,]+)')
_METRIC = re.compile(r'\s+# (\S+): (\S+)')


class TrainingLog(NamedTuple):
    """A training's history.

    Attributes:
        seconds_per_iteration: the median over the log's intervals, which a pause does not change; None where the log
            has no interval.
        first_epoch_only: the training ended within its first epoch.
        curves: by metric, (iteration, value) in order.
    """
    seconds_per_iteration: Optional[float]
    first_epoch_only: bool
    curves: Dict[str, List[Tuple[int, float]]]


def read_training_log(experiment: Path, total_iter: int) -> TrainingLog:
    """Read all logs in an experiment folder; a resumed training has several, of which later ones count.

    Args:
        experiment: BasicSR's experiment folder.
        total_iter: at which the validation after the end is entered.
    """
    speeds: Dict[int, Tuple[int, float]] = {}  # epoch and seconds per iteration by iteration
    curves: Dict[str, Dict[int, float]] = {}
    for path in sorted(experiment.glob('train_*.log')):
        _read(path, total_iter, speeds, curves)
    later = [seconds for epoch, seconds in speeds.values() if epoch > 0]
    counted = later or [seconds for _, seconds in speeds.values()]
    return TrainingLog(
        median(counted) if counted else None, not later, {
            metric: sorted(curve.items())
            for metric, curve in curves.items()
        })


def _read(path: Path, total_iter: int, speeds: Dict[int, Tuple[int, float]], curves: Dict[str, Dict[int,
                                                                                                    float]]) -> None:
    before, iteration = None, None  # time of the line before; the last iteration reported
    validates = False
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
        stamped = _LINE.match(line)
        if stamped is None:
            metric = _METRIC.match(line)
            if validates and metric and iteration is not None:
                curves.setdefault(metric.group(1), {})[iteration] = float(metric.group(2))
            continue
        now, text = datetime.strptime(stamped.group(1), '%Y-%m-%d %H:%M:%S,%f'), stamped.group(2)
        validates = text.startswith('Validation ')
        reported = _ITERATION.match(text)
        started = re.match(r'Start training from epoch: \d+, iter: (\d+)', text)
        if started:
            iteration = int(started.group(1))
        elif reported:
            epoch, current = (int(number.replace(',', '')) for number in reported.groups())
            if iteration is not None and current > iteration:
                speeds[current] = epoch, (now - before).total_seconds() / (current - iteration)
            iteration = current
        elif text.startswith('End of training'):
            iteration = total_iter
        before = now
