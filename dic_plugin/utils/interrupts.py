"""Interruption by Ctrl-C, once."""
import signal
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Let the first Ctrl-C interrupt the block; later ones do not interrupt the cleanup."""

    def interrupt(*_) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:  # otherwise the process is about to end
            signal.signal(signal.SIGINT, before)
