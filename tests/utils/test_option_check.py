"""Misspelt types and keys of option files are named, with the nearest match; valid files pass unchanged."""
import copy
import re

import pytest
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY
from hypothesis import given
from hypothesis import strategies as st

import dic_plugin.archs  # noqa: F401 (registers them)
from dic_plugin.utils.option_check import OptionError, check_keys, check_options

names = st.text('abcdefghij_', min_size=1, max_size=8)


class ToyModel(SRModel):
    option_keys = {
        'train': ('release_iter', ),
        'val': ('batch_size', ),
        'path': ('pretrain_part', ),
        'top': ('extra', )
    }


class ToyDataset:
    option_keys = ('num_images', 'seed')


def toy_metric(img, img2, crop_border):
    return 0.


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """Registers a model and a dataset that declare their options, for the time of a test."""
    for registry, toy in ((MODEL_REGISTRY, ToyModel), (DATASET_REGISTRY, ToyDataset), (METRIC_REGISTRY, toy_metric)):
        monkeypatch.setitem(registry._obj_map, toy.__name__, toy)


def options(model='ToyModel', dataset='ToyDataset'):
    """Options as BasicSR's parse_options returns them for training."""
    own = {'num_images': 4} if dataset == 'ToyDataset' else {'io_backend': {'type': 'disk'}}
    return {
        'name': 'toy',
        'model_type': model,
        'scale': 4,
        'num_gpu': 0,
        'manual_seed': 0,
        'datasets': {
            'train': {
                'name': 'a',
                'type': dataset,
                'phase': 'train',
                'scale': 4,
                'batch_size_per_gpu': 2,
                'num_worker_per_gpu': 0,
                **own
            }
        },
        'network_g': {
            'type': 'MSRResNet',
            'num_feat': 4
        },
        'path': {
            'pretrain_network_g': None,
            'strict_load_g': True,
            'param_key_g': 'params',
            'resume_state': None,
            'experiments_root': 'x'
        },
        'train': {
            'total_iter': 4,
            'optim_g': {
                'type': 'Adam',
                'lr': 1e-4,
                'betas': [0.9, 0.99]
            },
            'scheduler': {
                'type': 'MultiStepLR',
                'milestones': [2],
                'gamma': 0.5
            },
            'pixel_opt': {
                'type': 'L1Loss',
                'loss_weight': 1.0
            }
        },
        'val': {
            'val_freq': 2,
            'save_img': False,
            'metrics': {
                'psnr': {
                    'type': 'calculate_psnr',
                    'crop_border': 8,
                    'better': 'higher'
                },
                'toy': {
                    'type': 'toy_metric',
                    'crop_border': 8
                }
            }
        },
        'logger': {
            'print_freq': 1,
            'save_checkpoint_freq': 2,
            'use_tb_logger': False
        },
    }


def change(opt, path, value):
    *sections, key = path.split(':')
    for section in sections:
        opt = opt[section]
    if value is KeyError:
        del opt[key]
    else:
        opt[key] = value


@pytest.mark.parametrize('model', ['ToyModel', 'SRModel'])
@pytest.mark.parametrize('dataset', ['ToyDataset', 'PairedImageDataset'])
def test_valid_options_pass_unchanged(model, dataset):
    opt = options(model, dataset)
    before = copy.deepcopy(opt)
    check_options(opt, is_train=True)
    check_options(opt, is_train=False)
    assert opt == before


def test_declared_keys_pass():
    opt = options()
    opt.update(extra=1)
    opt['train']['release_iter'] = 1
    opt['val']['batch_size'] = 1
    opt['path']['pretrain_part'] = 'x'
    opt['datasets']['train']['seed'] = 1
    check_options(opt, is_train=True)


TYPES = [
    ('model_type', 'ToyModell', 'ToyModel'),
    ('network_g:type', 'MSRResNett', 'MSRResNet'),
    ('network_g:type', 'msrresnet', 'MSRResNet'),
    ('datasets:train:type', 'PairedImageDatset', 'PairedImageDataset'),
    ('train:pixel_opt:type', 'L1los', 'L1Loss'),
    ('train:optim_g:type', 'Adamm', 'Adam'),
    ('train:scheduler:type', 'MultistepLr', 'MultiStepLR'),
    ('val:metrics:psnr:type', 'calculate_pnsr', 'calculate_psnr'),
]


@pytest.mark.parametrize('path, wrong, right', TYPES)
@pytest.mark.parametrize('model', ['ToyModel', 'SRModel'])
def test_misspelt_type_is_named(path, wrong, right, model):
    opt = options(model)
    change(opt, path, wrong)
    with pytest.raises(OptionError, match=rf"^{path}: {wrong}: no such \w+; did you mean '{right}'\? Known here: "):
        check_options(opt, is_train=True)


