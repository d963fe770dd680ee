"""BasicSR's logger for one run: what is said before its file is open is kept for the file."""
import logging
import sys
from contextlib import contextmanager, suppress
from logging.handlers import MemoryHandler
from typing import Iterator

from basicsr.utils import logger as basicsr_logger

from dic_plugin.launch.standing_in import standing_in

__all__ = ['EarlyLog']

NAME = 'basicsr'


class EarlyLog:
    """Keeps what is logged until BasicSR has made its log file."""

    def __init__(self) -> None:
        self.kept = MemoryHandler(sys.maxsize, flushLevel=sys.maxsize)

    @contextmanager
    def own_logger(self) -> Iterator[None]:
        """Use a new logger for BasicSR in a ``with`` statement, with nothing but this log as handler."""
        logger = logging.getLogger(NAME)
        before = logger.handlers, logger.level, logger.propagate, basicsr_logger.initialized_logger.pop(NAME, None)
        logger.handlers = [self.kept]
        logger.setLevel(logging.INFO)
        logger.propagate = False
        basicsr_logger.initialized_logger[NAME] = True
        try:
            # A full disk loses lines of the log, without a traceback for each; what is not saved is said at the end.
            with standing_in(logging, raiseExceptions=False):
                yield
        finally:
            for handler in logger.handlers:
                with suppress(OSError):
                    handler.close()
            logger.handlers, logger.level, logger.propagate, was_initialized = before
            basicsr_logger.initialized_logger.pop(NAME, None)
            if was_initialized:
                basicsr_logger.initialized_logger[NAME] = True

    def make_way(self) -> None:
        """Let BasicSR add its handlers, which it does to a new logger only."""
        basicsr_logger.initialized_logger.pop(NAME, None)
        logging.getLogger(NAME).removeHandler(self.kept)

    def replay(self) -> None:
        """Hand what was kept to the handlers that are there now."""
        logger = logging.getLogger(NAME)
        for record in self.kept.buffer:
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        self.kept.buffer.clear()
