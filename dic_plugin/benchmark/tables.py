"""The columns and tables of a benchmark, as data frames, CSV and JSON. Quoted figures are never among measured ones."""
import json
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np
import pandas as pd

from dic_plugin import __version__
from dic_plugin.benchmark.plan import OWN, ModelPlan
from dic_plugin.benchmark.run import Outcome
from dic_plugin.benchmark.stages import Run
from dic_plugin.evaluation.landmark_errors import ERROR_PROTOCOLS
from dic_plugin.evaluation.output import DEFINITIONS
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.evaluation.summary import ERROR_LIMIT, Estimate, estimate

Value = Union[None, float, Estimate]


class Column(NamedTuple):
    """A column of the tables.

    Attributes:
        key: Its name in CSV and JSON.
        title: Its title in the report.
        form: The format of its numbers.
        better: 'higher' or 'lower'.
        meaning: Its definition.
        value: Returns its value for a run, or None.
        measure: The figures for each image that it is the mean of (a key of ``values`` of measure), if there are any.
        is_cost: Whether it is a cost: a number without interval, for which no best value is marked.
    """
    key: str
    title: str
    form: str
    better: str
    meaning: str
    value: Callable[[Run], Value]
    measure: Optional[str] = None
    is_cost: bool = False


class Cell(NamedTuple):
    """A cell of a table: a number as text, with '[low, high]' or ''; without a number its text is '-'."""
    number: Optional[float]
    text: str
    interval: str
    is_best: bool


# ---------------------------------------------------------------- columns
def columns(outcome: Outcome) -> List[Column]:
    """Return all columns of a benchmark, in order: quality, then cost."""
    plan = outcome.plan
    protocol, error = plan.protocols[0], plan.landmark_error
    defined = ERROR_PROTOCOLS[error].description
    quality = [
        _quality('psnr', 'PSNR (dB)', '.2f', 'higher', f'{protocol}: {PROTOCOLS[protocol].description}',
                 f'psnr_{protocol}'),
        _quality('ssim', 'SSIM', '.4f', 'higher', f'as PSNR, {protocol}', f'ssim_{protocol}'),
    ]
    judges = {each.name: each.title for each in plan.evaluators if each.name in outcome.evaluators}
    for name, title in judges.items():
        suffix, by = (f'_{name}', f', {name.replace("_", " ")}') if len(judges) > 1 else ('', '')
        found = f'landmarks found on the results by the evaluator "{title}", which is not part of any model'
        quality += [
            _quality(f'nrmse{suffix}', f'NRMSE{by}', '.4f', 'lower', f'error of {found}; {defined}',
                     f'nrmse_{error}@{name}'),
            _quality(f'failure_rate{suffix}', f'Failures{by}', '.3f', 'lower',
                     f'fraction of the faces with an NRMSE above {ERROR_LIMIT:g}; {found}',
                     f'failure_rate_{error}@{name}')._replace(measure=None),
        ]  # yapf: disable
    own = f'nrmse_{error}@{OWN}'
    if any(own in row.run.measured.get('values', {}) for row in outcome.rows):
        meaning = f'error of the landmarks that the model itself finds; {defined}'
        quality.append(_quality('nrmse_own', 'NRMSE, own', '.4f', 'lower', meaning, own))
    quality += [
        _quality(name, metric['title'], f'.{metric["digits"]}f', metric['better'],
                 f'the metric {metric["type"]}, with the options of the plan', name)
        for name, metric in plan.metrics.items()
    ]
    faces = f'{plan.speed_batch_size} faces'
    return quality + [
        _cost('params', 'Parameters (M)', '.2f', 'lower', 'of the network as it is trained, in millions',
              lambda run: run.cost.get('params'), 1e6),
        _cost('gflop', 'GFLOP', '.2f', 'lower',
              'operations for one face, of convolutions, matrix products and attention; a multiplication and an '
              'addition count as two', lambda run: run.cost.get('flops'), 1e9),
        _cost('faces_per_second', 'Faces/s', '.1f', 'higher', f'on this device, {faces} at a time; the median pass',
              lambda run: run.cost.get('images_per_second'), 1),
        _cost('memory', 'Memory (MiB)', '.0f', 'lower',
              f'peak of the parameters and a pass of {faces}, beyond the bare process',
              lambda run: run.cost.get('peak_memory'), 2**20),
        _cost('training_minutes', 'Training (min)', '.1f', 'lower',
              'iterations times the median time of one; without validation, and without the training of the model that '
              'it starts from', lambda run: run.training_seconds, 60),
    ]  # yapf: disable


