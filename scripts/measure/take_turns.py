"""Timing of ways to do the same: in turns, in one process, since machines are not the same from minute to minute."""
import statistics
import time
from typing import Any, Callable, Dict, List, Mapping


def take_turns(ways: Mapping[str, Callable[[], Any]],
               rounds: int,
               clock: Callable[[], float] = time.perf_counter) -> Dict[str, float]:
    """Seconds that each way takes: the median over the rounds, after one round that does not count.

    Args:
        ways: what to time.
        rounds: how often, at least 1. Who begins changes from round to round.
        clock: what tells the time, in seconds; ``time.process_time`` for the processor's.
    """
    seconds: Dict[str, List[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in list(ways) if number % 2 else reversed(list(ways)):
            start = clock()
            ways[name]()
            if number:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
