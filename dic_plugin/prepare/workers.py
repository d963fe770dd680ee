"""Worker processes that begin clean and end with the main process."""
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Callable, Tuple

import cv2

__all__ = ['worker_pool']

_PRELOADED = ['dic_plugin.prepare.process', 'dic_plugin.prepare.check_pixels']


def worker_pool(workers: int, initializer: Callable[..., None], initargs: Tuple[Any, ...]) -> ProcessPoolExecutor:
    """A pool of single-threaded processes.

    They are not forked from this process: OpenCV waits for ever in a copy of a process that had used its threads. Where
    the system can, they are forked from one that has imported what they need and done nothing yet.

    Args:
        workers: Number of processes.
        initializer: Called in every process when it starts, with ``initargs``.
        initargs: To be pickled.
    """
    if 'forkserver' in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(_PRELOADED)
    else:
        context = multiprocessing.get_context('spawn')
    return ProcessPoolExecutor(workers, context, initializer=_start, initargs=(initializer, initargs))


def _start(initializer: Callable[..., None], initargs: Tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides: what has begun is finished
    threading.Thread(target=_end_with_main_process, daemon=True).start()
    cv2.setNumThreads(1)
    initializer(*initargs)


def _end_with_main_process() -> None:
    """A worker whose main process was killed would wait for work for ever."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
