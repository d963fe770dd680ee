"""Plots of a benchmark: quality against cost, learning curves, cumulative landmark error."""
import io
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dic_plugin.benchmark.outcome import Outcome
from dic_plugin.benchmark.stages import Run
from dic_plugin.benchmark.tables import columns, mean_of
from dic_plugin.evaluation.summary import ERROR_LIMIT, Estimate, cumulative_curve

DPI = 150
COMPARED = '#d1362f'  # of the model that the others are compared with
UNTRAINED = '#8a8f98'
OTHERS = ('#0072b2', '#009e73', '#e69f00', '#cc79a7', '#56b4e9', '#7b5ea7', '#8c6d31', '#111111')


def colours(outcome: Outcome) -> Dict[str, str]:
    """Return the colour of every model, which is the same in all plots."""
    chosen: Dict[str, str] = {}
    for name, model in outcome.plan.models.items():
        unused = [colour for colour in OTHERS if colour not in chosen.values()] or OTHERS
        chosen[name] = UNTRAINED if model.untrained else unused[0]
        if name == outcome.plan.compare_with:
            chosen[name] = COMPARED
    return chosen


def plots(outcome: Outcome) -> Dict[str, bytes]:
    """Return PNG files by name, without those of empty plots."""
    drawn = dict(
        quality_and_cost=_quality_and_cost(outcome),
        learning_curves=_learning_curves(outcome),
        cumulative_error=_cumulative_error(outcome))
    return {name: png for name, png in drawn.items() if png is not None}


def _axes(panels: int) -> List[Any]:
    from matplotlib.figure import Figure  # slow to import, and needed here only

    figure = Figure(figsize=(4.4 * panels + 0.4, 3.9), layout='constrained')
    axes = list(np.atleast_1d(figure.subplots(1, panels)))
    for axis in axes:
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[['top', 'right']].set_visible(False)
        axis.tick_params(labelsize=8)
    return axes


def _png(axes: Sequence[Any]) -> bytes:
    labelled: Dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            labelled.setdefault(label, handle)
    figure, file = axes[0].figure, io.BytesIO()
    style = dict(loc='outside lower center', ncols=min(len(labelled), 8), fontsize=8, frameon=False)
    figure.legend(labelled.values(), labelled.keys(), **style)
    figure.savefig(file, format='png', dpi=DPI)
    return file.getvalue()


def _quality_and_cost(outcome: Outcome) -> Optional[bytes]:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    column_of = {column.key: column for column in columns(outcome)}
    quality = column_of['psnr']
    runs = [run for run in outcome.of('iterations') if mean_of(quality.value(run)) is not None]
    if not runs:
        return None
    axes, colour_of = _axes(3), colours(outcome)
    for axis, key in zip(axes, ('params', 'gflop', 'faces_per_second')):
        for run in runs:
            style = dict(color=colour_of[run.model.name], label=run.model.title)
            psnr, cost = quality.value(run), mean_of(column_of[key].value(run))
            assert isinstance(psnr, Estimate)
            if cost:
                interval = None if np.isnan(psnr.low) else [[psnr.mean - psnr.low], [psnr.high - psnr.mean]]
                axis.errorbar(cost, psnr.mean, interval, fmt='o', markersize=7, linewidth=1, capsize=2, **style)
            else:  # no cost has no place on a logarithmic axis
                axis.axhline(psnr.mean, linestyle='--', linewidth=1.2, **style)
        axis.set_xscale('log')
        axis.set_xlabel(column_of[key].title, fontsize=9)
        # ticks such as 0.5 rather than 5 x 10^-1, also between the powers of ten
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:g}'))
        axis.xaxis.set_minor_formatter(NullFormatter())
        low, high = axis.get_xlim()
        axis.set_xlim(min(low, high / 6), max(high, low * 6))
    axes[0].set_ylabel(quality.title, fontsize=9)
    return _png(axes)


def _learning_curves(outcome: Outcome) -> Optional[bytes]:
    runs = {row.run.name: row.run for row in outcome.rows if row.table != 'end' and row.run.training.get('curves')}
    metric = next((name for run in runs.values() for name in run.training['curves']), None)
    if metric is None:
        return None
    axes, colour_of = _axes(2), colours(outcome)

    def draw(axis: Any, run: Run, unit: float, offset: float, linestyle: str = '-') -> None:
        points = run.training['curves'].get(metric, [])
        axis.plot([offset + iteration * unit for iteration, _ in points], [value for _, value in points],
                  color=colour_of[run.model.name],
                  label=run.model.title,
                  marker='o',
                  markersize=3,
                  linewidth=1.4,
                  linestyle=linestyle)

    for run in runs.values():
        start = runs.get(run.model.starts_from or '')
        is_timed = run.name != run.model.name
        if not is_timed:
            draw(axes[0], run, 1, start.model.iterations if start else 0)
        if run.training_seconds is not None:
            minutes = (start.training_seconds or 0) / 60 if start else 0
            draw(axes[1], run, run.training['seconds_per_iteration'] / 60, minutes, '--' if is_timed else '-')
    axes[0].set_xlabel('iterations', fontsize=9)
    axes[1].set_xlabel('minutes of training' + '; dashed: equal training time' * ('time' in outcome.tables), fontsize=9)
    axes[0].set_ylabel(f'{metric} of the validation set', fontsize=9)
    return _png(axes)


def _cumulative_error(outcome: Outcome) -> Optional[bytes]:
    shown = [column for column in columns(outcome) if column.source.startswith('nrmse_')]
    runs = [run for run in outcome.of('iterations') if run.measured]
    if not shown or not runs:
        return None
    axes, colour_of = _axes(len(shown)), colours(outcome)
    for axis, column in zip(axes, shown):
        # not every model finds landmarks itself
        curves: List[Tuple[Run, np.ndarray, np.ndarray]] = [
            (run, *cumulative_curve(np.array(run.measured['values'][column.source], float))) for run in runs
            if column.source in run.measured['values']
        ]
        limit = _error_limit([errors for _, errors, _ in curves])
        for run, errors, fraction in curves:
            style = dict(color=colour_of[run.model.name], label=run.model.title, linewidth=1.4)
            axis.step([0, *errors, max(limit, *errors, 0)], [0, *fraction, 1], where='post', **style)
        axis.set(xlim=(0, limit), ylim=(0, 1))
        axis.set_xlabel(column.title, fontsize=9)
    axes[0].set_ylabel('faces with at most this error', fontsize=9)
    return _png(axes)


def _error_limit(errors: Sequence[np.ndarray]) -> float:
    """Return the end of the axis: the usual limit, or a larger one if no model has most of its faces below it."""
    limits = [factor * ERROR_LIMIT for factor in (1, 2, 5)]
    return next((limit for limit in limits if any(np.mean(each <= limit) > 0.8 for each in errors)), limits[-1])
