"""The tables as Markdown, CSV and JSON. Quoted figures stand apart from measured ones everywhere."""
import csv
import io
import json
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from dic_plugin import __version__
from dic_plugin.benchmark.columns import Column, Value, budget, columns, difference
from dic_plugin.benchmark.run import Outcome
from dic_plugin.benchmark.stages import Run
from dic_plugin.evaluation.output import DEFINITIONS
from dic_plugin.evaluation.summary import LEVEL, NUM_RESAMPLES, SEED, Estimate

QUOTED = 'Quoted, not measured here'
UNCONFIRMED = 'unconfirmed: the publication could not be checked'


# ---------------------------------------------------------------- words
def headings(outcome: Outcome) -> Dict[str, str]:
    """What the tables that there are are called, by 'iterations' and 'time'."""
    found = {'iterations': 'Equal iterations'}
    if outcome.of('time'):
        found['time'] = f'Equal training time (about {outcome.seconds / 60:.1f} minutes each)'
    return found


def facts(outcome: Outcome, date: str) -> List[str]:
    """What the figures are of, one line each."""
    plan = outcome.plan
    batches = {
        model.options['datasets']['train']['batch_size_per_gpu']
        for model in plan.models.values() if model.is_trained_here
    }
    lines = [
        f'{date}; {outcome.machine}; dic_plugin {__version__}.',
        f'{len(outcome.test_set.names)} test images; every model got the same low-quality files.',
    ]
    if len(batches) == 1:
        lines.append(f'Batches of {batches.pop()} in training; one training each: figures vary with its seed, too.')
    elif batches:
        lines.append(
            f'Batches differ ({min(batches)} to {max(batches)} images): equal iterations are not as many images.')
    lines += _facts_of_time(outcome)
    lines.append(f'In brackets: {LEVEL:.0%} bootstrap interval of the mean over images ({NUM_RESAMPLES} resamples, '
                 f'seed {SEED}).')
    return lines + outcome.warnings


def _facts_of_time(outcome: Outcome) -> List[str]:
    """Which training times are not what the others are."""
    lines = []
    drawing = [run.model.title for run in outcome.of('iterations') if run.training.get('first_epoch_only')]
    if drawing:
        lines.append(
            'Training ended within its first epoch, in which faces are drawn or read for the first time; its time is '
            f'too long, most of all for fast models: {", ".join(drawing)}.')
    for run in {row.run.name: row.run for row in outcome.rows}.values():
        machine = run.training.get('machine', outcome.machine)
        if machine != outcome.machine:
            lines.append(
                f'{run.name} was trained elsewhere ({run.training["date"]}; {machine}): its training time does '
                'not compare.')
    return lines


def cell(value: Value, form: str) -> str:
    """A number with its interval, as text."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return '-'
    if isinstance(value, Estimate):
        if np.isnan(value.mean):
            return '-'
        interval = '' if np.isnan(value.low) else f' [{value.low:{form}}, {value.high:{form}}]'
        return f'{value.mean:{form}}{interval}'
    return f'{value:{form}}'


def mean_of(value: Value) -> Optional[float]:
    """The number alone; None if there is none."""
    number = value.mean if isinstance(value, Estimate) else value
    return None if number is None or np.isnan(number) else float(number)


def best(runs: Sequence[Run], column: Column) -> Optional[float]:
    """The best figure of measured quality in a column; None where all are equal, and for costs, where bicubic wins."""
    numbers = [number for number in (mean_of(column.value(run)) for run in runs) if number is not None]
    if column.better is None or column.key in COSTS or len(set(numbers)) < 2:
        return None
    return max(numbers) if column.better == 'higher' else min(numbers)


DIFFERENCES = {'iterations': 'iterations', 'time': 'training time'}
COSTS = ('params', 'gflop', 'faces_per_second', 'memory', 'training_minutes')


# ---------------------------------------------------------------- Markdown
def markdown(outcome: Outcome, date: str) -> str:
    """Everything as a page of Markdown."""
    shown = columns(outcome)
    lines = [f'# {outcome.plan.title}', '', *(f'- {line}' for line in facts(outcome, date))]
    for table, heading in headings(outcome).items():
        lines += ['', f'## {heading}', '', *_markdown_rows(outcome, outcome.of(table), shown)]
    lines += _markdown_notes(outcome)
    for table in headings(outcome):
        lines += _markdown_differences(outcome, shown, table)
    lines += _markdown_references(outcome.plan.references)
    lines += ['', '## Columns', '', *(f'- {column.title}: {column.meaning}.' for column in shown)]
    return '\n'.join(lines) + '\n'


def _markdown_rows(outcome: Outcome, runs: Sequence[Run], shown: Sequence[Column]) -> List[str]:
    lines = _markdown_head(['Model', 'Iterations', *(column.title for column in shown)])
    tops = {column.key: best(runs, column) for column in shown}
    for run in runs:
        cells = []
        for column in shown:
            value = column.value(run)
            text = cell(value, column.form)
            cells.append(f'**{text}**' if tops[column.key] is not None and mean_of(value) == tops[column.key] else text)
        title = run.model.title + (f' (failed: {_one_line(run.failed)})' if run.failed else '')
        lines.append(_markdown_line([title, budget(run, outcome.plan.models), *cells]))
    return lines


def _markdown_notes(outcome: Outcome) -> List[str]:
    notes = [f'- {model.title}: {model.note}' for model in outcome.plan.models.values() if model.note]
    return ['', *notes] if notes else []


def _markdown_differences(outcome: Outcome, shown: Sequence[Column], table: str) -> List[str]:
    rows = differences(outcome, shown, table)
    if not rows:
        return []
    compared = [column for column in shown if column.measure]
    title = outcome.plan.models[outcome.plan.compare_with].title
    lines = [
        '', f'## Less or more than {title}, at equal {DIFFERENCES[table]}', '',
        'Means over the same images, image by image; an interval without 0 is a difference.', ''
    ]
    lines += _markdown_head(['Model', *(column.title for column in compared)])
    for name, found in rows.items():
        cells = [cell(found[column.key], '+' + column.form) for column in compared]
        lines.append(_markdown_line([outcome.plan.models[name].title, *cells]))
    return lines


def _markdown_references(references: Sequence[Mapping[str, Any]]) -> List[str]:
    if not references:
        return []
    lines = ['', f'## {QUOTED}', '', *_markdown_head(['Model', 'Data', 'PSNR (dB)', 'SSIM', 'Source', ''])]
    for row in references:
        lines.append(
            _markdown_line([
                row['model'], row['data'],
                cell(row.get('psnr'), '.2f'),
                cell(row.get('ssim'), '.4f'), row['source'], '' if row['confirmed'] else UNCONFIRMED
            ]))
    return lines


def _markdown_head(titles: Sequence[str]) -> List[str]:
    return [_markdown_line(titles), '| --- ' * len(titles) + '|']


def _markdown_line(cells: Sequence[Any]) -> str:
    return '| ' + ' | '.join(_one_line(str(text)).replace('|', '\\|') for text in cells) + ' |'


def _one_line(text: Optional[str]) -> str:
    return ' '.join((text or '').split())


def differences(outcome: Outcome, shown: Sequence[Column], table: str) -> Dict[str, Dict[str, Optional[Estimate]]]:
    """By model and column, what it has more than the plan's ``compare_with`` in one of the tables."""
    runs = {run.model.name: run for run in outcome.of(table)}
    base = runs.get(outcome.plan.compare_with)
    if base is None or not base.measured:
        return {}
    return {
        name: {
            column.key: difference(run, base, column)
            for column in shown if column.measure
        }
        for name, run in runs.items() if run is not base and run.measured
    }