def _quality(key: str, title: str, form: str, better: str, meaning: str, measure: str) -> Column:

    def value(run: Run) -> Value:
        found = run.measured.get('estimates', {}).get(measure)
        return None if found is None else Estimate(**found)

    return Column(key, title, form, better, meaning, value, measure)


def _cost(key: str, title: str, form: str, better: str, meaning: str, read: Callable[[Run], Optional[float]],
          unit: float) -> Column:

    def value(run: Run) -> Value:
        found = read(run)
        return None if found is None else found / unit

    return Column(key, title, form, better, meaning, value, is_cost=True)


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
        return str(model.iterations)
    before = f'{start.iterations} ({start.title})' if start.is_trained_here else start.title
    return f'{before} + {model.iterations}'


# ---------------------------------------------------------------- tables
def table(outcome: Outcome, shown: Sequence[Column]) -> pd.DataFrame:
    """Return one line per row of both tables, with intervals in ``<column>_low`` and ``<column>_high``."""
    return pd.DataFrame([
        dict(
            _identity(row.table, row.run),
            **_numbers({column: column.value(row.run)
                        for column in shown}),
            failed=row.run.failed) for row in outcome.rows
    ])


def _identity(name: str, run: Run) -> Dict[str, Any]:
    model = run.model
    return dict(
        table=name, model=model.name, title=model.title, iterations=model.iterations, starts_from=model.starts_from)


def _numbers(values: Mapping[Column, Value]) -> Dict[str, Optional[float]]:
    numbers: Dict[str, Optional[float]] = {}
    for column, value in values.items():
        numbers[column.key] = mean_of(value)
        if not column.is_cost:
            low, high = (value.low, value.high) if isinstance(value, Estimate) else (None, None)
            numbers.update({f'{column.key}_low': low, f'{column.key}_high': high})
    return numbers


def differences(outcome: Outcome, shown: Sequence[Column], name: str) -> Dict[str, Dict[Column, Optional[Estimate]]]:
    """Return the differences from the plan's ``compare_with`` in one of the tables, by model and column.

    They are means over images of the difference for each image, whose intervals are far narrower than those of the two
    means. None where one of the two models has no figures.
    """
    runs = {run.model.name: run for run in outcome.of(name) if run.measured}
    base = runs.get(outcome.plan.compare_with or '')
    if base is None:
        return {}

    def difference(run: Run, column: Column) -> Optional[Estimate]:
        series = [each.measured['values'].get(column.measure) for each in (run, base)]
        return None if None in series else estimate(np.subtract(*(np.array(each, float) for each in series)))

    compared = [column for column in shown if column.measure]
    return {
        model: {
            column: difference(run, column)
            for column in compared
        }
        for model, run in runs.items() if run is not base
    }


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
            is_ranked = not (sign or column.is_cost) and frame[column.key].nunique() > 1
            found.append(Cell(number, f'{number:{form}}', interval, is_ranked and number == best))
        rows.append(found)
    return rows


# ---------------------------------------------------------------- files for programs
def json_text(outcome: Outcome, shown: Sequence[Column], date: str) -> str:
    """Return everything as JSON, under all protocols; quoted figures have their own key."""
    plan = outcome.plan
    rows = [
        dict(
            _identity(name, run),
            budget=budget(run, plan.models),
            note=run.model.note,
            failed=run.failed,
            values={column.key: column.value(run)
                    for column in shown},
            estimates=run.measured.get('estimates', {}),
            per_image=run.measured.get('values', {}),
            training=run.training,
            cost=run.cost) for name, run in outcome.rows
    ]
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
        differences={
            name: {
                model: {column.key: value for column, value in values.items()}
                for model, values in differences(outcome, shown, name).items()
            } for name in outcome.tables
        },
        quoted=plan.references,
        warnings=outcome.warnings)  # yapf: disable
    return json.dumps(_plain(content), indent=1, allow_nan=False) + '\n'


def _plain(value: Any) -> Any:
    """Return a value as strict JSON: NaN and infinity become None."""
    if isinstance(value, Estimate):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