KEYS = [
    ('mdel_type', 'model_type'),
    ('network_g:num_fet', 'num_feat'),
    ('datasets:train:num_worker_pr_gpu', 'num_worker_per_gpu'),
    ('train:total_itr', 'total_iter'),
    ('train:pixel_opts', 'pixel_opt'),
    ('train:pixel_opt:loss_weigth', 'loss_weight'),
    ('train:optim_g:betas_', 'betas'),
    ('train:scheduler:milestone', 'milestones'),
    ('val:val_frq', 'val_freq'),
    ('path:pretrain_netwrk_g', 'pretrain_network_g'),
    ('path:strict_lod_g', 'strict_load_g'),
    ('logger:print_frq', 'print_freq'),
]


@pytest.mark.parametrize('path, right', KEYS)
def test_misspelt_key_is_named(path, right):
    opt = options()
    change(opt, path, 1)
    with pytest.raises(OptionError, match=rf"^{path}: no such option; did you mean '{right}'\? Known here: .*{right}"):
        check_options(opt, is_train=True)


@pytest.mark.parametrize('path, right', [('mdel_type', 'model_type'), ('train:pixel_opts', 'pixel_opt'),
                                         ('val:val_frq', 'val_freq'), ('val:metrics:psnr:crop_bordr', 'crop_border'),
                                         ('path:strict_lod_g', 'strict_load_g'),
                                         ('datasets:train:num_worker_pr_gpu', 'num_worker_per_gpu')])
def test_misspelt_key_of_a_class_of_others_is_warned_of(path, right):
    """It may be theirs, and is not refused for its likeness to a key that we know."""
    opt, warnings = options('SRModel', 'PairedImageDataset'), []
    change(opt, path, 1)
    check_options(opt, is_train=True, warn=warnings.append)
    assert warnings == [f"{path}: is this a misspelt '{right}'?"]


VALUES = [
    ('train:optim_g:lr', '1e-4', 1e-4),
    ('train:total_iter', '2e3', 2000),
    ('train:pixel_opt:loss_weight', '1e-2', 0.01),
    ('val:save_img', 'no', False),
    ('datasets:train:num_worker_per_gpu', '4', 4),
    ('train:optim_g:betas', ['9e-1', 0.99], [0.9, 0.99]),
    ('val:val_freq', 5e3, 5000),
]


@pytest.mark.parametrize('path, given, meant', VALUES)
def test_text_is_read_as_the_value_that_it_means(path, given, meant):
    opt = options()
    change(opt, path, given)
    read = check_options(opt, is_train=True)
    for key in path.split(':'):
        opt, read = opt[key], read[key]
    assert (opt, read) == (given, meant) and type(read) is type(meant)


IMPOSSIBLE = [
    ('name', 1, "text .a number or a switch that is meant as text stands in quotes, such as '001'"),
    ('num_gpu', -1, 'auto'),
    ('train:total_iter', 0, 'a whole number of at least 1'),
    ('train:total_iter', 1.5, 'a whole number of at least 1'),
    ('train:total_iter', float('nan'), 'a whole number of at least 1'),
    ('train:warmup_iter', -2, 'a whole number of at least -1'),
    ('train:ema_decay', 1, 'a number of at least 0 and below 1'),
    ('train:optim_g:lr', 'fast', 'a number'),
    ('val:save_img', 'maybe', 'true or false'),
    ('val:val_freq', True, 'a whole number of at least 1'),
    ('datasets:train:dataset_enlarge_ratio', 0, 'a number above 0'),
    ('datasets:train:prefetch_mode', 'gpu', 'cpu or cuda'),
    ('path:pretrain_network_g', 3, 'a path'),
]


@pytest.mark.parametrize('path, value, expected', IMPOSSIBLE)
def test_impossible_values_are_named(path, value, expected):
    opt = options()
    change(opt, path, value)
    with pytest.raises(OptionError, match=f'^{path} is {re.escape(repr(value))}; expected {expected}'):
        check_options(opt, is_train=True)


@pytest.mark.parametrize('path', ['unheard_of', 'train:unheard_of', 'val:unheard_of', 'datasets:train:unheard_of'])
def test_unlike_keys_are_refused_only_where_all_keys_are_known(path):
    opt = options('ToyModel', 'ToyDataset')
    change(opt, path, 1)
    with pytest.raises(OptionError, match=rf'^{path}: no such option; Known here: '):
        check_options(opt, is_train=True)
    opt = options('SRModel', 'PairedImageDataset')
    change(opt, path, 1)
    check_options(opt, is_train=True)


