"""Scripts as processes that need not import anything: forks of a server that has imported the plugin."""
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from multiprocessing import forkserver
from unittest import mock

import torch

STARTED = []  # conftest.py ends them with their test


class Forked:
    """A Python process in a group of its own, with what tests use of subprocess.Popen.

    Args:
        arguments: Those of Python: a script, ``-m`` and a module or ``-c`` and code, and what they take.
        cwd: Its working directory. Default: this one's.
        env: Its environment, with one thread whatever that says. Default: this one's.
        stdout: File for what it writes to standard output and standard error; ``communicate`` returns it.
    """

    def __init__(self, arguments, cwd=None, env=None, stdout=None):
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(['dic_plugin.launch.pipeline', 'dic_plugin.cli.infer'])
        with mock.patch.dict(os.environ, OMP_NUM_THREADS='1', OPENCV_FOR_THREADS_NUM='1'):  # a fork loses threads
            forkserver.ensure_running()
        self._said, self._is_mine = stdout or tempfile.NamedTemporaryFile(delete=False), stdout is None
        arguments = (list(map(str, arguments)), str(cwd or os.getcwd()), dict(env or os.environ), self._said.name)
        self._process = context.Process(target=_run, args=arguments)
        self._process.start()
        self.pid = self._process.pid
        STARTED.append(self)

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._said.name, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        self.wait(timeout)
        with open(self._said.name, errors='replace') as file:
            return file.read(), None

    def send_signal(self, signum):
        if self.returncode is None:
            os.kill(self.pid, signum)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def clean(self):
        """End it and whatever it has started."""
        self.kill()
        self._process.join()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if self._is_mine:
            self._said.close()
            os.remove(self._said.name)


def start(arguments, cwd=None, env=None):
    """Return a Forked, or a subprocess.Popen where there is no fork."""
    if 'forkserver' in multiprocessing.get_all_start_methods():
        return Forked(arguments, cwd, env)
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # yapf: disable


def run(arguments, code=0, timeout=240, **settings):
    """Return what a process says; it must end with this status."""
    process = start(arguments, **settings)
    said, _ = process.communicate(timeout)
    assert process.returncode == code, said[-4000:]
    return said


def _run(arguments, cwd, environment, said):
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # as in a new process: here it is this one's
    file = os.open(said, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    if arguments[0] == '-c':
        sys.argv = ['-c', *arguments[2:]]
        exec(compile(arguments[1], '-c', 'exec'), {'__name__': '__main__'})
    elif arguments[0] == '-m':
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name='__main__')
