"""Both ways of running the plugin, as real processes; resuming; what is said of bad options before any building."""
import importlib
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import basicsr.train
import pytest
import torch
import yaml
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY

import dic_plugin
from dic_plugin import compat, launch
from dic_plugin.utils.option_check import OptionError
from dic_plugin.launch.resume import load_resume_state

ROOT = Path(dic_plugin.__file__).resolve().parent.parent
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
                          text=True,
                          timeout=600)
    written = done.stdout + done.stderr
    assert done.returncode == code, written[-4000:]
    return written


@pytest.fixture
def option_file(tmp_path):
    """Options of a run that trains on drawn faces by BasicSR's own SRModel; ``option_file(**changes)`` writes them."""
    faces = {'type': 'SyntheticFaceDataset', 'num_images': 4, 'gt_size': 32}

    def write(**changes):
        opt = {
            'name': 'toy',
            'model_type': 'SRModel',
            'scale': 8,
            'num_gpu': 0,
            'manual_seed': 0,
            'datasets': {
                'train': dict(faces, name='faces', batch_size_per_gpu=2, num_worker_per_gpu=0),
                'val': dict(faces, name='unseen', seed=1)
            },
            'network_g': {
                'type': 'EDSR',
                'num_in_ch': 3,
                'num_out_ch': 3,
                'num_feat': 4,
                'num_block': 1,
                'upscale': 8
            },
            'path': {
                'pretrain_network_g': None,
                'resume_state': None
            },
            'train': {
                'total_iter': 2,
                'pixel_opt': {
                    'type': 'L1Loss'
                },
                'optim_g': {
                    'type': 'Adam',
                    'lr': 1e-3
                },
                'scheduler': {
                    'type': 'MultiStepLR',
                    'milestones': [1]
                }
            },
            'val': {
                'val_freq': 2,
                'save_img': False,
                'suffix': None,
                'metrics': {
                    'psnr': {
                        'type': 'calculate_psnr',
                        'crop_border': 8
                    }
                }
            },
            'logger': {
                'print_freq': 1,
                'save_checkpoint_freq': 1,
                'use_tb_logger': False
            },
        }
        opt.update(changes)
        path = tmp_path / 'toy.yml'
        path.write_text('plugin: !!python/name:dic_plugin.__version__\n' + yaml.safe_dump(opt, sort_keys=False))
        return path

    return write


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
    log = run(tmp_path, '-c', command, '-opt', option_file(), '--force_yml', 'train:total_itr=3', code=2)
    line = "Error in the options: train:total_itr: no such option; did you mean 'total_iter'? Known here: "
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


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_loader_workers(method):
    dataset = DATASET_REGISTRY.get('SyntheticFaceDataset')({
        'name': 'faces',
        'num_images': 2,
        'gt_size': 32,
        'scale': 8,
        'phase': 'val'
    })
    loader = torch.utils.data.DataLoader(dataset, num_workers=1, multiprocessing_context=method)
    for here, there in zip(dataset, loader):
        assert torch.equal(here['gt'], there['gt'][0])


def test_functional_tensor_is_found_on_any_torchvision():
    module = importlib.import_module('torchvision.transforms.functional_tensor')
    grey = module.rgb_to_grayscale(torch.ones(1, 3, 2, 2))
    assert grey.shape == (1, 1, 2, 2)


def test_local_rank_in_both_spellings():
    assert compat.underscore_local_rank(['--local-rank=1', '-opt', 'a-b.yml']) == ['--local_rank=1', '-opt', 'a-b.yml']


# ------------------------------------------------------------ bad command lines, in this process
@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """``train(arguments)`` runs dic-train in tmp_path and returns its exit status and what it says."""

    def train_with(*arguments):
        monkeypatch.setattr(sys, 'argv', ['dic-train', *map(str, arguments)])
        status = launch.train(str(tmp_path))
        return status, capsys.readouterr().err

    return train_with


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
    ('name: a\n', 'num_gpu: missing in'),
    ('name: a\nnum_gpu: 0\npath:\ndatasets:\n  train:\n', 'datasets: expected options|path: expected options'),
    ('name: a\nnum_gpu: 0\npath: {}\ndatasets:\n  train:\n', 'datasets:train: expected options'),
])
def test_option_files_that_are_none(train, tmp_path, content, said):

    path = tmp_path / 'opt.yml'
    if content is not None:
        path.write_text(content)
    status, message = train('-opt', path)
    assert status == 2
    assert re.search(f'Error in the options: .*({said})', message, re.DOTALL), message


