"""Growth of time and memory with batch size, steps, projection groups and input size."""
from os import path as osp
from typing import Any, Dict, List, NamedTuple, Sequence

import torch

from dic_plugin.archs import DIC
from dic_plugin.ops import lay_out_weights
from speed_parts.memory import peak_memory
from take_turns import take_turns

AXES = {
    'batch': (1, 2, 4, 8, 16, 32),
    'num_steps': (1, 2, 3, 4, 6),
    'num_groups': (1, 2, 4, 6, 8),
    'size': (8, 16, 24, 32),
}
TITLES = {
    'batch': 'faces in a batch',
    'num_steps': 'steps',
    'num_groups': 'projection groups',
    'size': 'input height and width',
}


class Cost(NamedTuple):
    """Cost of one forward pass.

    Attributes:
        axis, value: what was changed, and to what; all else is the paper's, with one face of 16x16.
        seconds: per face, median.
        megabytes: peak memory beyond network and input, of the batch.
        train_megabytes: the same of a training step.
    """
    axis: str
    value: int
    seconds: float
    megabytes: float
    train_megabytes: float


def measure_growth(rounds: int,
                   axes: Dict[str, Sequence[int]],
                   options: Dict[str, Any],
                   most_trained: int = 8) -> List[Cost]:
    """Measure along every axis on the CPU.

    Args:
        rounds: how often each is timed. All values of an axis take turns.
        axes: values of ``batch``, ``size`` or an option of DIC.
        options: DIC's options where they are not the axis.
        most_trained: largest batch of which a training step is measured, others get NaN.
    """
    costs = []
    for axis, values in axes.items():
        cases = [dict(batch=1, size=16, **options) for _ in values]
        for case, value in zip(cases, values):
            case[axis] = value
        ways = {}
        for value, case in zip(values, cases):
            torch.manual_seed(0)
            given = {name: option for name, option in case.items() if name not in ('batch', 'size')}
            network = lay_out_weights(DIC(hg_from_scratch=True, **given).eval())
            lq = torch.rand(case['batch'], 3, case['size'], case['size'])
            ways[value] = lambda network=network, lq=lq: network(lq)
        with torch.no_grad():
            seconds = take_turns(ways, rounds)
        for value, case in zip(values, cases):
            trained = peak_memory(train=True, **case) if case['batch'] <= most_trained else float('nan')
            costs.append(Cost(axis, value, seconds[value] / case['batch'], peak_memory(**case), trained))
    return costs


def plot_growth(costs: Sequence[Cost], path: str) -> None:
    """Draw time and memory along every axis into a PNG."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    axes = list(dict.fromkeys(cost.axis for cost in costs))
    figure, rows = plt.subplots(2, len(axes), figsize=(3.2 * len(axes), 5), squeeze=False, sharey='row')
    for column, axis in enumerate(axes):
        line = [cost for cost in costs if cost.axis == axis]
        values = [cost.value for cost in line]
        rows[0][column].plot(values, [cost.seconds for cost in line], 'o-')
        rows[1][column].plot(values, [cost.megabytes for cost in line], 'o-', label='inference')
        rows[1][column].plot(values, [cost.train_megabytes for cost in line], 's--', label='training')
        rows[1][column].set_xlabel(TITLES.get(axis, axis))
        rows[1][column].set_yscale('log')
        for row in rows:
            row[column].grid(alpha=0.3)
    rows[0][0].set_ylim(bottom=0)
    rows[0][0].set_ylabel('seconds a face')
    rows[1][0].set_ylabel('peak memory, MB')
    rows[1][0].legend()
    figure.tight_layout()
    figure.savefig(osp.abspath(path), dpi=100)
    plt.close(figure)