REQUIRED = [
    'name', 'model_type', 'datasets', 'path', 'network_g', 'train', 'logger', 'datasets:train', 'datasets:train:type',
    'datasets:train:batch_size_per_gpu', 'network_g:type', 'train:total_iter', 'train:optim_g', 'train:optim_g:lr',
    'train:scheduler', 'train:scheduler:milestones', 'val:save_img', 'val:val_freq', 'val:metrics:psnr:type',
    'val:metrics:toy:crop_border', 'logger:use_tb_logger'
]


@pytest.mark.parametrize('path', REQUIRED)
def test_missing_option_is_named(path):
    opt = options()
    change(opt, path, KeyError)
    with pytest.raises(OptionError, match=f'^{path}: missing'):
        check_options(opt, is_train=True)


@pytest.mark.parametrize('path', [
    'datasets:train', 'path', 'train', 'network_g', 'train:optim_g', 'train:pixel_opt', 'val:metrics',
    'val:metrics:psnr', 'logger'
])
def test_value_in_place_of_a_section(path):
    opt = options()
    change(opt, path, 5)
    with pytest.raises(OptionError, match=rf'^{path}: expected options \(`key: value` lines\), got 5'):
        check_options(opt, is_train=True)


def test_value_in_place_of_a_further_network():
    with pytest.raises(OptionError, match=r'^network_part: expected options .* got 5'):
        check_options(dict(options('SRModel'), network_part=5), is_train=True)


def test_network_needs_its_required_arguments(monkeypatch):

    class ToyNet:

        def __init__(self, num_feat, num_block=1):
            pass

    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'ToyNet', ToyNet)
    opt = options()
    opt['network_g'] = {'type': 'ToyNet', 'num_block': 2}
    with pytest.raises(OptionError, match='^network_g:num_feat: missing; ToyNet needs it'):
        check_options(opt, is_train=True)


@pytest.mark.parametrize('key, value, expected', [
    ('projection_scale', 'two', 'a whole number'),
    ('num_feat', [8], 'a whole number'),
    ('num_steps', 1.5, 'a whole number'),
    ('detach_attention', 3, 'true or false'),
])
def test_values_of_our_own_networks_have_their_types(key, value, expected):
    opt = options()
    opt['network_g'] = {'type': 'DIC', key: value}
    with pytest.raises(OptionError, match=re.escape(f'network_g:{key} is {value!r}; expected {expected}')):
        check_options(opt, is_train=True)


def test_nothing_stands_for_the_default():
    opt = options()
    opt['network_g'] = {'type': 'DIC', 'num_feat': None, 'projection_scale': None, 'num_fusion_block': None}
    assert check_options(
        opt, is_train=True)['network_g'] == {
            'type': 'DIC',
            'projection_scale': None,
            'num_fusion_block': None
        }


def test_network_that_takes_anything_is_left_alone(monkeypatch):

    class AnyNet:

        def __init__(self, **kwargs):
            pass

    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'AnyNet', AnyNet)
    opt = options()
    opt['network_g'] = {'type': 'AnyNet', 'whatever': 2}
    check_options(opt, is_train=True)


def test_networks_and_losses_are_found_wherever_they_stand():
    opt = options('SRModel')
    opt['val']['network_of_landmarks'] = {'type': 'Hourglas'}
    with pytest.raises(OptionError, match='^val:network_of_landmarks:type: Hourglas: no such arch'):
        check_options(opt, is_train=True)
    opt = options('SRModel')
    opt['train']['stage_two'] = {'gan_opt': {'type': 'GANLos'}}
    with pytest.raises(
            OptionError, match="^train:stage_two:gan_opt:type: GANLos: no such loss; did you mean 'GANLoss'"):
        check_options(opt, is_train=True)


def test_basicsr_names_with_its_suffix_are_found():
    opt = options(dataset='RealESRGANDataset')  # registered by BasicSR as RealESRGANDataset_basicsr
    check_options(opt, is_train=True)


@given(st.lists(names, unique=True), st.lists(names, unique=True))
def test_check_keys_accepts_exactly_the_known(given_keys, known):
    unknown = [key for key in given_keys if key not in known]
    if not unknown:
        check_keys(dict.fromkeys(given_keys), known, 'here')
        return
    with pytest.raises(OptionError, match=f'^here:{unknown[0]}: no such option; '):
        check_keys(dict.fromkeys(given_keys), known, 'here')


@given(st.lists(names, min_size=1, unique=True), st.data())
def test_the_nearest_match_ignores_case(known, data):
    wanted = data.draw(st.sampled_from(known))
    with pytest.raises(OptionError, match=f"^{wanted.upper()}X: no such option|did you mean"):
        check_keys([wanted.upper() + 'X'], known, '')
    if len(wanted) > 1:
        with pytest.raises(OptionError, match='did you mean'):
            check_keys([wanted.upper() + 'X'], [wanted], '')
