"""The commands set OpenMP's wait policy before torch is loaded, unless the user has set it."""
import subprocess
import sys

import pytest

from helpers.paths import ROOT

# Stands in for dic_plugin.launch, and notes the policy at the time at which torch would be loaded.
CODE = '''
import os, sys, types
import dic_commands
assert 'torch' not in sys.modules and 'dic_plugin' not in sys.modules
launch = types.ModuleType('dic_plugin.launch')
launch.train = launch.test = lambda root: print(root, os.environ['OMP_WAIT_POLICY'])
package = types.ModuleType('dic_plugin')
package.launch = launch
sys.modules.update({'dic_plugin': package, 'dic_plugin.launch': launch})
dic_commands.WHAT('here')
'''


@pytest.mark.parametrize('what', ['train', 'test'])
@pytest.mark.parametrize('given, policy', [({}, 'passive'), ({'OMP_WAIT_POLICY': 'active'}, 'active')])
def test_wait_policy(what, given, policy):
    done = subprocess.run([sys.executable, '-S', '-c', CODE.replace('WHAT', what)], cwd=ROOT, env=given,
                          capture_output=True, text=True)  # yapf: disable
    assert (done.stdout.strip(), done.stderr) == (f'here {policy}', '')


@pytest.mark.parametrize('what', ['train', 'test'])
def test_launcher_of_the_repository_uses_the_command(what):
    """A mistake on the command line ends it before anything is trained."""
    done = subprocess.run([sys.executable, f'basicsr/{what}.py', '-opt', 'missing.yml'], cwd=ROOT,
                          capture_output=True, text=True)  # yapf: disable
    assert done.returncode == 2 and '-opt missing.yml: No such file or directory' in done.stderr