# ---------------------------------------------------------------- files for programs
def csv_text(outcome: Outcome) -> str:
    """One line per row of both tables; intervals in ``<column>_low`` and ``<column>_high``. Nothing quoted is in it."""
    shown = columns(outcome)
    names = ['table', 'model', 'title', 'iterations', 'starts_from']
    for column in shown:
        names += [column.key] + ([f'{column.key}_low', f'{column.key}_high'] if column.key not in COSTS else [])
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, 'failed'], lineterminator='\n')
    writer.writeheader()
    for row in outcome.rows:
        line = dict(_identity(row.table, row.run), failed=row.run.failed)
        for column in shown:
            value = column.value(row.run)
            line[column.key] = mean_of(value)
            if isinstance(value, Estimate):
                line.update({f'{column.key}_low': _plain(value.low), f'{column.key}_high': _plain(value.high)})
        writer.writerow(line)
    return text.getvalue()


def json_text(outcome: Outcome, date: str) -> str:
    """Everything, by every protocol: rows, differences, curves, definitions; quoted figures under their own key."""
    shown = columns(outcome)
    content = dict(
        name=outcome.plan.name,
        title=outcome.plan.title,
        date=date,
        machine=outcome.machine,
        dic_plugin=__version__,
        num_images=len(outcome.test_set.names),
        images=outcome.test_set.names,
        training_time=outcome.seconds,
        columns=[
            dict(key=column.key, title=column.title, better=column.better, meaning=column.meaning) for column in shown
        ],
        definitions={name: DEFINITIONS[name]
                     for name in (*outcome.plan.protocols, outcome.plan.landmark_error)},
        rows=[
            dict(
                _identity(row.table, row.run),
                budget=budget(row.run, outcome.plan.models),
                note=row.run.model.note,
                failed=row.run.failed,
                values={column.key: _plain(column.value(row.run))
                        for column in shown},
                estimates=_plain(row.run.measured.get('estimates', {})),
                per_image=_plain(row.run.measured.get('values', {})),
                training=_plain(row.run.training),
                cost=_plain(row.run.cost)) for row in outcome.rows
        ],
        compared_with=outcome.plan.compare_with,
        differences=_plain({table: differences(outcome, shown, table)
                            for table in headings(outcome)}),
        quoted=outcome.plan.references,
        warnings=outcome.warnings)
    return json.dumps(content, indent=1, allow_nan=False) + '\n'


def _identity(table: str, run: Run) -> Dict[str, Any]:
    return dict(
        table=table,
        model=run.model.name,
        title=run.model.title,
        iterations=run.model.iterations,
        starts_from=run.model.starts_from)


def _plain(value: Any) -> Any:
    """A value as strict JSON has it: NaN and infinity become None."""
    if isinstance(value, Estimate):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
