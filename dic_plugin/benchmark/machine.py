"""Child processes of the benchmark: one per GPU, or several on the CPU, each with its share of the cores."""
import ctypes
import os
import platform
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Set

import torch

import dic_plugin
from dic_plugin.ops import native_is_available

PACKAGE_ROOT = str(Path(dic_plugin.__file__).resolve().parent.parent)
LONGEST_REASON = 300
PR_SET_PDEATHSIG = 1  # of prctl(2)


class Failed(RuntimeError):
    """A stage of a model failed; the message is the reason, short enough for a row of a table."""


class Machine:
    """The devices on which processes run.

    Args:
        gpus: Numbers of GPUs, as torch counts them; one process at a time runs on each. Empty: the CPU.
        jobs: Number of processes at a time on the CPU. Each gets an equal share of the cores as its threads, or
            OMP_NUM_THREADS if that is less: OpenMP becomes ten times slower with more threads than cores.
    """

    def __init__(self, gpus: Sequence[int] = (), jobs: int = 1) -> None:
        self.gpus = list(gpus)
        self.jobs = len(self.gpus) or jobs
        self.threads = num_threads(self.jobs)
        self.num_gpu = 1 if self.gpus else 0  # BasicSR's option
        self.device = f'cuda:{self.gpus[0]}' if self.gpus else 'cpu'
        self.kept_open: Sequence[int] = ()  # files that children keep open also, see Workspace.locked
        self._slots: 'queue.Queue[Optional[int]]' = queue.Queue()
        slots: List[Optional[int]] = [*self.gpus] or [None] * self.jobs
        for slot in slots:
            self._slots.put(slot)
        self._children: Set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def description(self) -> str:
        """Return the device, number of threads and version of torch, which times depend on."""
        if self.gpus:
            name = ', '.join(dict.fromkeys(torch.cuda.get_device_name(gpu) for gpu in self.gpus))
        else:
            threads = f'{self.threads} thread' + ('s' if self.threads > 1 else '')
            at_once = f', {self.jobs} processes at a time' if self.jobs > 1 else ''
            name = f'CPU ({processor()}), {threads} a process{at_once}'
            name += '' if native_is_available() else ', without the native operation of dic_plugin'
        return f'{name}; torch {torch.__version__}'

    def run(self, arguments: Sequence[str], log: Path, begin: Callable[[], None] = lambda: None) -> None:
        """Run a Python process to its end on a free GPU or share of the CPU.

        Args:
            arguments: Those of Python.
            log: The file that its output is appended to.
            begin: Called when the process is about to start.

        Raises:
            Failed: It failed or was stopped; gives the reason from its output.
        """
        slot = self._slots.get()
        try:
            begin()
            self._run(arguments, log, slot)
        finally:
            self._slots.put(slot)

    def _run(self, arguments: Sequence[str], log: Path, slot: Optional[int]) -> None:
        with open(log, 'ab') as file:
            start = file.tell()
            with self._lock:
                if self._stopped:
                    raise Failed('interrupted')
                child = subprocess.Popen([sys.executable, *arguments],
                                         stdin=subprocess.DEVNULL,
                                         stdout=file,
                                         stderr=subprocess.STDOUT,
                                         env=self._environment(slot),
                                         pass_fds=self.kept_open,
                                         start_new_session=os.name == 'posix')
                self._children.add(child)
            code = child.wait()
        with self._lock:
            self._children.discard(child)
        if self._stopped:
            raise Failed('interrupted')
        if code:
            raise Failed(reason_of(log.read_bytes()[start:].decode('utf-8', 'replace'), code))

    def stop(self) -> None:
        """End all children, and start no more."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                if os.name == 'posix':
                    os.killpg(child.pid, signal.SIGTERM)  # with its data loader workers
                else:
                    child.terminate()

    def _environment(self, slot: Optional[int]) -> Dict[str, str]:
        visible = [name for name in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if name]
        # An empty list hides the GPUs from a run on the CPU.
        gpu = '' if slot is None else visible[slot] if visible else str(slot)
        path = os.pathsep.join(filter(None, [PACKAGE_ROOT, os.environ.get('PYTHONPATH')]))
        threads = str(self.threads)
        return dict(
            os.environ,
            OMP_NUM_THREADS=threads,
            MKL_NUM_THREADS=threads,
            PYTHONUNBUFFERED='1',
            PYTHONPATH=path,
            CUDA_VISIBLE_DEVICES=gpu)


def end_with_parent() -> None:
    """Have this process get SIGTERM, on which a training saves, if its parent ends in any way (Linux only)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def reason_of(output: str, code: int) -> str:
    """Return why a process failed, in one line: its last error, or else the last line of its output.

    >>> reason_of('Traceback (most recent call last):\\n  ...\\nValueError: no such face\\n  sorry', 1)
    'ValueError: no such face'
    """
    if code < 0:
        name = signal.Signals(-code).name
        return f'ended by {name}' + (' (out of memory, or killed from outside?)' if name == 'SIGKILL' else '')
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r'(Error in the options|[\w.]*(Error|Exception|Interrupt)):', line)]
    reason = (errors or lines or [f'exit status {code} without output'])[-1]
    return reason if len(reason) <= LONGEST_REASON else reason[:LONGEST_REASON] + ' ...'


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def num_threads(jobs: int) -> int:
    """Return the number of threads for each of ``jobs`` processes at a time."""
    share = max(1, num_cores() // jobs)
    asked = os.environ.get('OMP_NUM_THREADS', '')
    return min(share, int(asked)) if asked.isdigit() and int(asked) > 0 else share


def processor() -> str:
    """Return the name of the processor, if the system gives it, or of its architecture."""
    try:
        name = re.search(r'model name\s*: (.*)', Path('/proc/cpuinfo').read_text(encoding='utf-8'))
    except OSError:
        name = None
    return name[1] if name else platform.processor() or platform.machine()
