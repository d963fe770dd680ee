"""The columns and tables of a benchmark, as data frames, CSV and JSON. Quoted figures are never among measured ones."""
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import pandas as pd

from dic_plugin import __version__
from dic_plugin.benchmark.outcome import Outcome
from dic_plugin.benchmark.plan import OWN, ModelPlan
from dic_plugin.benchmark.stages import Run
from dic_plugin.evaluation.output import DEFINITIONS
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.evaluation.summary import ERROR_LIMIT, Estimate, estimate
from dic_plugin.landmarks.errors import ERROR_PROTOCOLS
from dic_plugin.utils.atomic_write import strict_json

Value = Union[None, float, Estimate]


class Column(NamedTuple):
    """A column of the tables.

    Attributes:
        key: Its name in CSV and JSON.
        title: Its title in the report.
        form: The format of its numbers.
        better: 'higher' or 'lower'.
        meaning: Its definition.
        source: The key of its estimate (see measure) or, for a cost, of measure_cost's result.
        unit: For costs, which have no interval and no best value: what a number is divided by.
        is_compared: Whether its figures for each image are kept, under the same key, for differences.
    """
    key: str
    title: str
    form: str
    better: str
    meaning: str
    source: str
    unit: Optional[float] = None
    is_compared: bool = True

    def value(self, run: Run) -> Value:
        """Return the value for a run, or None."""
        if self.unit is None:
            found = run.measured.get('estimates', {}).get(self.source)
            return None if found is None else Estimate(**found)
        cost = {**run.cost, 'training_seconds': run.training_seconds}.get(self.source)
        return None if cost is None else cost / self.unit


class Cell(NamedTuple):
    """A cell of a table: a number as text, with '[low, high]' or ''; without a number its text is '-'."""
    number: Optional[float]
    text: str
    interval: str
    is_best: bool


def columns(outcome: Outcome) -> List[Column]:
    """Return all columns of a benchmark, in order: quality, then cost."""
    plan = outcome.plan
    protocol, error, faces = plan.protocols[0], plan.landmark_error, f'{plan.speed_batch_size} faces'
    definition = ERROR_PROTOCOLS[error].description
    shown = [
        Column('psnr', 'PSNR (dB)', '.2f', 'higher', f'{protocol}: {PROTOCOLS[protocol].description}',
               f'psnr_{protocol}'),
        Column('ssim', 'SSIM', '.4f', 'higher', f'as PSNR, {protocol}', f'ssim_{protocol}'),
    ]  # yapf: disable
    judges = {each.name: each.title for each in plan.evaluators if each.name in outcome.evaluators}
    for name, title in judges.items():
        suffix, by = (f'_{name}', f', {name.replace("_", " ")}') if len(judges) > 1 else ('', '')
        found = f'landmarks found on the results by the evaluator "{title}", which is not part of any model'
        shown += [
            Column(f'nrmse{suffix}', f'NRMSE{by}', '.4f', 'lower', f'error of {found}; {definition}',
                   f'nrmse_{error}@{name}'),
            Column(f'failure_rate{suffix}', f'Failures{by}', '.3f', 'lower',
                   f'fraction of the faces with an NRMSE above {ERROR_LIMIT:g}; {found}',
                   f'failure_rate_{error}@{name}', is_compared=False),
        ]  # yapf: disable
    own = Column('nrmse_own', 'NRMSE, own', '.4f', 'lower',
                 f'error of the landmarks that the model itself finds; {definition}', f'nrmse_{error}@{OWN}')
    if any(own.value(row.run) for row in outcome.rows):
        shown.append(own)
    shown += [
        Column(name, metric['title'], f'.{metric["digits"]}f', metric['better'],
               f'the metric {metric["type"]}, with the options of the plan', name)
        for name, metric in plan.metrics.items()
    ]  # yapf: disable
    costs: Sequence[Tuple[Any, ...]] = (
        ('params', 'Parameters (M)', '.2f', 'lower', 'of the network as it is trained, in millions', 'params', 1e6),
        ('gflop', 'GFLOP', '.2f', 'lower', 'operations for one face, of convolutions, matrix products and attention; a '
         'multiplication and an addition count as two', 'flops', 1e9),
        ('faces_per_second', 'Faces/s', '.1f', 'higher', f'on this device, {faces} at a time; the median pass',
         'images_per_second', 1),
        ('memory', 'Memory (MiB)', '.0f', 'lower', f'peak of the parameters and a pass of {faces}, beyond the bare '
         'process', 'peak_memory', 2**20),
        ('training_minutes', 'Training (min)', '.1f', 'lower', 'iterations times the median time of one; without '
         'validation, and without the training of the model that it starts from', 'training_seconds', 60),
    )  # yapf: disable
    return shown + [Column(*cost, is_compared=False) for cost in costs]  # type: ignore[misc]


def mean_of(value: Value) -> Optional[float]:
    """Return the number without its interval; None if there is none."""
    number = value.mean if isinstance(value, Estimate) else value
    return None if number is None or np.isnan(number) else float(number)


