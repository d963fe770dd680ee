"""A training keeps the memory that it has used."""
import ctypes
import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT

CODE = '''
import importlib.util, resource, sys
spec = importlib.util.spec_from_file_location('memory', sys.argv[1])
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(2**26)
    block[::4096] = bytes(2**14)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = [faults() for _ in range(3)]
with memory.memory_kept():
    kept = [faults() for _ in range(3)]
print(plain[2], kept[2], faults())
'''


@pytest.mark.skipif(sys.platform != 'linux' or not hasattr(ctypes.CDLL(None), 'mallopt'), reason='needs glibc')
@pytest.mark.parametrize('variables', [{}, dict(MALLOC_MMAP_THRESHOLD_='131072')])
def test_blocks_are_used_again_unless_the_user_has_settings(variables):
    command = [sys.executable, '-c', CODE, str(ROOT / 'dic_plugin/launch/memory.py')]
    environment = {name: value for name, value in os.environ.items() if not name.startswith('MALLOC_')}
    done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, check=True)
    plain, kept, after = map(int, done.stdout.split())
    assert min(plain, after) > 10000
    assert kept > 10000 if variables else kept < 100
