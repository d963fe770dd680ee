"""Weights to hand over: float16 with the record of their training; what is shipped; what is refused."""
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from dic_plugin import FaceRestorer
from dic_plugin.checkpoints.files import STEPS, CheckpointError, load_tensors, save_safetensors
from dic_plugin.checkpoints.weights import SHIPPED, read_weights
from dic_plugin.cli import convert, evaluate, export, infer
from helpers.inference_weights import save_weights

RECORD = dict(network=dict(num_steps=2), trained_on=['celeba', 'FaceLandmarkDataset'], input_size=16)


def faces(num=4):
    return np.random.RandomState(0).randint(0, 256, (num, 16, 16, 3), np.uint8)


def test_handed_over_weights_restore_the_same_faces(tmp_path, capsys):
    source = save_weights(tmp_path / 'dic.pth', RECORD)
    target = str(tmp_path / 'new' / 'dic.safetensors')
    assert convert.main([source, target]) == 0 and target in capsys.readouterr().out
    assert os.stat(target).st_mode == os.stat(source).st_mode
    with safe_open(target, framework='pt') as file:
        assert {file.get_tensor(name).dtype for name in file.keys() if name != STEPS} == {torch.float16}
        record = json.loads(file.metadata()['dic_plugin'])
    assert record['network']['num_steps'] == 2 and record['trained_on'] == RECORD['trained_on']
    mine, theirs = FaceRestorer(source, 'cpu'), FaceRestorer(target, 'cpu')
    assert theirs.notes == [] and theirs.trained_on == ('celeba', 'FaceLandmarkDataset')
    assert np.abs(mine(faces()).faces.astype(int) - theirs(faces()).faces).max() <= 2  # 11 bits of a weight are kept
    assert convert.main([target, str(tmp_path / 'again.safetensors')]) == 0
    assert (tmp_path / 'again.safetensors').read_bytes() == (tmp_path / 'new' / 'dic.safetensors').read_bytes()


def test_licence_and_figures_are_handed_over(tmp_path, capsys):
    source, figures = save_weights(tmp_path / 'dic.pth', RECORD), tmp_path / 'evaluation.json'
    for folder in ('sr', 'gt'):
        (tmp_path / folder).mkdir()
        Image.fromarray(faces(1)[0].repeat(4, 0).repeat(4, 1)).save(tmp_path / folder / 'a.png')
        Image.fromarray(faces(2)[1].repeat(4, 0).repeat(4, 1)).save(tmp_path / folder / 'b.png')
    Image.fromarray(255 - faces(1)[0].repeat(4, 0).repeat(4, 1)).save(tmp_path / 'sr/a.png')
    Image.fromarray(255 - faces(2)[1].repeat(4, 0).repeat(4, 1)).save(tmp_path / 'sr/b.png')
    assert evaluate.main(['-i', str(tmp_path / 'sr'), '--gt', str(tmp_path / 'gt'), '-o', str(tmp_path)]) == 0
    given = ['--licence', 'research only', '--figures', str(figures)]
    first, again = str(tmp_path / 'dic.safetensors'), str(tmp_path / 'again.safetensors')
    assert convert.main([source, first, *given]) == 0 and convert.main([first, again]) == 0
    about = read_weights(again).about
    expected = json.loads(figures.read_text())['summary'][0]
    assert about['licence'] == 'research only' and about['figures'][0]['mean'] == expected['mean']
    assert about['figures'][0]['set'] == 'gt' and about['figures'][0]['images'] == 2
    pytest.importorskip('huggingface_hub')
    assert convert.main([again, str(tmp_path / 'hub') + '/']) == 0
    card = (tmp_path / 'hub/README.md').read_text()
    assert '| Licence | research only |' in card and f'{expected["mean"]:.4g}' in card
    assert convert.main([source, str(tmp_path / 'new.pth'), *given]) == 1
    assert convert.main([source, first, '--figures', source]) == 1
    said = capsys.readouterr().err
    assert "BasicSR's .pth has no place for them" in said and 'dic.pth: expected the evaluation.json' in said


@pytest.mark.parametrize('content, message', [
    (b'', 'cut off or no file of safetensors'),
    (b'PK and more' * 100, 'cut off or no file of safetensors'),
    (None, 'no such file'),
])
def test_what_is_no_safetensors_is_refused(tmp_path, content, message):
    path = tmp_path / 'dic.safetensors'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f'dic.safetensors: .*{message}'):
        load_tensors(str(path))


@pytest.mark.parametrize('record', ['{"network"', '[1, 2]', '{"network": 5}', '{"trained_on": 7, "input_size": "x"}'])
def test_a_record_that_is_none_is_refused_or_passed_over(tmp_path, record):
    params = torch.load(save_weights(tmp_path / 'dic.pth'))['params']
    save_file(params, str(tmp_path / 'dic.safetensors'), {'dic_plugin': record})
    if record == '{"network"':
        with pytest.raises(CheckpointError, match='dic.safetensors'):
            read_weights(str(tmp_path / 'dic.safetensors'))
    else:
        read = read_weights(str(tmp_path / 'dic.safetensors'))
        assert read.trained_on is None and read.input_size == 16 and read.options['num_steps'] == 4


def test_a_value_too_large_for_float16_is_named_and_nothing_written(tmp_path):
    with pytest.raises(ValueError, match='conv_in.weight holds values that float16 cannot'):
        save_safetensors(str(tmp_path / 'x.safetensors'), {'conv_in.weight': torch.tensor([1e5])}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_discriminator_has_no_place_in_safetensors(tmp_path, capsys):
    source = save_weights(tmp_path / 'dic.pth', RECORD)
    arguments = [source, str(tmp_path / 'x.safetensors'), '--discriminator', str(tmp_path / 'd.pth')]
    assert convert.main(arguments) == 1 and 'one network' in capsys.readouterr().err


def test_shipped_weights_are_used_where_none_are_named(tmp_path, monkeypatch, capsys):
    restorer = FaceRestorer(device='cpu')
    assert restorer.path == SHIPPED and restorer.notes == [] and restorer.trained_on[0] == 'photos'
    Image.fromarray(faces()[0]).save(tmp_path / 'face.png')
    arguments = ['-i', str(tmp_path / 'face.png'), '--aligned', '-o', str(tmp_path / 'out'), '--device', 'cpu']
    assert infer.main(arguments) == 0
    assert capsys.readouterr().out.startswith('the shipped weights DIC_photos: DIC, ')
    restored = np.asarray(Image.open(tmp_path / 'out' / 'faces' / 'face.png'))
    assert np.array_equal(restored, restorer(faces()[:1]).faces[0])
    pytest.importorskip('onnx')
    monkeypatch.chdir(tmp_path)
    assert export.main(['--no-check']) == 0 and (tmp_path / 'DIC_photos.onnx').is_file()


def test_shipped_weights_are_small():
    with open(SHIPPED, 'rb') as file:
        assert len(file.read()) < 2e6
