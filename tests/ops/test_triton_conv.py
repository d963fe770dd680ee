"""The Triton kernel, by Triton's interpreter on the CPU: in a process of its own, which imports Triton so."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dic_plugin.ops import triton_conv

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not triton_conv.is_available(), reason='Triton 3.3 or later is not installed')
def test_kernel_agrees_with_torch_in_the_interpreter():
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/ops/triton_cases.py'],
                          cwd=ROOT,
                          env={
                              **os.environ, 'TRITON_INTERPRET': '1',
                              'OMP_NUM_THREADS': '1',
                              'PYTEST_ADDOPTS': ''
                          },
                          capture_output=True,
                          text=True,
                          timeout=500)
    assert done.returncode == 0 and re.search(r'6 passed', done.stdout), done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize('version, expected', [('3.2.0', False), ('3.3.0', True), ('4.0.1+git', True)])
def test_versions_that_take_lists_of_maps(monkeypatch, version, expected):
    triton = pytest.importorskip('triton')
    monkeypatch.setattr(triton, '__version__', version)
    assert triton_conv.is_available.__wrapped__() is expected
