"""Runs a function in a forked process of its own, within limits of time and memory, and says how that ended."""
import os
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from tqdm import tqdm

SECONDS, GIB = int(os.environ.get('RELIABILITY_SECONDS', 20)), 2**30
ADDRESSES = 16 * GIB  # a last resort; what counts is the resident size


class Interruption(NamedTuple):
    """A signal to send.

    Attributes:
        after: Seconds from the start.
        signum: The signal.
        to_all: To every process of the group, as a terminal or a scheduler does; else to the first.
    """
    after: float
    signum: int
    to_all: bool


class Ending(NamedTuple):
    """How a process ended.

    Attributes:
        status: Exit status; None after a signal.
        said: What it wrote to standard output and standard error.
        seconds: Duration.
        memory: Largest resident size in bytes, of which the parent's is the beginning.
        outlived: Whether processes that it had started were there SECONDS after its end; they are killed.
    """
    status: Optional[int]
    said: str
    seconds: float
    memory: int
    outlived: bool


def run_forked(function: Callable[[], Optional[int]],
               cwd: Path,
               log: Path,
               limit: float = SECONDS,
               interruption: Optional[Interruption] = None) -> Ending:
    """Run a function in a child process with ``cwd`` as working directory; it is killed after ``limit`` seconds.

    Args:
        function: Returns an exit status, or raises SystemExit.
        cwd: Where it runs.
        log: File for what it says.
        limit: Seconds.
        interruption: Sent once, unless the process ends before.
    """
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(function, cwd, log)
    while True:
        pid, code, usage = os.wait4(child, os.WNOHANG)
        if pid:
            break
        seconds = time.monotonic() - begin
        if interruption and seconds > interruption.after:
            leads = os.getpgid(child) == child  # its group: not in the first moment
            (os.killpg if interruption.to_all and leads else os.kill)(child, interruption.signum)
            interruption = None
        if seconds > limit:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    seconds = time.monotonic() - begin
    status = os.WEXITSTATUS(code) if os.WIFEXITED(code) else None
    return Ending(status, log.read_text(errors='replace'), seconds, usage.ru_maxrss * 1024, _outlived(child))


def _outlived(group: int) -> bool:
    """Wait for the end of a group of processes, and kill it after SECONDS; returns whether that was necessary."""
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < SECONDS:
            os.killpg(group, 0)
            time.sleep(0.002)
        os.killpg(group, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def _child(function: Callable[[], Optional[int]], cwd: Path, log: Path) -> None:
    status = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        os.chdir(cwd)
        file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(file, number)
        tqdm.set_lock(threading.RLock())  # the usual one is shared by all forks, and dies with one of them
        sys.stdout, sys.stderr = (os.fdopen(number, 'w', errors='backslashreplace') for number in (1, 2))
        status = function() or 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
