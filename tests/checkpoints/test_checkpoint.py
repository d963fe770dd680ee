"""Reading and writing checkpoints: what is accepted, what is refused with which message, and what stays untouched."""
import os

import numpy as np
import pytest
import torch
from torch import nn

from dic_plugin.checkpoints import files as checkpoint
from dic_plugin.checkpoints.files import (
    CheckpointError,
    check_shapes,
    load_into,
    load_params,
    load_tensors,
    save_params,
    state_dict_in,
)


def weights():
    return {'0.weight': torch.arange(6.).view(2, 3), '0.bias': torch.tensor([1., -1.])}


def saved(tmp_path, content, **options):
    path = str(tmp_path / 'weights.pth')
    torch.save(content, path, **options)
    return path


def assert_same(actual, expected):
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


@pytest.mark.parametrize('content, param_key', [
    (weights(), None),
    ({'params': weights()}, 'params'),
    ({'params': {}, 'params_ema': weights()}, 'params_ema'),
    ({'params': weights()}, 'params_ema'),
    ({'params': {f'module.{key}': value for key, value in weights().items()}}, 'params'),
], ids=['bare', 'params', 'params_ema', 'params_ema falls back to params', 'DataParallel'])  # yapf: disable
def test_load_params(tmp_path, content, param_key):
    assert_same(load_params(saved(tmp_path, content), param_key), weights())


@pytest.mark.parametrize('content, param_key, message', [
    ({'state_dict': weights()}, 'params', "has no 'params'; expected a checkpoint of BasicSR"),
    ([1, 2], 'params', "has no 'params'"),
    ({'params': {}}, 'params', '`params` holds no state dict but nothing; expected names and tensors'),
    ({'params': {'a': 1}}, 'params', '`params` holds no state dict but a;'),
    ({'params': {1: torch.ones(1)}}, 'params', '`params` holds no state dict but 1;'),
    ({'params': weights()}, None, 'the file holds no state dict but params;'),
])  # yapf: disable
def test_what_holds_no_parameters_is_refused(tmp_path, content, param_key, message):
    path = saved(tmp_path, content)
    with pytest.raises(CheckpointError, match=message) as error:
        load_params(path, param_key)
    assert str(error.value).startswith(f'{path}: ')


def test_module_is_stripped_only_where_dataparallel_put_it():
    mixed = {'module.a': torch.ones(1), 'a': torch.zeros(1)}
    assert_same(state_dict_in(mixed, 'x.pth'), mixed)  # stripping would lose one of them


def test_missing_file():
    with pytest.raises(CheckpointError, match=r'nowhere\.pth: no such file'):
        load_tensors('nowhere.pth')


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('part', [0, 0.1, 0.5, 0.99])
def test_truncated_file(tmp_path, part, legacy):
    path = saved(tmp_path, {'params': weights()}, _use_new_zipfile_serialization=not legacy)
    os.truncate(path, int(part * os.path.getsize(path)))
    with pytest.raises(CheckpointError, match='cannot be read as a checkpoint; it is cut off or no file of torch.save'):
        load_tensors(path)


@pytest.mark.parametrize('content', [b'no html', b'\x89PNG\r\n\x1a\n', b'\x80\x04K\x01.'])
def test_file_of_another_kind(tmp_path, content):
    path = tmp_path / 'weights.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='cannot be read as a checkpoint'):
        load_tensors(str(path))


class Hostile:
    """Calls a function when unpickled."""

    def __init__(self, call, *args):
        self.reduced = call, args

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('call, arguments, named', [
    (os.mkdir, ['{}'], r'(posix|nt)\.mkdir'),
    (open, ['{}', 'w'], r'(_?io\.|builtins\.)?open'),
    (eval, ['__import__("os").mkdir("{}")'], r'(builtins\.)?eval'),
    (np.save, ['{}', '1'], r'numpy\.save'),
])
def test_hostile_pickle_is_refused_and_nothing_runs(tmp_path, call, arguments, named, legacy):
    arguments = [str(value).format(tmp_path / 'trace') for value in arguments]
    content = {'params': weights(), 'x': Hostile(call, *arguments)}
    path = saved(tmp_path, content, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=rf'it also holds {named}. Only tensors') as error:
        load_params(path)
    assert str(error.value).startswith(f'{path}: ') and 'weights_only' not in str(error.value)
    assert os.listdir(tmp_path) == ['weights.pth']


