"""Figures of an evaluation, for the record of weights that are handed over."""
import json
import os
from typing import Any, Dict, List

__all__ = ['figure_lines', 'read_figures']

KEPT = ('measure', 'protocol', 'mean', 'low', 'high')


def read_figures(path: str) -> List[Dict[str, Any]]:
    """Read what ``dic-evaluate -o`` wrote.

    Args:
        path: Its ``evaluation.json``.

    Returns:
        For every measure: ``set``, the name of the folder of originals; ``images``, their number; ``measure``,
        ``protocol``, ``mean`` and, where there is an interval, ``low`` and ``high`` (95 %).

    Raises:
        OSError: The file cannot be read.
        ValueError: It is another file; names it.
    """
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        common = dict(set=os.path.basename(os.path.normpath(content['originals'])), images=content['num_images'])
        return [{**common, **{key: each[key] for key in KEPT if key in each}} for each in content['summary']]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: expected the evaluation.json that dic-evaluate -o writes ({error!r}).') from error


def figure_lines(figures: List[Dict[str, Any]]) -> List[str]:
    """Return a table in Markdown; nothing for no figures."""
    if not figures:
        return []
    lines = ['| Test set | Measure | Protocol | Mean [95 %] |', '| --- | --- | --- | --- |']
    for each in figures:
        interval = f' [{_number(each["low"])}, {_number(each["high"])}]' if each.get('low') is not None else ''
        lines.append(f'| {each["set"]} ({each["images"]}) | {each["measure"]} | {each["protocol"]} | '
                     f'{_number(each["mean"])}{interval} |')
    return lines


def _number(value: Any) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
