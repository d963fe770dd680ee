"""Both ways of running the plugin, as real processes; resuming; what is said of bad options before any building."""
import importlib
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY

import basicsr.train
import dic_plugin
from dic_plugin.launch.command_line import normalised
from helpers.paths import ROOT

# A real run on the shipped option files, made tiny.
TINY_NET = [
    f'network_g:{key}={value}'
    for key, value in dict(num_feat=8, num_groups=1, num_steps=2, hg_num_feat=16, num_fusion_block=1).items()
]
TINY_TRAIN = [
    'name=tiny', 'train:total_iter=2', 'val:val_freq=2', 'logger:print_freq=1', 'logger:save_checkpoint_freq=2',
    'datasets:train:num_images=4', 'datasets:train:batch_size_per_gpu=2', 'datasets:train:num_worker_per_gpu=1',
    'datasets:val:num_images=2', *TINY_NET
]
TINY_TEST = [
    'name=tiny', 'datasets:test:num_images=2', 'path:pretrain_network_g=experiments/tiny/models/net_g_latest.pth',
    *TINY_NET
]


def run(cwd, *command, pythonpath=(), code=0):
    """Run Python there, with this repository's package; returns what it wrote."""
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([*map(str, pythonpath), str(ROOT)]))
    done = subprocess.run([sys.executable, *map(str, command)],
                          cwd=cwd,
                          env=env,
                          stdin=subprocess.DEVNULL,
                          capture_output=True,
                          text=True)
    written = done.stdout + done.stderr
    assert done.returncode == code, written[-4000:]
    return written


@pytest.mark.slow
# ------------------------------------------------------------ real processes
def test_way_1_an_unmodified_checkout_of_basicsr(tmp_path):
    checkout = os.environ.get('DIC_BASICSR_CHECKOUT')
    if not checkout:
        pytest.skip('DIC_BASICSR_CHECKOUT names no checkout of BasicSR; scripts/run_tests.sh provides one')
    copy = tmp_path / 'BasicSR'
    shutil.copytree(checkout, copy)
    log = run(
        copy, 'basicsr/train.py', '-opt', ROOT / 'options/train_DIC.yml', '--force_yml', *TINY_TRAIN, pythonpath=[copy])
    assert 'iter:       2' in log and 'End of training' in log
    assert (copy / 'experiments/tiny/models/net_g_latest.pth').is_file()
    log = run(
        copy, 'basicsr/test.py', '-opt', ROOT / 'options/test_DIC.yml', '--force_yml', *TINY_TEST, pythonpath=[copy])
    assert 'psnr: ' in log
    assert list((copy / 'results/tiny').glob('test_tiny_*.log'))


@pytest.mark.slow
def test_way_2_the_launchers_of_this_repository(tmp_path):
    shutil.copytree(ROOT / 'basicsr', tmp_path / 'basicsr')  # what they write goes to the folder above theirs
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    train = ('-opt', ROOT / 'options/train_DIC.yml', '--force_yml', *TINY_TRAIN)
    log = run(tmp_path, 'basicsr/train.py', *train)
    assert 'iter:       2' in log and 'End of training' in log
    assert (tmp_path / 'experiments/tiny/models/net_g_latest.pth').is_file()
    log = run(elsewhere, tmp_path / 'basicsr/train.py', *train, 'train:total_iter=3', '--auto_resume')
    # all faces of epoch 0 were seen
    assert 'Resuming training from epoch: 1, iter: 2.' in log and 'iter:       3' in log
    log = run(tmp_path, 'basicsr/test.py', '-opt', ROOT / 'options/test_DIC.yml', '--force_yml', *TINY_TEST)
    assert 'psnr: ' in log
    assert list((tmp_path / 'results/tiny').glob('test_tiny_*.log'))
    assert not list(elsewhere.iterdir())


def test_a_misspelt_option_ends_the_process_with_one_line(tmp_path, option_file):
    command = 'import sys; from dic_plugin.launch import train; sys.exit(train())'
    log = run(tmp_path, '-c', command, '-opt', option_file(), '--force_yml', 'train:optim_g:lrr=3', code=2)
    line = "Error in the options: train:optim_g:lrr: no such option; did you mean 'lr'? Known here: "
    assert line in log and 'Traceback' not in log
    assert not (tmp_path / 'experiments').exists()