def budget(run: Run, models: Mapping[str, ModelPlan]) -> str:
    """Return the length of a run's training in words; ``models``: those of the plan."""
    model = run.model
    if model.untrained:
        return 'none'
    if model.weights is not None:
        return 'given weights'
    start = models.get(model.starts_from or '')
    if start is None:
        return f'{model.iterations}' + ('' if run.gain is None else f' (the last doubling: {run.gain:+.2f} dB)')
    before = f'{start.iterations} ({start.title})' if start.is_trained_here else start.title
    return f'{before} + {model.iterations}'


def table(outcome: Outcome, shown: Sequence[Column]) -> pd.DataFrame:
    """Return one line per row of both tables, with intervals in ``<column>_low`` and ``<column>_high``."""
    return pd.DataFrame([{
        **_identity(name, run),
        **_numbers({column: column.value(run) for column in shown}), 'failed': run.failed
    } for name, run in outcome.rows])  # yapf: disable


def _identity(name: str, run: Run) -> Dict[str, Any]:
    model = run.model
    return dict(
        table=name, model=model.name, title=model.title, iterations=model.iterations, starts_from=model.starts_from)


def _numbers(values: Mapping[Column, Value]) -> Dict[str, Optional[float]]:
    numbers: Dict[str, Optional[float]] = {}
    for column, value in values.items():
        numbers[column.key] = mean_of(value)
        if column.unit is None:
            for end in ('low', 'high'):
                numbers[f'{column.key}_{end}'] = getattr(value, end, None)
    return numbers


def differences(outcome: Outcome, shown: Sequence[Column], name: str) -> Dict[str, Dict[Column, Optional[Estimate]]]:
    """Return the differences from the plan's ``compare_with`` in one of the tables, by model and column.

    They are means over images of the difference for each image, whose intervals are far narrower than those of the two
    means. None where one of the two models has no figures.
    """
    runs = {run.model.name: run for run in outcome.of(name) if run.measured}
    base = runs.pop(outcome.plan.compare_with or '', None)
    if base is None:
        return {}

    def difference(run: Run, column: Column) -> Optional[Estimate]:
        series = [each.measured['values'].get(column.source) for each in (run, base)]
        return None if None in series else estimate(np.subtract(*(np.array(each, float) for each in series)))

    compared = [column for column in shown if column.is_compared]
    return {model: {column: difference(run, column) for column in compared}
            for model, run in runs.items()}  # yapf: disable


def difference_table(found: Mapping[str, Mapping[Column, Value]]) -> pd.DataFrame:
    """Return the differences as a frame like that of ``table``, with models as its index."""
    return pd.DataFrame.from_dict({model: _numbers(values) for model, values in found.items()}, orient='index')


def cells(frame: pd.DataFrame, shown: Sequence[Column], sign: str = '') -> List[List[Cell]]:
    """Return the cells of a frame by row; the best of several different qualities are marked.

    Args:
        frame: A frame of ``table`` or ``difference_table``.
        shown: Its columns.
        sign: '+' for differences, of which none is marked.
    """
    rows = []
    for _, row in frame.iterrows():
        found = []
        for column in shown:
            number, form = row[column.key], sign + column.form
            if pd.isna(number):
                found.append(Cell(None, '-', '', False))
                continue
            low, high = (row.get(f'{column.key}_{end}') for end in ('low', 'high'))
            interval = '' if pd.isna(low) else f'[{low:{form}}, {high:{form}}]'
            best = frame[column.key].max() if column.better == 'higher' else frame[column.key].min()
            is_ranked = not (sign or column.unit) and frame[column.key].nunique() > 1
            found.append(Cell(number, f'{number:{form}}', interval, is_ranked and number == best))
        rows.append(found)
    return rows


def json_content(outcome: Outcome, shown: Sequence[Column], date: str) -> Dict[str, Any]:
    """Return everything as JSON values, under all protocols; quoted figures have their own key."""
    plan = outcome.plan
    rows = [{
        **_identity(name, run), 'budget': budget(run, plan.models), 'note': run.model.note, 'failed': run.failed,
        'gain': run.gain, 'values': {column.key: column.value(run) for column in shown},
        'estimates': run.measured.get('estimates', {}), 'per_image': run.measured.get('values', {}),
        'training': run.training, 'cost': run.cost
    } for name, run in outcome.rows]  # yapf: disable
    compared = {
        name: {model: {column.key: value for column, value in values.items()}
               for model, values in differences(outcome, shown, name).items()}
        for name in outcome.tables
    }  # yapf: disable
    content = dict(
        name=plan.name,
        title=plan.title,
        date=date,
        machine=outcome.machine,
        dic_plugin=__version__,
        num_images=len(outcome.test_set.names),
        images=outcome.test_set.names,
        training_time=outcome.seconds,
        columns=[{key: getattr(column, key) for key in ('key', 'title', 'better', 'meaning')} for column in shown],
        definitions={name: DEFINITIONS[name] for name in (*plan.protocols, plan.landmark_error)},
        rows=rows,
        compared_with=plan.compare_with,
        differences=compared,
        quoted=plan.references,
        warnings=outcome.warnings)  # yapf: disable
    return strict_json(content)
