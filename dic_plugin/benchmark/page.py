"""The benchmark's page: one HTML file with everything in it, which needs no network."""
import base64
import html
from typing import Dict, List, Mapping, Optional, Sequence

from dic_plugin.benchmark.columns import Column, budget, columns
from dic_plugin.benchmark.page_parts import SCRIPT, STYLE
from dic_plugin.benchmark.plots import DPI, colours
from dic_plugin.benchmark.run import Outcome
from dic_plugin.benchmark.stages import Run
from dic_plugin.benchmark.table import (
    DIFFERENCES,
    QUOTED,
    UNCONFIRMED,
    Value,
    best,
    cell,
    differences,
    facts,
    headings,
    mean_of,
)
from dic_plugin.evaluation.summary import Estimate

PLOT_TITLES = {
    'quality_and_cost': 'Quality against cost',
    'learning_curves': 'Learning curves',
    'cumulative_error': 'Cumulative landmark error',
}


def page(outcome: Outcome, date: str, plots: Mapping[str, bytes], gallery: str) -> str:
    """The whole page.

    Args:
        outcome: what was run.
        date: of the report.
        plots: PNG files by name, see dic_plugin.benchmark.plots.
        gallery: its HTML, or ''.
    """
    shown = columns(outcome)
    title = html.escape(outcome.plan.title)
    listed = ''.join(f'<li>{html.escape(line)}</li>' for line in facts(outcome, date))
    parts = [f'<header><h1>{title}</h1><ul class="facts">{listed}</ul></header>']
    for table, heading in headings(outcome).items():
        notes = _notes(outcome) if table == 'iterations' else ''
        hint = '<p class="hint">Click a column to sort; point at its title to read what it is.</p>'
        parts.append(_section(heading, hint + _table(outcome, outcome.of(table), shown) + notes))
    parts += [_differences(outcome, shown, table) for table in headings(outcome)]
    parts += [_section(PLOT_TITLES[name], _image(name, png)) for name, png in plots.items()]
    parts.append(_gallery(outcome, gallery))
    parts.append(_references(outcome))
    parts.append(_section('Columns', _definitions(shown)))
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
            f'<style>{STYLE}</style></head>\n<body><main>\n' + '\n'.join(filter(None, parts)) +
            f'\n</main><script>{SCRIPT}</script></body></html>\n')


def _section(heading: str, content: str, kind: str = '') -> str:
    return f'<section class="{kind}"><h2>{html.escape(heading)}</h2>{content}</section>'


# ---------------------------------------------------------------- tables
def _table(outcome: Outcome, runs: Sequence[Run], shown: Sequence[Column]) -> str:
    tops = {column.key: best(runs, column) for column in shown}
    colour_of = colours(outcome)
    head = '<th data-words="1">Model</th><th>Iterations</th>' + ''.join(
        f'<th title="{html.escape(column.meaning)}">{html.escape(column.title)}</th>' for column in shown)
    rows = []
    for run in runs:
        failed = f'<span class="failed">{html.escape(run.failed)}</span>' if run.failed else ''
        title, trained = html.escape(run.model.title), html.escape(budget(run, outcome.plan.models))
        cells = [
            f'<td data-value="{title}"><span class="swatch" style="background:{colour_of[run.model.name]}"></span>'
            f'{title}{failed}</td>', f'<td class="budget" data-value="{run.model.iterations}">{trained}</td>'
        ]
        for column in shown:
            value = column.value(run)
            is_best = tops[column.key] is not None and mean_of(value) == tops[column.key]
            cells.append(_cell(value, column.form, 'best' if is_best else ''))
        rows.append(f'<tr>{"".join(cells)}</tr>')
    return _wrapped(head, rows, 'sortable')


def _wrapped(head: str, rows: Sequence[str], kind: str) -> str:
    return (f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
            f'<tbody>{"".join(rows)}</tbody></table></div>')


