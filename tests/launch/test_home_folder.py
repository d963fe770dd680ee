"""``~`` is the home folder in every path of an option file and of a command line, also where no shell has seen it."""
import argparse
import importlib.util
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dic_plugin.utils.option_check import check_options
from dic_plugin.utils.shipped_options import option_file
from helpers.paths import ROOT

# text arguments of our commands that are no paths
NO_PATHS = {'device', 'force_yml', 'suffix', 'trained_on', 'gpus', 'models', 'network', 'version'}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('USERPROFILE', str(tmp_path / 'home'))
    (tmp_path / 'home').mkdir()
    return tmp_path / 'home'


def commands():
    scripts = [file for file in sorted((ROOT / 'scripts').rglob('*.py')) if 'argparse' in file.read_text()]
    modules = [file for file in sorted((ROOT / 'dic_plugin').rglob('*.py'))
               if 'def main(' in file.read_text() and 'ArgumentParser(' in file.read_text()]  # yapf: disable
    return [pytest.param(file, id=str(file.relative_to(ROOT))) for file in scripts + modules]


@pytest.mark.parametrize('file', commands())
def test_every_path_argument_of_a_command(file, monkeypatch):
    """An argument that takes text is either expanded or known to be no path."""
    parsers = []

    def parse_args(self, *arguments, **kwargs):
        parsers.append(self)
        raise SystemExit

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
    name = '.'.join(file.relative_to(ROOT).with_suffix('').parts)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, 'parse', None) or module.main
    try:
        function(*[[], ''][:function.__code__.co_argcount])
    except SystemExit:
        pass
    assert len(parsers) == 1
    for action in parsers[0]._actions:
        takes_text = action.type is None and action.choices is None and action.nargs != 0
        assert not takes_text or action.dest in NO_PATHS, f'{action.dest} is not expanded: type=os.path.expanduser'


def test_the_option_file_itself(train, option_file, home):
    shutil.move(option_file(), home / 'toy.yml')
    assert train('-opt', '~/toy.yml')[0] == 0
    assert train('-opt=~/toy.yml')[0] == 0


@pytest.mark.parametrize('name', ['train_DIC', 'train_DIC.yml', 'benchmark/synthetic_x8'])
def test_shipped_option_files_by_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(option_file(name))
    assert path == ROOT / 'options' / f'{name.removesuffix(".yml")}.yml' and path.is_file()
    (tmp_path / 'train_DIC').touch()
    assert option_file('train_DIC') == 'train_DIC'  # a file of that path comes first
    assert option_file('no_such') == 'no_such'


def test_paths_of_networks_and_states(train, option_file, home, tmp_path):
    assert train('-opt', option_file())[0] == 0
    shutil.move(tmp_path / 'experiments/toy', home / 'toy')
    for forced in ('path:pretrain_network_g=~/toy/models/net_g_2.pth',
                   'path:resume_state=~/toy/training_states/2.state'):
        status, said = train('-opt', option_file(), '--force_yml', 'train:total_iter=3', forced)
        assert status == 0, said


def test_paths_of_datasets(train, option_file, home):
    (home / 'faces').mkdir()
    for number in range(4):
        cv2.imwrite(str(home / f'faces/{number}.png'), np.zeros((32, 32, 3), np.uint8))
    (home / 'names.txt').write_text('1.png\n2.png\n')
    train_set = dict(name='faces', type='FaceLandmarkDataset', dataroot_gt='~/faces', meta_info_file='~/names.txt',
                     gt_size=32, batch_size_per_gpu=2, num_worker_per_gpu=0)  # yapf: disable
    pairs = dict(name='pairs', type='PairedImageDataset', dataroot_gt='~/faces', dataroot_lq='~/faces',
                 io_backend=dict(type='disk'))  # yapf: disable
    status, said = train('-opt', option_file(datasets=dict(train=train_set, val=pairs), val=None))
    assert status == 0, said


@pytest.mark.parametrize('section, key', [('path', 'pretrain_network_hourglass'), ('path', 'pretrain_network_g'),
                                          ('val', 'evaluator')])  # yapf: disable
def test_paths_of_our_models(home, section, key):
    opt = dict(
        name='a', model_type='DICModel', num_gpu=0, is_train=False,
        datasets=dict(test=dict(name='faces', type='SyntheticFaceDataset', num_images=1)), network_g=dict(type='DIC'),
        path={}, val=dict(save_img=False))  # yapf: disable
    opt[section][key] = '~/net.pth'
    assert check_options(opt, False)[section][key] == str(home / 'net.pth')


def test_paths_of_losses(train, option_file, home):
    options = yaml.safe_load(option_file().read_text().split('\n', 1)[1])
    perceptual = dict(type='FaceFeatureLoss', load_path='~/none.pth')
    status, said = train('-opt', option_file(train=dict(options['train'], perceptual_opt=perceptual)))
    assert status == 2 and f'load_path={home}/none.pth: no such file' in said