def test_distributed_needs_a_launcher(train, option_file):
    assert train('-opt', option_file(), '--launcher', 'pytorch') == (
        2, 'Error in the options: --launcher pytorch: RANK is not set; expected a start by torchrun, such as '
        '`torchrun --nproc_per_node=2 ...`.\n')


def test_basicsr_is_left_as_it_was(train, option_file):
    before = dict(vars(basicsr.train))
    train('-opt', option_file(model_type='NoSuchModel'))
    assert dict(vars(basicsr.train)) == before


# ------------------------------------------------------------ resuming
def resume_options(folder, **path):
    return {
        'auto_resume': True,
        'is_train': True,
        'train': {
            'total_iter': 2000
        },
        'network_g': {},
        'path': dict(path, training_states=str(folder), models=str(folder), resume_state=path.get('resume_state'))
    }


def save_state(path, iteration):
    schedulers = [{'milestones': Counter([1, 2])}]
    torch.save({
        'epoch': 0,
        'iter': iteration,
        'optimizers': [{
            'step': torch.zeros(1)
        }],
        'schedulers': schedulers
    }, path)
    torch.save({'params': {}}, path.with_name(f'net_g_{iteration}.pth'))


def test_auto_resume_takes_the_last_state(tmp_path):
    for iteration in (900, 1000, 20):
        save_state(tmp_path / f'{iteration}.state', iteration)
    opt = resume_options(tmp_path)
    state = load_resume_state(opt)
    assert state['iter'] == 1000 and state['schedulers'][0]['milestones'] == Counter([1, 2])
    assert opt['path']['resume_state'] == str(tmp_path / '1000.state')
    assert opt['path']['pretrain_network_g'] == str(tmp_path / 'net_g_1000.pth')


def test_auto_resume_passes_over_a_state_cut_short(tmp_path, capsys):
    save_state(tmp_path / '1.state', 1)
    save_state(tmp_path / '2.state', 2)
    whole = (tmp_path / '2.state').read_bytes()
    (tmp_path / '2.state').write_bytes(whole[:len(whole) // 2])
    assert load_resume_state(resume_options(tmp_path))['iter'] == 1
    assert '2.state: cannot be read as a checkpoint' in capsys.readouterr().err


def test_nothing_to_resume_from(tmp_path):
    assert load_resume_state(resume_options(tmp_path / 'none')) is None
    assert load_resume_state(resume_options(tmp_path)) is None
    assert load_resume_state(dict(resume_options(tmp_path), auto_resume=False)) is None


class Harmful:

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path, )


@pytest.mark.parametrize('content', ['missing', 'not a state', 'code', 'empty', 'text'])
def test_a_state_that_is_none(tmp_path, content):
    path = tmp_path / '1.state'
    if content == 'not a state':
        torch.save({'params': {}}, path)
    elif content == 'empty':
        path.touch()
    elif content == 'text':
        path.write_text('iter: 1')
    elif content == 'code':
        path.write_bytes(pickle.dumps(Harmful(tmp_path / 'ran'), protocol=2))
    opt = dict(resume_options(tmp_path, resume_state=str(path)), auto_resume=False)
    with pytest.raises(
            OptionError, match=r'^path:resume_state: .*1\.state: (cannot be read|not a training state|no such file)'):
        load_resume_state(opt)
    assert not (tmp_path / 'ran').exists()


def test_training_is_resumed_without_a_gpu(train, option_file, tmp_path):
    assert train('-opt', option_file())[0] == 0
    assert train('-opt', option_file(), '--auto_resume', '--force_yml', 'train:total_iter=4')[0] == 0
    state = torch.load(tmp_path / 'experiments/toy/training_states/4.state', weights_only=True)
    assert state['iter'] == 4 and state['optimizers'][0]['state'][0]['step'] == 4
