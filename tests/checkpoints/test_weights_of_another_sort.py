"""Weights as people have them: wrapped, prefixed, in another type; and what only looks like weights."""
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dic_plugin import FaceRestorer
from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.checkpoints.weights import read_weights
from helpers.inference_weights import save_weights

FACES = np.random.RandomState(0).randint(0, 256, (2, 16, 16, 3), np.uint8)


@pytest.fixture
def params(tmp_path):
    return torch.load(save_weights(tmp_path / 'plain.pth'))['params']


def prefixed(prefix):
    return lambda params: {prefix + key: value for key, value in params.items()}


@pytest.mark.parametrize('wrap', [
    lambda params: params,
    lambda params: {'state_dict': params, 'epoch': 3},
    lambda params: {'params': params},
    lambda params: {'params_ema': params, 'params': {key: value * 0 for key, value in params.items()}},
    prefixed('module.'),
    prefixed('_orig_mod.'),
    prefixed('module._orig_mod.'),
    lambda params: {'state_dict': prefixed('_orig_mod.module.')(params)},
])  # yapf: disable
@pytest.mark.parametrize('ending', ['.pth', '.ckpt', '.safetensors'])
def test_a_dic_in_any_wrapping_gives_the_same_faces(tmp_path, params, wrap, ending):
    wrapped = wrap(params)
    path = str(tmp_path / f'given{ending}')
    if ending != '.safetensors':
        torch.save(wrapped, path)
    elif all(isinstance(value, torch.Tensor) for value in wrapped.values()):
        save_file(wrapped, path)
    else:
        pytest.skip('safetensors holds tensors only')
    restorer, expected = (FaceRestorer(file, 'cpu', steps=2) for file in (path, str(tmp_path / 'plain.pth')))
    assert np.array_equal(restorer(FACES).faces, expected(FACES).faces)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_become_float32(tmp_path, params, dtype):
    torch.save({key: value.to(dtype) for key, value in params.items()}, tmp_path / 'other.pth')
    read = read_weights(str(tmp_path / 'other.pth')).params
    for key, value in params.items():
        assert read[key].dtype == torch.float32 and torch.equal(read[key], value.to(dtype).float())


def lfs_pointer(path, _):
    path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n')


def web_page(path, _):
    path.write_text('\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>')


def folder(path, _):
    path.mkdir()
    (path / 'net_g_latest.pth').write_bytes(b'')


def empty_folder(path, _):
    path.mkdir()


def unpacked(path, params):
    torch.save(params, path.with_suffix('.zip'))
    zipfile.ZipFile(path.with_suffix('.zip')).extractall(path)


def training_state(path, _):
    torch.save({'epoch': 1, 'iter': 2, 'optimizers': [], 'schedulers': []}, path)


def other_network(path, _):
    torch.save({'params': {'conv.weight': torch.zeros(1)}}, path)


@pytest.mark.parametrize('make, message', [
    (lfs_pointer, 'is a pointer of git-lfs, .*`git lfs pull`'),
    (web_page, 'is a saved web page; download the file'),
    (folder, 'is a folder; expected a file, such as net_g_latest.pth in it'),
    (empty_folder, r'is a folder; expected a file\.'),
    (unpacked, 'is a folder: an unpacked checkpoint'),
    (training_state, 'is a training state, .*models/net_g_'),
    (other_network, 'holds no DIC .*but conv.weight'),
])
def test_what_only_looks_like_weights_is_named_for_what_it_is(tmp_path, params, make, message):
    path = tmp_path / 'given.pth'
    make(path, params)
    with pytest.raises(CheckpointError, match=f'given.pth: {message}'):
        read_weights(str(path))
