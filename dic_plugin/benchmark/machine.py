"""Child processes of the benchmark: one per GPU, or several on the CPU, each with its share of the cores."""
import os
import platform
import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Set

import torch

import dic_plugin
from dic_plugin.ops import native_is_available

PACKAGE_ROOT = str(Path(dic_plugin.__file__).resolve().parent.parent)
LONGEST_REASON = 300


class Failed(RuntimeError):
    """A stage of a model failed; the message is the reason, fit for a table's row."""


class Machine:
    """Where the processes run.

    Args:
        gpus: numbers of GPUs, as torch counts them; one process at a time on each. Empty: the CPU.
        jobs: processes at a time on the CPU. Every one gets an equal part of the cores as its number of threads:
            OpenMP processes with more threads than cores wait for each other and become ten times slower. A smaller
            OMP_NUM_THREADS in the environment is respected.
    """

    def __init__(self, gpus: Sequence[int] = (), jobs: int = 1) -> None:
        self.gpus = list(gpus)
        self.jobs = len(self.gpus) or jobs
        self.threads = num_threads(self.jobs)
        self.num_gpu = 1 if self.gpus else 0  # BasicSR's option
        self.device = f'cuda:{self.gpus[0]}' if self.gpus else 'cpu'
        self.kept_open: Sequence[int] = ()  # files that children hold open, too, see Workspace.locked
        self._slots: 'queue.Queue[Optional[int]]' = queue.Queue()
        for slot in self.gpus or [None] * self.jobs:
            self._slots.put(slot)
        self._children: Set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def description(self) -> str:
        """What the times are of: the device, threads, torch, and whether DIC's native operation is there."""
        if self.gpus:
            name = ', '.join(dict.fromkeys(torch.cuda.get_device_name(gpu) for gpu in self.gpus))
        else:
            threads = f'{self.threads} thread' + ('s' if self.threads > 1 else '')
            at_once = f', {self.jobs} processes at a time' if self.jobs > 1 else ''
            name = f'CPU ({processor()}), {threads} a process{at_once}'
            name += '' if native_is_available() else ', without the native operation of dic_plugin'
        return f'{name}; torch {torch.__version__}'

    @contextmanager
    def slot(self) -> Iterator[Optional[int]]:
        """A free GPU's number (None: a share of the CPU), for the time of the block."""
        slot = self._slots.get()
        try:
            yield slot
        finally:
            self._slots.put(slot)

    def run(self, arguments: Sequence[str], log: Path, slot: Optional[int]) -> None:
        """Run a Python process to its end; what it prints goes to ``log``.

        Raises:
            Failed: it failed or was stopped, with the reason that its output gives.
        """
        with open(log, 'ab') as file:
            begin = file.tell()
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
            raise Failed(reason_of(log.read_bytes()[begin:].decode('utf-8', 'replace'), code))

    def stop(self) -> None:
        """End all children, and start no more."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                if os.name == 'posix':
                    os.killpg(child.pid, signal.SIGTERM)  # loader workers, too
                else:
                    child.terminate()

    def _environment(self, slot: Optional[int]) -> Dict[str, str]:
        threads = str(self.threads)
        env = dict(os.environ, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, PYTHONUNBUFFERED='1')
        env['PYTHONPATH'] = os.pathsep.join(filter(None, [PACKAGE_ROOT, env.get('PYTHONPATH')]))
        visible = [name for name in env.get('CUDA_VISIBLE_DEVICES', '').split(',') if name]
        # an empty list hides the GPUs from a run on the CPU
        env['CUDA_VISIBLE_DEVICES'] = '' if slot is None else visible[slot] if visible else str(slot)
        return env


def reason_of(output: str, code: int) -> str:
    """Why a process failed, in one line: its last error, or else the last line of its output.

    >>> reason_of('Traceback (most recent call last):\\n  ...\\nValueError: no such face\\n  sorry', 1)
    'ValueError: no such face'
    """
    if code < 0:
        name = signal.Signals(-code).name
        return f'ended by {name}' + (' (out of memory, or killed from outside?)' if name == 'SIGKILL' else '')
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r'(Error in the options|[\w.]*(Error|Exception|Interrupt)):', line)]
    reason = (errors or lines or [f'exit status {code} without a word'])[-1]
    return reason if len(reason) <= LONGEST_REASON else reason[:LONGEST_REASON] + ' ...'


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads(jobs: int) -> int:
    """Threads for each of so many processes at a time: its part of the cores, or OMP_NUM_THREADS if that is less."""
    share = max(1, num_cores() // jobs)
    asked = os.environ.get('OMP_NUM_THREADS', '')
    return min(share, int(asked)) if asked.isdigit() and int(asked) > 0 else share


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        names: List[str] = re.findall(r'model name\s*: (.*)', Path('/proc/cpuinfo').read_text(encoding='utf-8'))
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
