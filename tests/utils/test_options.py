"""Every shipped option file: parsed as BasicSR parses it, checked, and its networks, losses and model built."""
import glob
import os
import sys

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from basicsr.models import build_model
from basicsr.utils.options import parse_options

from dic_plugin import __version__
from dic_plugin.archs import LightCNNFeature
from dic_plugin.checkpoints.files import save_params
from dic_plugin.utils.option_check import check_options
from helpers.paths import ROOT

FILES = sorted(glob.glob(os.path.join(ROOT, 'options', '*.yml')))  # those in benchmark/ are no options of BasicSR
NAMES = [os.path.relpath(file, ROOT) for file in FILES]


def parse(file, tmp_path, monkeypatch):
    is_train = os.path.basename(file).startswith('train')
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', file, '--force_yml', 'num_gpu=0'])
    return parse_options(str(tmp_path), is_train=is_train)[0], is_train


def test_all_recipes_are_there():
    expected = {
        f'options/{kind}_{model}{data}.yml'
        for kind in ('train', 'test')
        for model in ('DIC', 'DICGAN')
        for data in ('', '_CelebA', '_Helen')
    } | {'options/train_DIC_photos.yml', 'options/test_DIC_photos.yml'}
    assert expected <= set(NAMES)


@pytest.mark.parametrize('file', FILES, ids=NAMES)
def test_builds(file, tmp_path, monkeypatch):
    opt, is_train = parse(file, tmp_path, monkeypatch)
    assert opt['plugin'] == __version__
    check_options(opt, is_train)
    # weights of others and of earlier trainings are not in a clean clone
    for key in list(opt['path']):
        if key.startswith('pretrain_'):
            opt['path'][key] = None
    perceptual_opt = opt['train'].get('perceptual_opt') if is_train else None
    if perceptual_opt:
        perceptual_opt['load_path'] = str(tmp_path / 'features.pth')
        save_params({perceptual_opt['load_path']: LightCNNFeature().state_dict()})
    model = build_model(opt)
    assert model.is_train == is_train
    if is_train:
        assert model.cri_heatmap is not None
        assert opt['model_type'] == 'LandmarkModel' or model.cri_pix is not None
        assert len(model.optimizers) == len(model.schedulers) == 1 + ('network_d' in opt)


@pytest.mark.parametrize('file', FILES, ids=NAMES)
def test_names_itself_and_tells_its_command(file, tmp_path, monkeypatch):
    opt, is_train = parse(file, tmp_path, monkeypatch)
    name = os.path.basename(file)
    assert opt['name'] + '.yml' == name
    with open(file) as lines:
        text = lines.read()
    assert f'python basicsr/{"train" if is_train else "test"}.py -opt options/{name}' in text
    if not is_train and opt['path'].get('pretrain_network_g'):  # it tests the network that its training option trains
        train, _ = parse(file.replace('test_', 'train_'), tmp_path, monkeypatch)
        assert train['network_g'] == opt['network_g']
        assert f'experiments/{train["name"]}/models/' in opt['path']['pretrain_network_g']


@pytest.mark.parametrize('data, decay', [('CelebA', 2000), ('Helen', 20000)])
def test_published_settings(data, decay, tmp_path, monkeypatch):
    opt, _ = parse(os.path.join(ROOT, 'options', f'train_DIC_{data}.yml'), tmp_path, monkeypatch)
    train = opt['train']
    assert (train['total_iter'], train['release_hourglass_iter']) == (150000, decay)
    assert train['scheduler']['milestones'] == [10000, 20000, 40000, 80000]
    assert (train['optim_g']['lr'], train['heatmap_opt']['loss_weight']) == (1e-4, 0.1)
    assert opt['datasets']['train']['batch_size_per_gpu'] == 8
    augmented = opt['datasets']['train'].get('aspect_ratio_range') is not None
    assert augmented == opt['datasets']['train']['use_rot'] == opt['datasets']['train']['use_hflip'] == (
        data == 'Helen')


@pytest.mark.parametrize('data', ['', '_CelebA'])
def test_dic_can_start_from_the_hourglass_trained_for_it(data, tmp_path, monkeypatch):
    dic, hourglass = (
        parse(os.path.join(ROOT, 'options', f'train_{name}{data}.yml'), tmp_path, monkeypatch)[0]
        for name in ('DIC', 'hourglass'))
    for key in ('hg_num_feat', 'num_keypoints'):
        assert hourglass['network_g'][key] == dic['network_g'][key]
    assert hourglass['num_steps'] == dic['network_g']['num_steps']


@pytest.mark.parametrize('data, total_iter, pixel_weight', [('CelebA', 80000, 1), ('Helen', 100000, 2)])
def test_published_settings_of_dicgan(data, total_iter, pixel_weight, tmp_path, monkeypatch):
    opt, _ = parse(os.path.join(ROOT, 'options', f'train_DICGAN_{data}.yml'), tmp_path, monkeypatch)
    train = opt['train']
    assert train['total_iter'] == total_iter
    assert train['scheduler'] == dict(type='MultiStepLR', milestones=[10000, 20000, 40000], gamma=0.5)
    assert train['optim_g'] == train['optim_d'] == dict(type='Adam', lr=1e-4, weight_decay=0, betas=[0.9, 0.999])
    losses = ('pixel_opt', 'heatmap_opt', 'perceptual_opt', 'gan_opt')
    assert [train[loss]['loss_weight'] for loss in losses] == [pixel_weight, 0.1, 0.1, 0.005]
    assert (train['perceptual_opt']['criterion'], train['gan_opt']['gan_type']) == ('l1', 'vanilla')
    # the same network and data as in the recipe that it continues
    first, _ = parse(os.path.join(ROOT, 'options', f'train_DIC_{data}.yml'), tmp_path, monkeypatch)
    assert (first['network_g'], first['datasets']) == (opt['network_g'], opt['datasets'])
    assert opt['path']['pretrain_network_g'] == f'experiments/train_DIC_{data}/models/net_g_latest.pth'


@pytest.mark.parametrize('file', [file for file in FILES if 'CelebA' in file or 'Helen' in file])
def test_missing_data_says_how_to_prepare_it(file, tmp_path, monkeypatch):
    opt, _ = parse(file, tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    for dataset in opt['datasets'].values():
        with pytest.raises(FileNotFoundError, match=r'datasets/(celeba|helen)/.*README.md, section "Data"'):
            build_dataset(dataset)


def test_embedded_default_needs_no_data(tmp_path, monkeypatch):
    opt, _ = parse(os.path.join(ROOT, 'options', 'train_DIC.yml'), tmp_path, monkeypatch)
    train, val = (build_dataset(opt['datasets'][phase])[0] for phase in ('train', 'val'))
    assert train['lq'].shape == (3, 16, 16) and train['landmarks'].shape == (68, 2)
    assert not torch.equal(train['gt'], val['gt'])
    assert np.isfinite(val['landmarks'].numpy()).all()