def test_without_basicsr_the_import_says_what_to_install(tmp_path):
    code = f'import sys; sys.path.insert(0, {str(ROOT)!r}); import dic_plugin'
    log = run(tmp_path, '-S', '-c', code, code=1)  # -S: without the installed packages
    assert 'ModuleNotFoundError: BasicSR is not installed in this Python: `pip install' in log


def test_the_launchers_do_not_shadow_the_installed_package():
    assert sorted(path.name for path in (ROOT / 'basicsr').glob('*.py')) == ['test.py', 'train.py']
    code = 'import dic_plugin, basicsr; print(basicsr.__version__)'
    assert run(ROOT, '-c', code).split()[-1] == basicsr.__version__


# ------------------------------------------------------------ importing
def test_importing_twice_registers_once():
    before = dict(iter(ARCH_REGISTRY))
    assert importlib.reload(dic_plugin).__version__ == dic_plugin.__version__
    assert dict(iter(ARCH_REGISTRY)) == before
    assert {'DIC', 'AttentiveFusion', 'FeedbackHourglass'} <= set(before)


def test_functional_tensor_is_found_on_any_torchvision():
    module = importlib.import_module('torchvision.transforms.functional_tensor')
    grey = module.rgb_to_grayscale(torch.ones(1, 3, 2, 2))
    assert grey.shape == (1, 1, 2, 2)


def test_local_rank_in_both_spellings():
    assert normalised(['--local-rank=1', '-opt', 'a-b.yml']) == ['--local_rank=1', '-opt', 'a-b.yml']


# ------------------------------------------------------------ bad command lines, in this process
@pytest.mark.parametrize('forced, said', [
    ('network_g:type=DICC', "network_g:type: DICC: no such arch; did you mean 'DIC'?"),
    ('datasets:val:type=SyntheticFaceDatset', "datasets:val:type: .* did you mean 'SyntheticFaceDataset'?"),
    ('network_g:num_fet=4', "network_g:num_fet: no such option; did you mean 'num_feat'?"),
    ('trian:total_iter=4', 'the option file has no section trian'),
    ('train:optimg:lr=4', 'the option file has no section train:optimg'),
    ('train:total_iter', 'expected section:key=value'),
    ('network_g=5', 'network_g: expected options'),
])
def test_forced_options_are_checked(train, option_file, tmp_path, forced, said):
    status, message = train('-opt', option_file(), '--force_yml', forced)
    assert status == 2
    assert message.count('\n') == 1
    assert re.search(f'^Error in the options: .*{said}'.replace('?', r'\?'), message), message
    assert not (tmp_path / 'experiments').exists()


@pytest.mark.parametrize('content, said', [
    (None, 'No such file or directory'),
    ('', 'expected options'),
    ('- a\n- b\n', 'expected options'),
    ('name: [', 'not an option file'),
    ('plugin: !!python/name:no_such_plugin.x\n', "cannot|could not|no_such_plugin"),
    ('name: !!python/object/apply:os.mkdir [RAN]\n', 'could not determine a constructor'),
    ('name: a\n', 'num_gpu: missing in'),
    ('name: a\nnum_gpu: 0\npath:\ndatasets:\n  train:\n', 'datasets: expected options|path: expected options'),
    ('name: a\nnum_gpu: 0\npath: {}\ndatasets:\n  train:\n', 'datasets:train: expected options'),
])
def test_option_files_that_are_none(train, tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'opt.yml'
    if content is not None:
        path.write_text(content)
    status, message = train('-opt', path)
    assert status == 2
    assert re.search(f'Error in the options: .*({said})', message, re.DOTALL), message
    assert not (tmp_path / 'RAN').exists()


def test_distributed_needs_a_launcher(train, option_file):
    assert train('-opt', option_file(), '--launcher', 'pytorch') == (
        2, 'Error in the options: --launcher pytorch: RANK is not set; expected a start by torchrun, such as '
        '`torchrun --nproc_per_node=2 ...`.\n')


def test_basicsr_is_left_as_it_was(train, option_file):
    before = dict(vars(basicsr.train))
    train('-opt', option_file(model_type='NoSuchModel'))
    assert dict(vars(basicsr.train)) == before