def _cell(value: Value, form: str, kind: str = '') -> str:
    number = mean_of(value)
    if number is None:
        return '<td data-value="">-</td>'
    interval = ''
    if isinstance(value, Estimate):
        interval = cell(value, form)[len(f'{number:{form}}'):].strip()
        interval = f'<small>{html.escape(interval)}</small>'
    return f'<td class="{kind}" data-value="{number!r}">{number:{form}}{interval}</td>'


def _differences(outcome: Outcome, shown: Sequence[Column], table: str) -> str:
    found = differences(outcome, shown, table)
    if not found:
        return ''
    compared = [column for column in shown if column.measure]
    models = outcome.plan.models
    head = '<th data-words="1">Model</th>' + ''.join(f'<th>{html.escape(column.title)}</th>' for column in compared)
    rows = []
    for name, of_model in found.items():
        title = html.escape(models[name].title)
        cells = ''.join(_cell(of_model[column.key], '+' + column.form) for column in compared)
        rows.append(f'<tr><td data-value="{title}">{title}</td>{cells}</tr>')
    hint = ('<p class="hint">Means over the same images, image by image; an interval without 0 is a difference.</p>')
    base = models[outcome.plan.compare_with].title
    return _section(f'Less or more than {base}, at equal {DIFFERENCES[table]}', hint + _wrapped(head, rows, 'sortable'))


def _references(outcome: Outcome) -> str:
    if not outcome.plan.references:
        return ''
    head = ''.join(f'<th>{title}</th>' for title in ('Model', 'Data', 'PSNR (dB)', 'SSIM', 'Source', ''))
    rows = []
    for row in outcome.plan.references:
        cells: List[str] = [
            row['model'], row['data'],
            cell(row.get('psnr'), '.2f'),
            cell(row.get('ssim'), '.4f'), row['source'], '' if row['confirmed'] else UNCONFIRMED
        ]
        rows.append('<tr>' + ''.join(f'<td>{html.escape(str(text))}</td>' for text in cells) + '</tr>')
    return _section(QUOTED, _wrapped(head, rows, 'words'), 'quoted')


# ---------------------------------------------------------------- the rest
def _notes(outcome: Outcome) -> str:
    notes: Dict[str, Optional[str]] = {model.title: model.note for model in outcome.plan.models.values()}
    items = ''.join(f'<li>{html.escape(title)}: {html.escape(note)}</li>' for title, note in notes.items() if note)
    return f'<ul class="notes">{items}</ul>' if items else ''


def _image(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode('ascii')
    width = int.from_bytes(png[16:20], 'big') / DPI  # PNG's header; so that letters are of one size on all plots
    return (f'<img class="plot" style="width:{width:.2f}in" alt="{html.escape(PLOT_TITLES[name])}" '
            f'src="data:image/png;base64,{data}">')


def _gallery(outcome: Outcome, gallery: str) -> str:
    if not gallery:
        return ''
    evaluator = next(iter(outcome.evaluators), None)
    judge = next((each.title for each in outcome.plan.evaluators if each.name == evaluator), None)
    whose = f' (found by the evaluator &quot;{html.escape(judge)}&quot;; true ones on the truth)' if judge else ''
    controls = (
        '<div class="controls"><label><input type="checkbox" id="landmarks"> landmarks'
        f'{whose}</label><label>size <input type="range" id="size" min="90" max="420" value="140"></label></div>')
    hint = (
        '<p class="hint">Faces are spread evenly over the test set, not picked. Below each: eyes and mouth, enlarged '
        'by repeating pixels.</p>')
    return f'<section id="gallery"><h2>The same faces across models</h2>{hint}{controls}{gallery}</section>'


def _definitions(shown: Sequence[Column]) -> str:
    entries = ''.join(f'<dt>{html.escape(column.title)}</dt><dd>{html.escape(column.meaning)}.</dd>'
                      for column in shown)
    return f'<dl>{entries}</dl>'
