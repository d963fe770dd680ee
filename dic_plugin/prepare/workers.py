"""Worker processes that can be interrupted and do not outlive the main process."""
import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Callable, Iterator

__all__ = ['worker_map']

OPENCV_THREADS = 'OPENCV_FOR_THREADS_NUM'  # read by OpenCV when it is loaded


@contextlib.contextmanager
def worker_map(workers: int, initializer: Callable[..., None], *initargs: Any) -> Iterator[Callable[..., Iterator]]:
    """Yield the ``map`` of a pool of single-threaded processes, or the built-in one if ``workers`` is 0.

    Each process first calls ``initializer(*initargs)``. On exit, by Ctrl-C for example, tasks that have not started are
    cancelled.
    """
    if workers == 0:
        initializer(*initargs)
        yield lambda function, *iterables, chunksize=1: map(function, *iterables)
        return
    # Not fork: OpenCV deadlocks in a fork of a process that has its threads. OpenCV 5 starts them when it is imported,
    # which the fork server does, too, unless it is told not to.
    if 'forkserver' in multiprocessing.get_all_start_methods():
        context: multiprocessing.context.BaseContext = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(['dic_plugin.prepare.process', 'dic_plugin.prepare.check'])
    else:
        context = multiprocessing.get_context('spawn')
    threads_before = os.environ.get(OPENCV_THREADS)
    os.environ[OPENCV_THREADS] = '1'
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(initializer, initargs))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        if threads_before is None:
            del os.environ[OPENCV_THREADS]
        else:
            os.environ[OPENCV_THREADS] = threads_before


def _start(initializer: Callable[..., None], initargs: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    threading.Thread(target=_end_with_main_process, daemon=True).start()
    initializer(*initargs)


def _end_with_main_process() -> None:
    """End this worker if the main process is killed; it would wait for tasks forever."""
    main_process = multiprocessing.parent_process()
    if main_process is not None:
        main_process.join()
        os._exit(1)
