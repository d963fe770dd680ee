"""scripts/install_basicsr.py, without a network: pip itself is played by a module that says what pip would."""
import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT

SCRIPT = ROOT / 'scripts/install_basicsr.py'
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason='tests the sources, which are not here')

# What BasicSR's setup.py does; from Python 3.13 on only a patched exec makes it work.
SETUP = '''
def version():
    exec("__version__ = '1.4.2'")
    return locals()['__version__']
'''
PIP = '''
import os, sys
with open(os.environ['CALLS'], 'a') as calls:
    print(*sys.argv[1:], file=calls)
if 'basicsr' in sys.argv or 'download' in sys.argv:
    print(*os.environ['SAYS'].split('|'), sep='\\n', file=sys.stderr)
    from setup_like import version
    assert version() == '1.4.2'
    sys.exit(int(os.environ['STATUS']))
'''


@pytest.fixture
def install(tmp_path):
    """``install(*arguments)`` runs it where torch is and BasicSR is not; returns status, errors and pip's calls."""
    (tmp_path / 'pip').mkdir()
    (tmp_path / 'pip/__init__.py').touch()
    (tmp_path / 'pip/__main__.py').write_text(PIP)
    (tmp_path / 'setup_like.py').write_text(SETUP)
    (tmp_path / 'torch').mkdir()
    (tmp_path / 'torch/__init__.py').touch()

    def run(*arguments, says='', status=0, before=''):
        calls = tmp_path / 'calls.txt'
        calls.write_text('')
        env = dict(os.environ, PYTHONPATH=str(tmp_path), CALLS=str(calls), SAYS=says, STATUS=str(status))
        code = f'import runpy, sys\n{before}\nsys.argv = {[str(SCRIPT), *arguments]!r}\n'
        code += f'runpy.run_path({str(SCRIPT)!r}, run_name="__main__")'
        # -S: without the installed packages; pip's processes have them, and the pip of PYTHONPATH before
        done = subprocess.run([sys.executable, '-S', '-c', code], env=env, capture_output=True, text=True)
        return done.returncode, done.stderr.strip(), calls.read_text().splitlines()

    return run


def test_one_way_on_every_python(install):
    status, errors, calls = install()
    assert (status, errors) == (0, '')
    assert len(calls) == 2 and calls[0].startswith('install --quiet') and calls[0].endswith('setuptools>=77,<81 wheel')
    assert calls[1].endswith('--no-build-isolation basicsr')


def test_arguments_are_given_to_pip(install):
    status, _, calls = install('download', '--no-deps', 'basicsr-fixed')
    assert status == 0 and calls == ['download --quiet --disable-pip-version-check --no-input --no-deps basicsr-fixed']


@pytest.mark.parametrize('says, reason', [
    ("WARNING: Retrying after NewConnectionError|ERROR: No matching distribution found for basicsr",
     'the package index cannot be reached, or offers nothing for this Python; check the network.'),
    ("  error: command 'gcc' failed: No such file or directory|ERROR: Failed to build basicsr",
     'a package has to be compiled here, and no C++ compiler works; install one (Debian: apt install g++).'),
    ('a line|ERROR: the disk is full|  another line', 'ERROR: the disk is full'),
    ('ERROR: Could not find a version that satisfies the requirement basicsr (from versions: none)|ERROR: No matching',
     'the package index cannot be reached, or offers nothing for this Python; check the network.'),
    ('something else', 'something else'),
])
def test_a_failure_is_one_line(install, says, reason):
    status, errors, _ = install(says=says, status=1)
    assert status == 1
    assert errors == f'pip install --no-build-isolation basicsr failed: {reason}'


def test_the_environments_own_sitecustomize_is_run_as_well(install, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(f'open({str(tmp_path / "ran")!r}, "a").write("x")')
    assert install()[0] == 0
    assert (tmp_path / 'ran').read_text() == 'xx'  # by both of pip's processes


@pytest.mark.parametrize('found', [(3, 9), (3, 15)])
def test_another_python_is_one_line(install, found):
    status, errors, calls = install('--supported', before=f'sys.version_info = {(*found, 0)}')
    assert status == 1 and calls == []
    assert errors == f'Python 3.10 to 3.14 is needed; this is {found[0]}.{found[1]}.'


def test_this_python_is_supported(install):
    assert install('--supported') == (0, '', [])


@pytest.mark.slow  # bash
def test_setup_env_names_a_python_that_is_too_old(tmp_path):
    python = tmp_path / 'python3'
    python.write_text('#!/bin/sh\necho "Python 3.10 to 3.14 is needed; this is 3.9." >&2; exit 1\n')
    python.chmod(0o755)
    env = dict(os.environ, DIC_VENV=str(tmp_path / 'venv'), DIC_PYTHON=str(python))
    done = subprocess.run(['bash', str(ROOT / 'scripts/setup_env.sh')], env=env, capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / 'venv').exists()
    assert done.stderr.splitlines() == [
        'Python 3.10 to 3.14 is needed; this is 3.9.',
        f'[setup] error: DIC_PYTHON is {python}; expected a supported Python.'
    ]
