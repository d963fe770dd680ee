"""Signals that ask a training to stop: noted when they come, obeyed at the end of the iteration."""
import multiprocessing
import signal
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Optional

__all__ = ['SIGNALS', 'StopRequest', 'Stopped', 'ending_children', 'keep_running']

# Ctrl-C, and what schedulers send before they take the machine
SIGNALS = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGUSR1') if hasattr(signal, name)]


class Stopped(Exception):
    """A training that was asked to stop has stopped.

    Attributes:
        signum: number of the signal.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Notes the first signal that asks to stop.

    Args:
        insist: whether a second Ctrl-C ends the process at once. Not under a launcher, which passes on to its processes
            the Ctrl-C that the terminal has sent to them already.

    Attributes:
        signum: number of the signal noted, or None.
        at_once: called with the number by the handler, for a moment at which nothing needs to be finished first; None
            while there is something.
    """

    def __init__(self, insist: bool) -> None:
        self.insist = insist
        self.signum: Optional[int] = None
        self.at_once: Optional[Callable[[int], None]] = None

    def _note(self, signum: int, frame: Any) -> None:
        if self.signum is not None and signum == signal.SIGINT and self.insist:
            raise KeyboardInterrupt
        self.signum = self.signum or signum
        if self.at_once:
            self.at_once(self.signum)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note signals inside a ``with`` statement, also if SIGINT was ignored, as in a background job of a script."""
        before: List[Any] = [signal.signal(signum, self._note) for signum in SIGNALS]
        try:
            yield
        finally:
            for signum, handler in zip(SIGNALS, before):
                signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def keep_running(_: int) -> None:
    """Start a data-loader worker that does not end by what schedulers and terminals send to all processes of a job.

    The training, which gets it as well, still needs its worker up to the end of the iteration.
    """
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@contextmanager
def ending_children() -> Iterator[None]:
    """Kill the loader workers that were started inside a ``with`` statement when it ends.

    Python would end them by SIGTERM, which they ignore, and then wait for them.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        started = set(multiprocessing.active_children()) - before
        if started and hasattr(signal, 'SIGCHLD'):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would call their end an error
        for child in started:
            child.kill()
