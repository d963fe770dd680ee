"""What the tables show of a run: every column with its title, format, direction, meaning and source."""
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Union

import numpy as np

from dic_plugin.benchmark.plan import OWN
from dic_plugin.benchmark.run import Outcome
from dic_plugin.benchmark.stages import Run
from dic_plugin.evaluation.landmark_errors import ERROR_PROTOCOLS
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.evaluation.summary import ERROR_LIMIT, Estimate, estimate

Value = Union[None, float, Estimate]


class Column(NamedTuple):
    """A column of the tables.

    Attributes:
        key: its name in CSV and JSON.
        title: for people.
        form: format of a number.
        better: 'higher', 'lower' or None.
        meaning: what it is, in words.
        value: of a run; None if it is not known.
        measure: the figures per image behind it (a key of measured's values); None for costs.
    """
    key: str
    title: str
    form: str
    better: Optional[str]
    meaning: str
    value: Callable[[Run], Value]
    measure: Optional[str] = None


def columns(outcome: Outcome) -> List[Column]:
    """All columns of a benchmark, in order: quality first, then cost."""
    plan = outcome.plan
    protocol = plan.protocols[0]
    quality = [
        _measured('psnr', 'PSNR (dB)', '.2f', 'higher', f'{protocol}: {PROTOCOLS[protocol].description}',
                  f'psnr_{protocol}', f'psnr_{protocol}'),
        _measured('ssim', 'SSIM', '.4f', 'higher', f'as PSNR, {protocol}', f'ssim_{protocol}', f'ssim_{protocol}'),
    ]
    judges = {each.name: each.title for each in plan.evaluators if each.name in outcome.evaluators}
    for name, title in judges.items():
        measure = f'nrmse_{plan.landmark_error}@{name}'
        by = f', {name.replace("_", " ")}' if len(judges) > 1 else ''
        suffix = f'_{name}' if len(judges) > 1 else ''
        found = f'landmarks found on the results by the evaluator "{title}", which is no part of any model'
        quality += [
            _measured(f'nrmse{suffix}', f'NRMSE{by}', '.4f', 'lower',
                      f'error of {found}; {ERROR_PROTOCOLS[plan.landmark_error].description}', measure, measure),
            _measured(f'failure_rate{suffix}', f'Failures{by}', '.3f', 'lower',
                      f'part of the faces with an NRMSE above {ERROR_LIMIT:g}; {found}',
                      f'failure_rate_{plan.landmark_error}@{name}', None),
        ]
    own = f'nrmse_{plan.landmark_error}@{OWN}'
    if any(own in row.run.measured.get('values', {}) for row in outcome.rows):
        quality.append(
            _measured(
                'nrmse_own', 'NRMSE, own', '.4f', 'lower', 'error of the landmarks that the model itself finds; '
                f'{ERROR_PROTOCOLS[plan.landmark_error].description}', own, own))
    for name, metric in plan.metrics.items():
        quality.append(
            _measured(name, metric.get('title', name), f'.{metric.get("digits", 4)}f', metric['better'],
                      f'{metric["type"]}, as the plan says', name, name))
    return quality + _costs(plan.speed_batch_size)


def _measured(key: str, title: str, form: str, better: str, meaning: str, reported: str,
              measure: Optional[str]) -> Column:

    def value(run: Run) -> Value:
        found = run.measured.get('estimates', {}).get(reported)
        return None if found is None else Estimate(**found)

    return Column(key, title, form, better, meaning, value, measure)


def _costs(batch_size: int) -> List[Column]:

    def of_cost(name: str, unit: float) -> Callable[[Run], Value]:

        def value(run: Run) -> Value:
            found = run.cost.get(name)
            return None if found is None else found / unit

        return value

    def minutes(run: Run) -> Value:
        return None if run.training_seconds is None else run.training_seconds / 60

    return [
        Column('params', 'Parameters (M)', '.2f', 'lower', 'of the network as it is trained, in millions',
               of_cost('params', 1e6)),
        Column(
            'gflop', 'GFLOP', '.2f', 'lower',
            'operations for one face, a multiplication and an addition being two; convolutions, matrix products and '
            'attention', of_cost('flops', 1e9)),
        Column('faces_per_second', 'Faces/s', '.1f', 'higher',
               f'on this device, {batch_size} faces at a time; the median pass', of_cost('images_per_second', 1)),
        Column('memory', 'Memory (MiB)', '.0f', 'lower',
               f'most that parameters and a pass of {batch_size} faces need beyond the bare process',
               of_cost('peak_memory', 2**20)),
        Column(
            'training_minutes', 'Training (min)', '.1f', 'lower',
            'iterations times the median time of one; without validation, and for a model that starts from another '
            "without the other's", minutes),
    ]


def budget(run: Run, models: Dict[str, Any]) -> str:
    """How long a run was trained, in words; ``models``: the plan's."""
    model = run.model
    if model.untrained:
        return 'none'
    if model.weights is not None:
        return 'given weights'
    start = models.get(model.starts_from)
    before = ''
    if start is not None:
        before = f'{start.iterations} ({start.title}) + ' if start.is_trained_here else f'{start.title} + '
    return f'{before}{model.iterations}'


def difference(run: Run, base: Run, column: Column) -> Optional[Estimate]:
    """Mean over images of what a run has more than another, with its interval; None if one of them has no figures.

    The images are the same, so that this interval is far narrower than those of the two means.
    """
    figures = [each.measured.get('values', {}).get(column.measure) for each in (run, base)]
    if None in figures:
        return None
    ours, theirs = (np.array([np.nan if value is None else value for value in series], float) for series in figures)
    return estimate(ours - theirs)
