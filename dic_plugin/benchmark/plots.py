"""The plots of a benchmark: quality against cost, learning curves, cumulative landmark error."""
import io
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from dic_plugin.benchmark.run import Outcome
from dic_plugin.benchmark.stages import Run
from dic_plugin.benchmark.tables import Column, columns, mean_of
from dic_plugin.evaluation.summary import ERROR_LIMIT, cumulative_curve

COMPARED = '#d1362f'  # of the model that the others are compared with
UNTRAINED = '#8a8f98'
DPI = 150
OTHERS = ('#0072b2', '#009e73', '#e69f00', '#cc79a7', '#56b4e9', '#7b5ea7', '#8c6d31', '#111111')


def colours(outcome: Outcome) -> Dict[str, str]:
    """A colour for every model, the same in all plots."""
    chosen: Dict[str, str] = {}
    for name, model in outcome.plan.models.items():
        if name == outcome.plan.compare_with:
            chosen[name] = COMPARED
        else:
            rest = [colour for colour in OTHERS if colour not in chosen.values()] or list(OTHERS)
            chosen[name] = UNTRAINED if model.untrained else rest[0]
    return chosen


def plots(outcome: Outcome) -> Dict[str, bytes]:
    """Return PNG files by name; those that would show nothing are left out."""
    drawn: Dict[str, Optional[bytes]] = {
        'quality_and_cost': _quality_and_cost(outcome),
        'learning_curves': _learning_curves(outcome),
        'cumulative_error': _cumulative_error(outcome),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def _figure(panels: int) -> Tuple[Any, List[Any]]:
    from matplotlib.figure import Figure  # slow to import, and only this needs it

    figure = Figure(figsize=(4.4 * panels + 0.4, 3.9), layout='constrained')
    axes = list(np.atleast_1d(figure.subplots(1, panels)))
    for axis in axes:
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[['top', 'right']].set_visible(False)
        axis.tick_params(labelsize=8)
    return figure, axes


def _png(figure: Any, axes: Sequence[Any]) -> bytes:
    labelled: Dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            labelled.setdefault(label, handle)
    figure.legend(
        labelled.values(),
        labelled.keys(),
        loc='outside lower center',
        ncols=min(len(labelled), 8),
        fontsize=8,
        frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=DPI)
    return file.getvalue()


# ---------------------------------------------------------------- quality against cost
def _quality_and_cost(outcome: Outcome) -> Optional[bytes]:
    known = {column.key: column for column in columns(outcome)}
    runs = [run for run in outcome.of('iterations') if mean_of(known['psnr'].value(run)) is not None]
    if not runs:
        return None
    figure, axes = _figure(3)
    colour_of = colours(outcome)
    for axis, key in zip(axes, ('params', 'gflop', 'faces_per_second')):
        cost = known[key]
        for run in runs:
            _point(axis, run, known['psnr'], cost, colour_of[run.model.name])
        axis.set_xscale('log')
        axis.set_xlabel(cost.title, fontsize=9)
        _plain_ticks(axis)
    axes[0].set_ylabel(known['psnr'].title, fontsize=9)
    return _png(figure, axes)


def _point(axis: Any, run: Run, quality: Column, cost: Column, colour: str) -> None:
    found, x = quality.value(run), mean_of(cost.value(run))
    if not x:  # what costs nothing has no place on a logarithmic axis
        axis.axhline(found.mean, color=colour, linestyle='--', linewidth=1.2, label=run.model.title)
        return
    interval = [[found.mean - found.low], [found.high - found.mean]]
    axis.errorbar(
        x,
        found.mean,
        None if np.isnan(found.low) else interval,
        fmt='o',
        color=colour,
        markersize=7,
        linewidth=1,
        capsize=2,
        label=run.model.title)


def _plain_ticks(axis: Any) -> None:
    """Write 0.5 for 5 x 10^-1, and between the powers of ten, too."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:g}'))
    axis.xaxis.set_minor_formatter(NullFormatter())
    low, high = axis.get_xlim()
    axis.set_xlim(min(low, high / 6), max(high, low * 6))


# ---------------------------------------------------------------- learning curves
def _learning_curves(outcome: Outcome) -> Optional[bytes]:
    runs = {run.name: run for run in outcome.of('iterations') + outcome.of('time') if run.training.get('curves')}
    metric = next((name for run in runs.values() for name in run.training['curves']), None)
    if metric is None:
        return None
    figure, axes = _figure(2)
    colour_of = colours(outcome)
    for run in runs.values():
        style = dict(color=colour_of[run.model.name], label=run.model.title, markersize=3, linewidth=1.4)
        timed = run.name != run.model.name
        if not timed:
            _curve(axes[0], run, runs, metric, lambda each: 1, lambda each: each.model.iterations, style)
        if run.training_seconds is not None:
            linestyle = '--' if timed else '-'
            _curve(axes[1], run, runs, metric, lambda each: each.training['seconds_per_iteration'] / 60, lambda each:
                   (each.training_seconds or 0) / 60, dict(style, linestyle=linestyle))
    for axis, label in zip(axes, ('iterations', 'minutes of training' +
                                  ('; dashed: equal training time' if outcome.of('time') else ''))):
        axis.set_xlabel(label, fontsize=9)
    axes[0].set_ylabel(f'{metric} of the validation set', fontsize=9)
    return _png(figure, axes)


def _curve(axis: Any, run: Run, runs: Mapping[str, Run], metric: str, unit: Callable[[Run], float],
           length: Callable[[Run], float], style: Mapping[str, Any]) -> None:
    start = runs.get(run.model.starts_from)
    offset = 0 if start is None else length(start)
    points = run.training['curves'].get(metric, [])
    axis.plot([offset + iteration * unit(run) for iteration, _ in points], [value for _, value in points],
              marker='o',
              **style)


# ---------------------------------------------------------------- landmarks
def _cumulative_error(outcome: Outcome) -> Optional[bytes]:
    shown = [column for column in columns(outcome) if column.measure and column.measure.startswith('nrmse_')]
    runs = [run for run in outcome.of('iterations') if run.measured]
    if not shown or not runs:
        return None
    figure, axes = _figure(len(shown))
    colour_of = colours(outcome)
    for axis, column in zip(axes, shown):
        # not every model finds landmarks itself
        errors_of = [(run, run.measured['values'].get(column.measure)) for run in runs]
        curves = {
            run.name: cumulative_curve(np.array([np.nan if value is None else value for value in errors], float))
            for run, errors in errors_of if errors is not None
        }
        limit = _error_limit([errors for errors, _ in curves.values()])
        for run in runs:
            if run.name in curves:
                errors, fraction = curves[run.name]
                axis.step([0, *errors, max(limit, *errors, 0)], [0, *fraction, 1],
                          where='post',
                          color=colour_of[run.model.name],
                          label=run.model.title,
                          linewidth=1.4)
        axis.set(xlim=(0, limit), ylim=(0, 1))
        axis.set_xlabel(column.title, fontsize=9)
    axes[0].set_ylabel('faces with at most this error', fontsize=9)
    return _png(figure, axes)


def _error_limit(errors: Sequence[np.ndarray]) -> float:
    """Where the axis ends: at the usual limit, or further where most faces of all models are beyond it."""
    limits = [factor * ERROR_LIMIT for factor in (1, 2, 5)]
    return next((limit for limit in limits if any(np.mean(each <= limit) > 0.8 for each in errors)), limits[-1])
