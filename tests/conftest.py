"""Imports the plugin before any test does, so that tests may import BasicSR on any torchvision."""
import multiprocessing
import os
import signal
import subprocess
import sys

import hypothesis
import pytest
import torch
import yaml

import dic_plugin  # noqa: F401
from dic_plugin import launch
from helpers import forked

# fork, forkserver or spawn: how loader workers are started, see CONTRIBUTING.md. Python has its own default.
if os.environ.get('DIC_START_METHOD'):
    multiprocessing.set_start_method(os.environ['DIC_START_METHOD'], force=True)

hypothesis.settings.register_profile('no timing', deadline=None)
hypothesis.settings.load_profile('no timing')

# Files that take longest, which begin first: one that began last would run on alone, on one of the cores.
LONGEST = ('test_quickstart.py', 'test_start_methods.py', 'test_stopping.py', 'test_reliability.py',
           'test_speed_options.py', 'test_to_the_end.py', 'test_launch.py', 'test_benchmark_speed.py',
           'test_prepare_faces.py', 'test_two_hosts.py', 'test_golden_rivals.py', 'test_dic_arch.py',
           'test_triton_conv.py', 'test_benchmark_parts.py', 'test_demo_page.py', 'test_golden.py',
           'test_benchmark_run.py', 'test_face_restorer.py', 'test_no_hang.py', 'test_distributed.py',
           'test_packaging.py', 'test_exact_resume.py')


def pytest_collection_modifyitems(items):
    """Within a file the order stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def no_process_outlives_its_test(monkeypatch):
    """Give the processes that a test starts a group of their own, and kill it when the test ends in any way."""
    started, plain = [], subprocess.Popen.__init__

    def init(self, *args, **kwargs):
        if os.name == 'posix':
            kwargs.setdefault('start_new_session', True)
        plain(self, *args, **kwargs)
        started.append(self)

    monkeypatch.setattr(subprocess.Popen, '__init__', init)
    yield
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL) if os.name == 'posix' else process.kill()
        except (ProcessLookupError, PermissionError):  # all of them have ended
            pass
    while forked.STARTED:
        forked.STARTED.pop().clean()


@pytest.fixture(autouse=True)
def denormals():
    """Training models flush denormals for the whole process; the next test must not notice."""
    yield
    torch.set_flush_denormal(False)


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


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """``train(arguments)`` runs dic-train in tmp_path, in this process; returns its exit status and what it says."""

    def train_with(*arguments):
        monkeypatch.setattr(sys, 'argv', ['dic-train', *map(str, arguments)])
        status = launch.train(str(tmp_path))
        return status, capsys.readouterr().err

    return train_with
