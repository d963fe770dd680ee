"""Install BasicSR in the Python that runs this: python scripts/install_basicsr.py

BasicSR's ``setup.py`` reads ``locals()['__version__']`` after an ``exec``, which Python 3.13 and later do not fill
(PEP 667), so that pip cannot build it there. While pip runs, an ``exec`` without namespaces works on its caller's: a
``sitecustomize`` in a temporary folder on PYTHONPATH, in pip's processes only. The same way is taken on every Python.
Other arguments are given to pip instead of ``install basicsr``, for what else needs that: ``download basicsr-fixed``.
``--supported`` installs nothing and only checks the version of Python.
"""
import importlib.util
import os
import runpy
import subprocess
import sys
import tempfile
from typing import List

ABOUT = runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../dic_plugin/version.py'))
OLDEST, NEWEST = ABOUT['OLDEST_PYTHON'], ABOUT['NEWEST_PYTHON']
BUILD_NEEDS = ['cython', 'numpy', 'setuptools>=77,<81', 'wheel']
SITECUSTOMIZE = '''
import builtins
import importlib.machinery
import importlib.util
import os
import sys

plain_exec = builtins.exec


def exec_in_caller(source, *namespaces, **options):
    if namespaces or options:
        return plain_exec(source, *namespaces, **options)
    caller = sys._getframe(1)
    return plain_exec(source, caller.f_globals, caller.f_locals)


builtins.exec = exec_in_caller

# this file stands before the environment's own of that name, which is run as well
here = os.path.dirname(os.path.abspath(__file__))
others = [folder for folder in sys.path if os.path.abspath(folder) != here]
spec = importlib.machinery.PathFinder.find_spec('sitecustomize', others)
if spec is not None and spec.loader is not None:
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
'''


def pip(arguments: List[str], patched: bool = False) -> None:
    """Run pip with these arguments; on failure end with its last line.

    Raises:
        SystemExit: pip failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ)
        if patched:
            with open(os.path.join(folder, 'sitecustomize.py'), 'w', encoding='utf-8') as file:
                file.write(SITECUSTOMIZE)
            env['PYTHONPATH'] = os.pathsep.join(filter(None, [folder, env.get('PYTHONPATH')]))
        done = subprocess.run(
            [sys.executable, '-m', 'pip', *arguments[:1], '--quiet', '--disable-pip-version-check', '--no-input',
             *arguments[1:]], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # yapf: disable
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if 'error' in line.lower()]
        sys.exit(f'pip {" ".join(arguments)} failed: {_reason(done.stderr) or (errors or lines or ["no message"])[-1]}')


def _reason(output: str) -> str:
    if 'NewConnectionError' in output or '(from versions: none)' in output:
        return 'the package index cannot be reached, or offers nothing for this Python; check the network.'
    if any(
            sign in output
            for sign in ("command 'gcc' failed", "command 'cc' failed", 'No such file or directory: \'gcc',
                         'Microsoft Visual C++', "command 'x86_64-linux-gnu-gcc' failed")):
        return 'a package has to be compiled here, and no C++ compiler works; install one (Debian: apt install g++).'
    return ''


def main(arguments: List[str]) -> None:
    """Install BasicSR, or run another pip command in the same way."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit('Python {}.{} to {}.{} is needed; this is {}.{}.'.format(*OLDEST, *NEWEST, *sys.version_info[:2]))
    if arguments == ['--supported']:
        return
    if arguments:
        pip(arguments, patched=True)
        return
    pip(['install', *BUILD_NEEDS])  # dic_plugin is built with them also
    found = importlib.util.find_spec('basicsr')
    if found is not None and found.origin is not None:
        print('BasicSR is installed already.')
        return
    if importlib.util.find_spec('torch') is None:
        pip(['install', 'torch', 'torchvision'])
    pip(['install', '--no-build-isolation', 'basicsr'], patched=True)


if __name__ == '__main__':
    main(sys.argv[1:])
