"""What an evaluation hands out: printed tables, CSV, JSON and the plot of cumulative errors."""
import csv
import os
from typing import Any, Dict, List, Optional

import numpy as np

from dic_plugin.evaluation.landmark_errors import ERROR_PROTOCOLS
from dic_plugin.evaluation.perceptual import Fid, Lpips, Niqe
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.evaluation.run import Evaluation, Result
from dic_plugin.evaluation.summary import ERROR_LIMIT, LEVEL, NUM_RESAMPLES, SEED, Estimate, cumulative_curve
from dic_plugin.utils.atomic_write import atomic_write, write_json

UNKNOWN = 'not said'
DEFINITIONS = {
    **{
        name: protocol.description
        for name, protocol in PROTOCOLS.items()
    },
    **{
        name: protocol.description
        for name, protocol in ERROR_PROTOCOLS.items()
    },
    'lpips': Lpips.description,
    'niqe': Niqe.description,
    'fid': Fid.description,
}
# measures that stand side by side, with their titles and formats
TABLES = (
    {
        'psnr': ('PSNR (dB)', '.2f'),
        'ssim': ('SSIM', '.4f')
    },
    {
        'nrmse': ('NRMSE', '.4f'),
        'failure_rate': (f'failures (> {ERROR_LIMIT:g})', '.4f'),
        'area': (f'area (0 to {ERROR_LIMIT:g})', '.4f')
    },
    {
        'lpips': ('LPIPS', '.4f'),
        'niqe': ('NIQE', '.3f'),
        'fid': ('FID', '.3f')
    },
)


# ---------------------------------------------------------------- for people
def report(evaluation: Evaluation, trained_on: Optional[str] = None) -> str:
    """Everything reported, as text: the tables, what they are of, and what their protocols are."""
    lines = [
        f'Results:   {evaluation.sr}', f'Originals: {evaluation.gt}',
        f'{len(evaluation.names)} images; training set of the model: {trained_on or UNKNOWN}'
    ]
    if evaluation.evaluator:
        lines += [f'Landmarks: {describe_evaluator(evaluation)}, against {evaluation.reference}']
    used: List[str] = []
    for table in TABLES:
        results = [result for result in evaluation.results if result.measure in table]
        protocols = list(dict.fromkeys(result.protocol for result in results))
        if results:
            lines += ['', *_table(table, protocols, results)]
            used += protocols
    lines += [
        '', f'In brackets: {LEVEL:.0%} bootstrap interval of the mean over images ({NUM_RESAMPLES} resamples, seed '
        f'{SEED}).', *(f'{protocol}: {DEFINITIONS[protocol]}.' for protocol in used)
    ]
    return '\n'.join(lines)


def _table(table: Dict[str, tuple], protocols: List[str], results: List[Result]) -> List[str]:
    found = {(result.measure, result.protocol): result.estimate for result in results}
    measures = [measure for measure in table if any(result.measure == measure for result in results)]
    rows = [['protocol', *(table[measure][0] for measure in measures), 'images']]
    for protocol in protocols:
        estimates = [found.get((measure, protocol)) for measure in measures]
        number = next(value.num_images for value in estimates if value)
        cells = [_cell(value, table[measure][1]) for measure, value in zip(measures, estimates)]
        rows.append([protocol, *cells, str(number)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ['  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _cell(value: Optional[Estimate], form: str) -> str:
    if value is None:
        return ''
    interval = '' if np.isnan(value.low) else f' [{value.low:{form}}, {value.high:{form}}]'
    return f'{value.mean:{form}}{interval}'


def describe_evaluator(evaluation: Evaluation) -> str:
    """The network that found the landmarks: file and sizes. Its file's name is all that tells its training set."""
    network = evaluation.evaluator
    sizes = ', '.join(f'{key} {value}' for key, value in network.options.items())
    return f'StackedHourglass of {network.name} ({sizes})'


def unpaired(evaluation: Evaluation) -> List[str]:
    """One line per side that has files without a partner; none if all pair."""
    sides = (('results', evaluation.sr, 'original', evaluation.pairing.sr_alone), ('originals', evaluation.gt, 'result',
                                                                                   evaluation.pairing.gt_alone))
    return [
        f'{len(names)} {side} in {root} have no {partner} and are left out: {", ".join(names[:5])}' +
        (', ...' if len(names) > 5 else '') for side, root, partner, names in sides if names
    ]


# ---------------------------------------------------------------- files
def write_csv(evaluation: Evaluation, path: str) -> None:
    """One line per image: name, file of the result, and its figures, titled ``<measure>_<protocol>`` or ``niqe``."""
    with atomic_write(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['name', 'result', *(column.title for column in evaluation.columns)])
        writer.writerows(zip(evaluation.names, evaluation.files, *(v.tolist() for v in evaluation.columns.values())))


def write_evaluation(evaluation: Evaluation, path: str, trained_on: Optional[str] = None) -> None:
    """Everything: what was measured and how, the reported numbers, and the figures of every image.

    NaN becomes null, infinity the string "inf".
    """
    titles = [column.title for column in evaluation.columns]
    figures = zip(*(values.tolist() for values in evaluation.columns.values()))
    content = dict(
        results=evaluation.sr,
        originals=evaluation.gt,
        num_images=len(evaluation.names),
        results_without_original=evaluation.pairing.sr_alone,
        originals_without_result=evaluation.pairing.gt_alone,
        trained_on=trained_on,
        evaluator=describe_evaluator(evaluation) if evaluation.evaluator else None,
        landmarks_compared_with=evaluation.reference,
        error_limit=ERROR_LIMIT,
        bootstrap=dict(level=LEVEL, resamples=NUM_RESAMPLES, seed=SEED),
        summary=[
            dict(
                measure=result.measure,
                protocol=result.protocol,
                definition=DEFINITIONS[result.protocol],
                **{
                    key: _plain(value)
                    for key, value in result.estimate._asdict().items()
                }) for result in evaluation.results
        ],
        images=[
            dict(name=name, result=file, **dict(zip(titles, map(_plain, row))))
            for name, file, row in zip(evaluation.names, evaluation.files, figures)
        ])
    write_json(path, content)


def _plain(value: float) -> Any:
    """A number as strict JSON has it."""
    if np.isnan(value):
        return None
    return value if np.isfinite(value) else str(value)


def plot_curves(evaluation: Evaluation, path: str) -> None:
    """Draw the cumulative error curves, one per protocol, as PNG."""
    from matplotlib.figure import Figure  # slow to import, and only this needs it

    figure = Figure(figsize=(7, 5), layout='constrained')
    axes = figure.add_subplot()
    for (measure, protocol), values in evaluation.columns.items():
        if measure == 'nrmse':
            errors, fraction = cumulative_curve(values)
            axes.step([0, *errors, max(ERROR_LIMIT, *errors, 0)], [0, *fraction, 1], where='post', label=protocol)
    axes.set(
        xlim=(0, ERROR_LIMIT),
        ylim=(0, 1),
        xlabel='NRMSE',
        ylabel='images with at most this error',
        title=f'{len(evaluation.names)} images of {os.path.basename(os.path.normpath(evaluation.sr))},\n'
        f'landmarks by {evaluation.evaluator.name}')
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format='png', dpi=120)
