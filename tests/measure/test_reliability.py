"""The campaigns of reliability, in short; each finding of a long one has a test beside the code that it was in."""
import json
import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == 'win32', reason='forks processes')
@pytest.mark.parametrize('campaign, number', [('bad-input', 110), ('kills', 5)])
def test_nothing_goes_wrong(tmp_path, campaign, number):
    command = [sys.executable, ROOT / 'scripts/measure/reliability.py', campaign, '--number', number, '-o', tmp_path]
    environment = dict(os.environ, RELIABILITY_SECONDS='90')  # other tests run beside it
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=800)
    result = json.loads((tmp_path / f'{campaign}.json').read_text())
    assert result['findings'] == [] and result['cases'] >= number and done.returncode == 0, done.stdout[-3000:]
