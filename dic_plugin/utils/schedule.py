"""Cosine schedules that last as long as the training; BasicSR's crashes at the iteration after its last period."""
from itertools import accumulate
from typing import Any, Dict, List, Mapping

import numpy as np


def stretched_periods(periods: List[int], total_iter: int) -> List[int]:
    """Return periods in the same proportions whose sum is at least ``total_iter``.

    >>> stretched_periods([10, 30], 100)
    [25, 75]
    >>> stretched_periods([10, 30], 20)
    [10, 30]
    """
    length = sum(periods)
    if length >= total_iter:
        return list(periods)
    # their ends are rounded, not they themselves, so that their sum is exact
    ends = [round(end * total_iter / length) for end in accumulate(periods)]
    return np.diff(ends, prepend=0).tolist()


def stretch_schedule(train_opt: Dict[str, Any]) -> str:
    """Stretch the periods of ``scheduler: {type: CosineAnnealingRestartLR}`` to ``total_iter``, in place.

    Returns:
        What was changed, for the log; '' if the schedule is long enough or of another type.
    """
    scheduler = train_opt.get('scheduler')
    if not isinstance(scheduler, Mapping) or scheduler.get('type') != 'CosineAnnealingRestartLR':
        return ''
    periods = scheduler['periods']
    stretched = stretched_periods(periods, train_opt['total_iter'])
    if stretched == periods:
        return ''
    train_opt['scheduler'] = {**scheduler, 'periods': stretched}
    return (f'train:scheduler:periods {periods} end before train:total_iter {train_opt["total_iter"]}; stretched to '
            f'{stretched}.')


def stretch_states(states: List[Dict[str, Any]], total_iter: int) -> None:
    """Stretch the cosine schedules of a training state, which hold the periods of the run that saved it, in place."""
    for state in states:
        if 'cumulative_period' in state:
            state['periods'] = stretched_periods(state['periods'], total_iter)
            state['cumulative_period'] = list(accumulate(state['periods']))
