"""What BasicSR's log of a training tells: seconds per iteration, and validation by iteration.

Time is measured between a line of the log that reports an iteration and the line before it, so that validation and
saving, which have lines of their own, do not count; nor does what happens before the first iteration.
"""
import re
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Optional, Tuple

_LINE = re.compile(r'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) \w+: (.*)')
_ITERATION = re.compile(r'\[.*\[epoch:.*iter:\s*([\d,]+)')
_METRIC = re.compile(r'\s+# (\S+): (\S+)')


class TrainingLog(NamedTuple):
    """A training's history.

    Attributes:
        seconds_per_iteration: the median over the log's intervals, which a pause or the first epoch, when faces are
            drawn, does not change; None where the log has no interval.
        curves: by metric, (iteration, value) in order.
    """
    seconds_per_iteration: Optional[float]
    curves: Dict[str, List[Tuple[int, float]]]


def read_training_log(experiment: Path, total_iter: int) -> TrainingLog:
    """Read all logs in an experiment folder; a resumed training has several, of which later ones count.

    Args:
        experiment: BasicSR's experiment folder.
        total_iter: at which the validation after the end is entered.
    """
    speeds: Dict[int, float] = {}
    curves: Dict[str, Dict[int, float]] = {}
    for path in sorted(experiment.glob('train_*.log')):
        _read(path, total_iter, speeds, curves)
    return TrainingLog(
        median(speeds.values()) if speeds else None, {
            metric: sorted(curve.items())
            for metric, curve in curves.items()
        })


def _read(path: Path, total_iter: int, speeds: Dict[int, float], curves: Dict[str, Dict[int, float]]) -> None:
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
            current = int(reported.group(1).replace(',', ''))
            if iteration is not None and current > iteration:
                speeds[current] = (now - before).total_seconds() / (current - iteration)
            iteration = current
        elif text.startswith('End of training'):
            iteration = total_iter
        before = now
