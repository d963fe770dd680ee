"""Checkpoints say what they are of, and BasicSR loads them as ever."""
import errno
import os

import numpy as np
import pytest
import torch
import yaml
from basicsr.models.sr_model import SRModel
from basicsr.utils.options import ordered_yaml

from dic_plugin import FaceRestorer, __version__
from dic_plugin.checkpoints.files import load_params, load_tensors
from dic_plugin.checkpoints.weights import RECORD, training_record
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_landmark_dataset import crop_margin
from dic_plugin.models import face_model
from helpers.inference_weights import TINY, save_weights
from helpers.tiny_training import build, options


@pytest.fixture
def model(tmp_path):
    return build(options(tmp_path, network=dict(num_steps=3)))


def test_checkpoint_records_network_and_training_set(model, tmp_path):
    model.save_network([model.net_g, model.net_g_ema], 'net_g', -1, param_key=['params', 'params_ema'])
    assert os.listdir(tmp_path) == ['net_g_latest.pth']
    content = load_tensors(str(tmp_path / 'net_g_latest.pth'))
    assert list(content) == ['params', 'params_ema', RECORD]
    assert content[RECORD]['version'] == __version__ and content[RECORD]['input_size'] == 8
    assert content[RECORD]['trained_on'] == ['synthetic', 'SyntheticFaceDataset']
    assert {key: content[RECORD]['network'][key] for key in TINY} == {**TINY, 'num_steps': 3}
    restorer = FaceRestorer(str(tmp_path / 'net_g_latest.pth'), 'cpu')
    assert restorer.num_steps == 3 and restorer.notes == []
    assert restorer.trained_on == ('synthetic', 'SyntheticFaceDataset')


def test_basicsr_loads_it_as_ever(model, tmp_path):
    model.save(0, 7)
    path = str(tmp_path / 'net_g_7.pth')
    expected = {key: value.clone() for key, value in model.net_g_ema.state_dict().items()}
    with torch.no_grad():
        for param in model.net_g.parameters():
            param.zero_()
    SRModel.load_network(model, model.net_g, path, True, 'params_ema')
    for key, value in model.net_g.state_dict().items():
        torch.testing.assert_close(value, expected[key])
    assert load_params(path, 'params_ema').keys() == expected.keys()


def test_a_full_disk_does_not_end_the_training(model, tmp_path, monkeypatch, caplog):
    (tmp_path / 'net_g_7.pth').write_bytes(b'as before')

    def save(content, path):
        with open(path, 'wb') as file:
            file.write(b'half')
        raise OSError(errno.ENOSPC, 'disk full')

    monkeypatch.setattr(face_model.torch, 'save', save)
    monkeypatch.setattr(face_model.get_root_logger(), 'propagate', True)
    model.save_network(model.net_g, 'net_g', 7)
    assert os.listdir(tmp_path) == ['net_g_7.pth'] and (tmp_path / 'net_g_7.pth').read_bytes() == b'as before'
    assert 'net_g_7.pth: not saved' in caplog.text


@pytest.mark.parametrize('size, zoom, expected', [(60, None, 0.25), (72, None, 0.4), (40, None, 0.),
                                                  (80, [1.1, 1.4], 0.3)])
def test_margin_of_the_training_crops_is_recorded_and_used(tmp_path, size, zoom, expected):
    landmarks = np.float32([[[0, 0], [40, 20]]] * 3)
    FaceAnnotations(np.array(['a', 'b', 'c']), landmarks, 'two2', np.full((3, 2), size,
                                                                          np.int32)).save(str(tmp_path / 'a.npz'))
    opt = dict(
        type='FaceLandmarkDataset',
        name='mine',
        annotation_file=[str(tmp_path / 'a.npz')],
        gt_size=128,
        zoom_range=zoom)
    margin = crop_margin(opt)
    assert margin == expected
    record = training_record(dict(datasets=dict(train=opt), network_g=TINY, scale=8), 'network_g', margin)
    assert FaceRestorer(save_weights(tmp_path / 'w.pth', record), 'cpu').margin == expected


@pytest.mark.parametrize('opt', [
    dict(type='SyntheticFaceDataset'),
    dict(type='FaceLandmarkDataset'),
    dict(type='FaceLandmarkDataset', annotation_file='missing.npz')
])
def test_without_annotations_no_margin_is_recorded(opt):
    assert crop_margin(opt) is None


def test_record_is_of_plain_values(tmp_path):
    ordered = ordered_yaml()[0]
    text = 'network_d: {type: D, groups: [[a-b, 1], ~]}\nscale: 4\ndatasets: {train: {name: n, type: T, gt_size: 64}}'
    record = training_record(yaml.load(text, Loader=ordered), 'network_d')
    assert type(record['network']) is dict
    assert record['network'] == {'type': 'D', 'groups': [['a-b', 1], None]}
    assert record['input_size'] == 16 and record['trained_on'] == ['n', 'T']
    torch.save({RECORD: record}, tmp_path / 'record.pth')
    assert load_tensors(str(tmp_path / 'record.pth')) == {RECORD: record}
