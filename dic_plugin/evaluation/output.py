"""Output of an evaluation: printed tables, CSV, JSON and the plot of cumulative errors."""
import os
from typing import Dict, List, Optional, Tuple

import numpy as np
import pandas as pd

from dic_plugin.evaluation.evaluate import Evaluation, MeasureKey
from dic_plugin.evaluation.identity import SAME_PERSON, Identity
from dic_plugin.evaluation.perceptual import Fid, Lpips, Niqe
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.evaluation.summary import ERROR_LIMIT, LEVEL, NUM_RESAMPLES, SEED, Estimate, cumulative_curve
from dic_plugin.landmarks.errors import ERROR_PROTOCOLS
from dic_plugin.utils.atomic_write import atomic_write, strict_json, write_json

UNKNOWN = 'not said'
DEFINITIONS = {
    'lpips': Lpips.description,
    'niqe': Niqe.description,
    'fid': Fid.description,
    'identity': Identity.description
}  # by protocol
DEFINITIONS.update((name, protocol.description) for name, protocol in PROTOCOLS.items())
DEFINITIONS.update((name, protocol.description) for name, protocol in ERROR_PROTOCOLS.items())
# Measures that share a table, with their titles and formats.
TABLES: Tuple[Dict[str, Tuple[str, str]], ...] = (
    dict(psnr=('PSNR (dB)', '.2f'), ssim=('SSIM', '.4f')),
    dict(
        nrmse=('NRMSE', '.4f'),
        failure_rate=(f'failures (> {ERROR_LIMIT:g})', '.4f'),
        area=(f'area (0 to {ERROR_LIMIT:g})', '.4f')),
    dict(lpips=('LPIPS', '.4f'), niqe=('NIQE', '.3f'), fid=('FID', '.3f')),
    dict(identity=('identity distance', '.3f'), same_person=(f'same person (< {SAME_PERSON:g})', '.3f')),
)


def report(evaluation: Evaluation, trained_on: Optional[str] = None) -> str:
    """Return the tables, what they were measured on, and the definitions of their protocols, as text."""
    lines = [
        f'Results:   {evaluation.sr}', f'Originals: {evaluation.gt}',
        f'{len(evaluation.names)} images; training set of the model: {trained_on or UNKNOWN}'
    ]
    if evaluation.evaluators:
        lines.append(f'Landmarks: {_evaluators(evaluation)}, against {evaluation.reference}')
    used: List[str] = []
    for table in TABLES:
        results = {column: value for column, value in evaluation.results.items() if column.measure in table}
        if results:
            lines += ['', *_table(table, results)]
            used += [column.protocol for column in results]
    lines += [
        '', f'In brackets: {LEVEL:.0%} bootstrap interval of the mean over images ({NUM_RESAMPLES} resamples, seed '
        f'{SEED}).', *(f'{protocol}: {DEFINITIONS[protocol]}.' for protocol in dict.fromkeys(used))
    ]
    return '\n'.join(lines)


def _table(table: Dict[str, Tuple[str, str]], results: Dict[MeasureKey, Estimate]) -> List[str]:
    measures = [measure for measure in table if any(column.measure == measure for column in results)]
    lines: Dict[str, Dict[str, str]] = {}
    for column, value in results.items():
        title, form = table[column.measure]
        interval = '' if np.isnan(value.low) else f' [{value.low:{form}}, {value.high:{form}}]'
        line = lines.setdefault(column.label, dict(protocol=column.label, images=str(value.num_images)))
        line[title] = f'{value.mean:{form}}{interval}'
    titles = ['protocol', *(table[measure][0] for measure in measures), 'images']
    rows = [titles, *([line.get(title, '') for title in titles] for line in lines.values())]
    widths = [max(map(len, cells)) for cells in zip(*rows)]
    return ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _evaluators(evaluation: Evaluation) -> str:
    return '; '.join(f'{name}: {one}' if name else str(one) for name, one in evaluation.evaluators.items())


def unpaired(evaluation: Evaluation) -> List[str]:
    """Return one line per side that has files without a partner."""
    sides = (('results', evaluation.sr, 'original', evaluation.pairing.sr_alone),
             ('originals', evaluation.gt, 'result', evaluation.pairing.gt_alone))  # yapf: disable
    return [
        f'{len(names)} {side} in {root} have no {partner} and are left out: {", ".join(names[:5])}' +
        (', ...' if len(names) > 5 else '') for side, root, partner, names in sides if names
    ]


def _per_image(evaluation: Evaluation) -> pd.DataFrame:
    """Return one line per image: name, file of the result, and its figures by their titles."""
    figures = {column.title: values for column, values in evaluation.columns.items()}
    return pd.DataFrame(dict(name=evaluation.names, result=evaluation.files, **figures))


def write_csv(evaluation: Evaluation, path: str) -> None:
    """Write one line per image: name, file of the result, and its figures, titled ``<measure>_<protocol>``."""
    with atomic_write(path) as temporary:
        _per_image(evaluation).to_csv(temporary, index=False, na_rep='nan', lineterminator='\r\n')


def write_evaluation(evaluation: Evaluation, path: str, trained_on: Optional[str] = None) -> None:
    """Write everything as JSON: the protocols, the reported numbers, and the figures of every image.

    NaN becomes null, infinity the string "inf".
    """
    summary = []
    for column, value in evaluation.results.items():
        judge = dict(evaluator=column.evaluator) if column.evaluator else {}
        summary.append(
            dict(
                measure=column.measure,
                protocol=column.protocol,
                **judge,
                definition=DEFINITIONS[column.protocol],
                **value._asdict()))
    content = dict(
        results=evaluation.sr,
        originals=evaluation.gt,
        num_images=len(evaluation.names),
        results_without_original=evaluation.pairing.sr_alone,
        originals_without_result=evaluation.pairing.gt_alone,
        trained_on=trained_on,
        evaluator=_evaluators(evaluation) or None,
        landmarks_compared_with=evaluation.reference,
        error_limit=ERROR_LIMIT,
        bootstrap=dict(level=LEVEL, resamples=NUM_RESAMPLES, seed=SEED),
        summary=summary,
        images=_per_image(evaluation).to_dict('records'))
    write_json(path, strict_json(content))


def plot_curves(evaluation: Evaluation, path: str) -> None:
    """Draw the cumulative error curves, one per protocol and evaluator, as PNG."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(7, 5), layout='constrained')
    axes = figure.add_subplot()
    for column, values in evaluation.columns.items():
        if column.measure == 'nrmse':
            errors, fraction = cumulative_curve(values)
            axes.step([0, *errors, max(ERROR_LIMIT, *errors, 0)], [0, *fraction, 1], where='post', label=column.label)
    axes.set(
        xlim=(0, ERROR_LIMIT),
        ylim=(0, 1),
        xlabel='NRMSE',
        ylabel='images with at most this error',
        title=f'{len(evaluation.names)} images of {os.path.basename(os.path.normpath(evaluation.sr))},\n'
        f'landmarks by {", ".join(evaluator.name for evaluator in evaluation.evaluators.values())}')
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format='png', dpi=120)