@pytest.mark.skipif(
    torch.torch_version.TorchVersion(torch.__version__) < (2, 7), reason='torch before 2.7 refuses NumPy numbers')
@pytest.mark.parametrize('number', [np.float64(30.5), np.float32(0.5), np.int64(7), np.bool_(True)])
@pytest.mark.parametrize('written_by', [b'numpy._core', b'numpy.core'], ids=['numpy 2', 'numpy 1'])
def test_validation_scores_beside_the_tensors_do_no_harm(tmp_path, number, written_by):
    """The published training code keeps its scores as NumPy numbers in the file of the weights."""
    content = {'params': weights(), 'records': {'psnr': [number, number]}}
    path = saved(tmp_path, content, _use_new_zipfile_serialization=False)
    with open(path, 'r+b') as file:
        content = file.read().replace(b'numpy._core', b'numpy.core').replace(b'numpy.core', written_by)
        file.seek(0)
        file.write(content)
        file.truncate()
    assert_same(load_params(path), weights())
    allowed = torch.serialization.get_safe_globals()
    assert not any('numpy' in str(item) for item in allowed)  # the exception held for this file only


@pytest.mark.parametrize('content', [np.ones(2), np.array([None])])
def test_numpy_arrays_are_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match=r'it also holds numpy\._?core\.multiarray\._reconstruct'):
        load_tensors(saved(tmp_path, content))


def test_mismatch_names_the_first_of_each_kind():
    expected = {f'layer{i}': torch.Size([i + 1]) for i in range(9)}
    params = {key: torch.zeros(shape) for key, shape in expected.items() if key not in ('layer0', 'layer2')}
    params.update({f'extra{i}': torch.zeros(1) for i in range(5)}, layer7=torch.zeros(2, 3))
    with pytest.raises(CheckpointError) as error:
        check_shapes(params, expected, 'x.pth', 'a toy')
    assert str(error.value) == ('x.pth: does not hold the parameters of a toy; 2 missing: layer0, layer2; 5 surplus: '
                                'extra0, extra1, extra2, ...; 1 of another shape: layer7 (2, 3) instead of (8,).')


def test_refused_weights_leave_the_network_unchanged():
    network = nn.Sequential(nn.Linear(3, 2))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(CheckpointError, match='x.pth: .* this Sequential .*1 missing: 0.bias'):
        load_into(network, {'0.weight': torch.ones(2, 3)}, 'x.pth')
    assert_same(network.state_dict(), before)
    load_into(network, weights(), 'x.pth')
    assert_same(network.state_dict(), weights())


def test_save_params_writes_what_load_params_reads(tmp_path):
    first, second = str(tmp_path / 'first.pth'), str(tmp_path / 'second.pth')
    save_params({first: weights(), second: {'a': torch.ones(1)}})
    assert_same(load_params(first), weights())
    assert_same(load_params(second), {'a': torch.ones(1)})
    assert sorted(os.listdir(tmp_path)) == ['first.pth', 'second.pth']


def test_interrupted_save_leaves_the_files_of_before(tmp_path, monkeypatch):
    first, second = str(tmp_path / 'first.pth'), str(tmp_path / 'second.pth')
    save_params({first: weights()})
    whole_save = torch.save

    def full_disk(content, file):
        if 'late' in content['params']:
            file.write(b'half')
            raise OSError('No space left on device')
        whole_save(content, file)

    monkeypatch.setattr(checkpoint.torch, 'save', full_disk)
    with pytest.raises(OSError, match='No space left'):
        save_params({first: {'a': torch.ones(1)}, second: {'late': torch.ones(1)}})
    assert os.listdir(tmp_path) == ['first.pth']
    assert_same(load_params(first), weights())
