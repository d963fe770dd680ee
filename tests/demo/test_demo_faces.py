"""Restoration and results of the demo page, without a browser."""
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dic_plugin.checkpoints.published_names import published_name
from dic_plugin.cli import demo as demo_command
from dic_plugin.demo import faces as demo_faces
from dic_plugin.demo.faces import find_weights, get_restorer, pictures, psnr, restore_photo, restore_synthetic
from dic_plugin.faces.found_face import FoundFace
from dic_plugin.synthetic import draw_face
from helpers.inference_weights import save_weights, tiny_network

RECORD = {'network': {'num_steps': 2}, 'trained_on': ['synthetic', 'SyntheticFaceDataset']}


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp('weights') / 'net_g_latest.pth', RECORD)


@pytest.fixture
def restorer(weights):
    return get_restorer(weights, 'cpu')


@pytest.fixture
def found(monkeypatch):
    """The faces that the detector finds; a test may change them."""
    face = draw_face(0, 0)[1]
    faces = [FoundFace(face / 4, confidence=1.), FoundFace(face + 64, confidence=1.)]

    class Detector:
        min_confidence = 0.

        def find(self, img):
            scale = img.shape[1] / 256
            return [FoundFace(each.landmarks * scale, confidence=1.) for each in faces]

    monkeypatch.setattr(demo_faces, '_detector', Detector)
    return faces


def write(path, image):
    cv2.imwrite(str(path), image[..., ::-1])
    return str(path)


def test_weights_are_found_by_the_names_of_their_tensors(tmp_path):
    for folder in ('old/models', 'new/models', 'published'):
        (tmp_path / folder).mkdir(parents=True)
    names = ('new/models/net_g_latest.pth', 'old/models/net_g_latest.pth', 'new/models/net_g_500.pth')
    expected = [save_weights(tmp_path / name) for name in names] + [str(tmp_path / 'published/DIC.pth')]
    torch.save({published_name(key): value for key, value in tiny_network().state_dict().items()}, expected[3])
    for age, path in enumerate(expected):
        os.utime(path, (10**9 - age, 10**9 - age))
    torch.save({'params': {'stem.0.weight': torch.zeros(1)}}, tmp_path / 'new/models/net_d_latest.pth')
    (tmp_path / 'broken.pth').write_bytes(b'no checkpoint')
    assert find_weights(str(tmp_path)) == expected
    assert find_weights(str(tmp_path / 'missing')) == []


def test_weights_in_the_format_of_older_torch_are_found(weights, tmp_path):
    content = torch.load(weights, weights_only=True)
    torch.save(content, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    torch.save({'stem.0.weight': torch.zeros(1)}, tmp_path / 'other.pth', _use_new_zipfile_serialization=False)
    (tmp_path / 'cut_off.pth').write_bytes(Path(weights).read_bytes()[:-100])
    assert find_weights(str(tmp_path)) == [str(tmp_path / 'old.pth')]
    assert get_restorer(str(tmp_path / 'old.pth'), 'cpu').num_steps == 2


def test_a_restorer_is_kept_until_its_file_changes(tmp_path):
    path = save_weights(tmp_path / 'weights.pth', RECORD)
    first = get_restorer(path, 'cpu')
    assert get_restorer(path, 'cpu') is first
    os.utime(path, (0, 0))
    assert get_restorer(path, 'cpu') is not first


def test_synthetic_faces_have_a_ground_truth(restorer):
    face, = restore_synthetic(restorer, 3)
    np.testing.assert_array_equal(face.crop.crop, draw_face(demo_faces.SYNTHETIC_SEED, 3)[0])
    assert face.title == 'Synthetic face 3' and face.notes == [] and len(face.steps) == 2
    ours, bicubic = psnr(face, 2)
    assert 0 < ours < bicubic < 40  # random weights
    with pytest.raises(ValueError, match='at least 0'):
        restore_synthetic(restorer, -1)


def test_every_face_of_a_photograph_largest_first_with_notes(restorer, tmp_path, found):
    found.append(FoundFace(found[0].landmarks + 10000, confidence=1.))  # outside: it does not take the others with it
    two = restore_photo(restorer, write(tmp_path / 'two.png', draw_face(0, 1, 256)[0]))
    assert [face.title for face in two] == ['two.png, face 1 of 2', 'two.png, face 2 of 2']
    assert two[0].crop.side > two[1].crop.side
    assert not np.array_equal(two[0].steps[0].faces, two[1].steps[0].faces)
    assert 'do not restore photographs' in two[0].notes[0] and 'a face is left out: ' in ' '.join(two[0].notes)
    assert two[1].crop.side < 128 and psnr(two[1], 1) is None  # no ground truth of the result's size


def test_a_face_crop_is_taken_whole(restorer, tmp_path):
    truth = draw_face(0, 1)[0]
    face, = restore_photo(restorer, write(tmp_path / 'crop.png', truth), aligned=True)
    np.testing.assert_array_equal(face.crop.crop, truth)
    assert face.title == 'crop.png' and psnr(face, 1) is not None
    small, = restore_photo(restorer, write(tmp_path / 'small.png', face.crop.lq), aligned=True)
    np.testing.assert_array_equal(small.crop.lq, face.crop.lq)
    assert pictures(small, 1, False).original is None


def test_errors_of_files_without_a_face(restorer, tmp_path, found):
    found.clear()
    with pytest.raises(ValueError, match='^wall.png: no face was found'):
        restore_photo(restorer, write(tmp_path / 'wall.png', np.zeros((64, 64, 3), np.uint8)))
    (tmp_path / 'notes.txt').write_text('no image')
    with pytest.raises(ValueError, match='^notes.txt: cannot be decoded.*Expected a photograph'):
        restore_photo(restorer, str(tmp_path / 'notes.txt'))


def test_pictures_have_one_size_and_show_the_step(restorer):
    face, = restore_synthetic(restorer, 0)
    first, last = (pictures(face, step, False) for step in (1, 2))
    assert {picture.shape for picture in (*last[:4], first.step)} == {(384, 384, 3)}
    np.testing.assert_array_equal(last.input[::24, ::24], face.crop.lq)
    np.testing.assert_array_equal(last.step[::3, ::3], face.steps[1].faces[0])
    dots = (pictures(face, 2, True).step != last.step).any(-1)
    x, y = (int(round((value + 0.5) * 3 - 0.5)) for value in face.steps[1].landmarks[0, 30])
    assert dots[y, x] and dots.mean() < 0.1


def test_attention_is_shown_if_there_is_any(restorer, tmp_path):
    face, = restore_synthetic(restorer, 0)
    assert pictures(face, 1, False).attention == []
    names = [name for _, name in pictures(face, 2, False).attention]
    assert names == ['left eye', 'right eye', 'nose', 'mouth', 'silhouette']
    record = {'network': {'num_steps': 2, 'component_groups': [[0], [1, 2]]}}
    path = save_weights(tmp_path / 'two.pth', record, num_keypoints=3, component_groups=[[0], [1, 2]])
    face, = restore_synthetic(get_restorer(path, 'cpu'), 0)
    assert [name for _, name in pictures(face, 2, False).attention] == ['component 1', 'component 2']


def test_the_command_without_gradio_names_the_package(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.delitem(sys.modules, 'dic_plugin.demo.page', raising=False)
    assert demo_command.main([]) == 1
    assert "gradio is not installed; the page needs it: `pip install 'dic_plugin[demo]'`" in capsys.readouterr().err
