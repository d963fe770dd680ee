"""The suite's own safety: a limit for every test, and no process left behind."""
import subprocess
import sys

import pytest

from helpers.paths import ROOT

HANGING = '''
import subprocess, sys, time

def test_hangs():
    subprocess.run([sys.executable, '-c', 'import subprocess, sys; print(1, flush=True); '
                    'subprocess.run([sys.executable, "-c", "import time; time.sleep(99999)", "hang_of_MARK"])'])
'''


@pytest.mark.slow
def test_a_test_that_hangs_fails_and_leaves_no_process(tmp_path):
    (tmp_path / 'conftest.py').write_text((ROOT / 'tests/conftest.py').read_text())
    mark = tmp_path.name
    (tmp_path / 'test_it.py').write_text(HANGING.replace('MARK', mark))
    command = [sys.executable, '-m', 'pytest', '-q', '-c', ROOT / 'pyproject.toml', '--rootdir', tmp_path, tmp_path,
               '-o', 'timeout=5', '-p', 'no:cacheprovider']  # yapf: disable
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and 'Timeout' in done.stdout, done.stdout + done.stderr
    left = subprocess.run(['pgrep', '-f', f'hang_of_{mark}'], capture_output=True, text=True)
    assert left.stdout == ''
