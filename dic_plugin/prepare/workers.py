"""Worker processes that begin clean, and end at once when the work is given up or the main process is gone."""
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Callable, Iterator, Tuple

import cv2

__all__ = ['worker_pool']

_PRELOADED = ['dic_plugin.prepare.process', 'dic_plugin.prepare.check_pixels']


@contextlib.contextmanager
def worker_pool(workers: int, initializer: Callable[..., None], initargs: Tuple[Any,
                                                                                ...]) -> Iterator[ProcessPoolExecutor]:
    """A pool of single-threaded processes, for a ``with`` statement that waits for all results it wants.

    They are not forked from this process: OpenCV waits for ever in a copy of a process that had used its threads. Where
    the system can, they are forked from one that has imported what they need and done nothing yet.

    An exception, Ctrl-C for one, ends them at once, whatever they are doing.

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
    stop_seen, stop = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(stop_seen, initializer, initargs))
    try:
        yield pool
    except BaseException:
        stop.close()
        raise
    finally:
        with _uninterrupted():
            pool.shutdown(wait=True, cancel_futures=True)
            stop.close()
            stop_seen.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """No second Ctrl-C: in the midst of a shutdown it would leave the pool waiting for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _start(stop_seen: multiprocessing.connection.Connection, initializer: Callable[..., None],
           initargs: Tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    threading.Thread(target=_end_when_told, args=(stop_seen, ), daemon=True).start()
    cv2.setNumThreads(1)
    initializer(*initargs)


def _end_when_told(stop_seen: multiprocessing.connection.Connection) -> None:
    """A worker whose main process was killed would wait for work for ever."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel, stop_seen])
    os._exit(1)
