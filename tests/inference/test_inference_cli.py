"""dic-infer: every option, every kind of output, and what it says when something is wrong."""
import errno
import importlib.util
import json
import os
import re
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import dic_plugin
from dic_plugin import FaceRestorer
from dic_plugin.cli import infer as cli
from dic_plugin.cli import synthetic as draw_faces
from dic_plugin.faces import photograph
from dic_plugin.faces.found_face import FoundFace
from dic_plugin.inference import files, restore_files
from dic_plugin.inference.paste import enlarge_photograph
from dic_plugin.synthetic import draw_face
from helpers import forked
from helpers.inference_weights import save_weights
from helpers.photographs import make_photographs

RECORD = {'network': {'num_steps': 2}, 'trained_on': ['celeba', 'FaceLandmarkDataset'], 'input_size': 16}


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp('weights') / 'net_g_latest.pth', RECORD)


class KnownFaces:
    """Stands in for a detector: every photograph has its faces where the first pixels say."""
    order, min_confidence, described, model = 'ibug68', 0., 'known', None

    def find(self, img):
        zoom = img.shape[1] / 200
        faces = []
        for column in range(img[0, 0, 0] // 50):
            _, landmarks = draw_face(0, column, 64)
            size = (0.3 + 0.2 * column) * zoom
            faces.append(FoundFace((landmarks * size + (10 + 90 * column) * zoom).astype(np.float64), confidence=1.5))
        return faces


@pytest.fixture
def detector(monkeypatch):
    monkeypatch.setattr(cli, 'make_detector', lambda name, model: KnownFaces())


def write_photo(path, num_faces, ext='.png'):
    img = np.random.RandomState(num_faces).randint(0, 256, (150, 200, 3), np.uint8)
    img[:8, :8] = 50 * num_faces
    cv2.imwrite(f'{path}{ext}', img)
    return img[..., ::-1]


def write_crops(folder, num, size=16):
    folder.mkdir(exist_ok=True)
    for index in range(num):
        cv2.imwrite(str(folder / f'face{index}.png'), draw_face(0, index, max(size, 32))[0][:size, :size, ::-1])
    return folder


def infer(weights, tmp_path, *arguments, code=0):
    assert cli.main(['-w', weights, '-o', str(tmp_path / 'out'), '--device', 'cpu', *map(str, arguments)]) == code
    return sorted(
        path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('*') if path.is_file())


def read(path):
    return cv2.imread(str(path))[..., ::-1]


# ---------------------------------------------------------------- face crops
def test_aligned_faces(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'in', 3)
    written = infer(weights, tmp_path, '-i', crops, '--aligned', '--batch', 2)
    assert written == [f'faces/face{index}.png'
                       for index in range(3)] + [f'landmarks/face{index}.json' for index in range(3)]
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f'wrote 6 files to {tmp_path / "out"}'
    assert '2 steps, 16x16 to 128x128, trained on celeba (FaceLandmarkDataset); cpu, fp32' in said.out
    assert 'warning' not in said.err
    restored = FaceRestorer(weights, 'cpu')([read(crops / f'face{index}.png') for index in range(3)])
    for index in range(3):
        assert np.abs(read(tmp_path / f'out/faces/face{index}.png').astype(int) - restored.faces[index]).max() <= 1
        content = json.loads((tmp_path / f'out/landmarks/face{index}.json').read_text())
        face, = content.pop('faces')
        assert content == dict(
            file=str(crops / f'face{index}.png'), width=16, height=16, weights='net_g_latest.pth', order='ibug68')
        assert face['face'] == f'faces/face{index}.png' and face['box'] == [0, 0, 16, 16] and face['warnings'] == []
        np.testing.assert_allclose(face['landmarks'], restored.landmarks[index], atol=0.06)
        np.testing.assert_allclose(face['landmarks_in_file'], (np.array(face['landmarks']) + 0.5) / 8 - 0.5, atol=0.02)


def test_suffix_ext_and_strips(weights, tmp_path):
    crops = write_crops(tmp_path / 'in', 1)
    written = infer(weights, tmp_path, '-i', crops, '--aligned', '--suffix', 'dic', '--ext', 'jpg', '--visualise')
    assert written == ['faces/face0_dic.jpg', 'landmarks/face0_dic.json', 'strips/face0_dic.png']
    strip = read(tmp_path / 'out/strips/face0_dic.png')
    assert strip.shape[0] > 2 * 256 and strip.shape[1] > 5 * 256  # two rows; five attention maps
    one_step = infer(weights, tmp_path, '-i', crops, '--aligned', '--visualize', '--steps', 1, '--suffix', 'one')
    assert 'strips/face0_one.png' in one_step
    assert read(tmp_path / 'out/strips/face0_one.png').shape[0] < 300  # nothing guided the only step


def test_steps_and_bf16_reach_the_network(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'in', 1)
    image = read(crops / 'face0.png')
    infer(weights, tmp_path, '-i', crops, '--aligned', '--steps', 1, '--fp32')
    expected = FaceRestorer(weights, 'cpu', steps=1)([image]).faces[0]
    np.testing.assert_array_equal(read(tmp_path / 'out/faces/face0.png'), expected)
    infer(weights, tmp_path, '-i', crops, '--aligned', '--bf16')
    np.testing.assert_array_equal(
        read(tmp_path / 'out/faces/face0.png'),
        FaceRestorer(weights, 'cpu', 'bf16')([image]).faces[0])
    assert 'cpu, bf16' in capsys.readouterr().out


def test_auto_keeps_the_format_of_each_input(weights, tmp_path):
    crops = write_crops(tmp_path / 'in', 1)
    cv2.imwrite(str(crops / 'other.jpeg'), np.zeros((16, 16, 3), np.uint8))
    written = infer(weights, tmp_path, '-i', crops, '--aligned', '--ext', 'auto')
    assert [name for name in written if name.startswith('faces')] == ['faces/face0.png', 'faces/other.jpg']


def test_inputs_of_one_name_do_not_overwrite_each_other(weights, tmp_path):
    folders = [write_crops(tmp_path / name, 1) for name in ('a', 'b')]
    written = infer(weights, tmp_path, '-i', *folders, '--aligned')
    assert written[:2] == ['faces/face0.png', 'faces/face0_2.png']


# ---------------------------------------------------------------- photographs
def test_every_face_of_a_photograph_the_largest_first(weights, tmp_path, detector, capsys):
    photo = write_photo(tmp_path / 'photo', 2)
    written = infer(weights, tmp_path, '-i', tmp_path / 'photo.png', '--paste-back', '--visualise')
    assert written == [
        'faces/photo_00.png', 'faces/photo_01.png', 'landmarks/photo.json', 'photos/photo.png', 'strips/photo_00.png',
        'strips/photo_01.png'
    ]
    content = json.loads((tmp_path / 'out/landmarks/photo.json').read_text())
    boxes = [face['box'] for face in content['faces']]
    sides = [box[2] - box[0] for box in boxes]
    assert sides[0] > sides[1] > 16 and content['faces'][0]['confidence'] == 1.5
    for face, (x0, y0, x1, y1) in zip(content['faces'], boxes):
        points = np.array(face['landmarks_in_file'])
        assert (points > (x0 - 1, y0 - 1)).all() and (points < (x1, y1)).all()
    pasted = read(tmp_path / 'out/photos/photo.png')
    factor = -(-128 // sides[1])
    plain = enlarge_photograph(photo, factor)
    assert pasted.shape == plain.shape
    inside = np.zeros(plain.shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        box = pasted[y0 * factor:y1 * factor, x0 * factor:x1 * factor]
        assert (box != plain[y0 * factor:y1 * factor, x0 * factor:x1 * factor]).any()
        inside[y0 * factor:y1 * factor, x0 * factor:x1 * factor] = True
    np.testing.assert_array_equal(pasted[~inside], plain[~inside])
    assert 'large faces are shrunk to 16x16 first' in capsys.readouterr().err


def test_photographs_without_a_face_are_named(weights, tmp_path, detector, capsys):
    write_photo(tmp_path / 'some', 1)
    write_photo(tmp_path / 'none', 0)
    written = infer(weights, tmp_path, '-i', tmp_path / '*.png')
    assert 'faces/some_00.png' in written and not any('none' in name for name in written)
    said = capsys.readouterr().err
    assert f'{tmp_path / "none.png"}: no face found' in said
    assert 'no face in 1 (' in said and said.splitlines()[-1].endswith('none.png')


def test_nothing_written_is_an_error(weights, tmp_path, detector, capsys):
    write_photo(tmp_path / 'none', 0)
    assert infer(weights, tmp_path, '-i', tmp_path / 'none.png', code=1) == []
    said = capsys.readouterr()
    assert '--aligned' in said.err and said.out.splitlines()[-1].startswith('wrote 0 files to')


def test_one_bad_file_does_not_stop_the_rest(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'in', 2)
    (crops / 'broken.png').write_bytes(b'not an image')
    written = infer(weights, tmp_path, '-i', crops, tmp_path / 'missing.png', '--aligned')
    assert [name for name in written if name.startswith('faces')] == ['faces/face0.png', 'faces/face1.png']
    said = capsys.readouterr().err
    assert 'broken.png: cannot be decoded' in said and 'missing.png: does not exist' in said
    assert 'could not use 2: ' in said.splitlines()[-1]


def test_a_face_outside_its_photograph_is_left_out(weights, tmp_path, detector, monkeypatch, capsys):
    """Of the two photographs one has another face, the other has none."""

    def find(self, img):
        _, landmarks = draw_face(0, 0, 64)
        return [FoundFace(landmarks + offset, confidence=1.) for offset in (5000, 20)[:img[0, 0, 0] // 50]]

    monkeypatch.setattr(KnownFaces, 'find', find)
    write_photo(tmp_path / 'one', 1)
    write_photo(tmp_path / 'two', 2)
    written = infer(weights, tmp_path, '-i', tmp_path / '*.png')
    assert written == ['faces/two_00.png', 'landmarks/two.json']
    said = capsys.readouterr().err
    assert re.search(r'two.png: a face is left out: .* lies outside the photograph', said)
    assert re.search(r'one.png: The crop .* lies outside the photograph', said)
    assert said.splitlines()[-1] == f'could not use 1: {tmp_path / "one.png"}'


def test_an_error_about_one_file_does_not_stop_the_rest(weights, tmp_path, monkeypatch, capsys):

    def cautions_of(crop, image, jpeg, size):
        if not image.any():
            raise ValueError('it is all black')
        return []

    monkeypatch.setattr(photograph, 'cautions_of', cautions_of)
    crops = write_crops(tmp_path / 'in', 2)
    cv2.imwrite(str(crops / 'black.png'), np.zeros((16, 16, 3), np.uint8))
    written = infer(weights, tmp_path, '-i', crops, '--aligned')
    assert [name for name in written if name.startswith('faces')] == ['faces/face0.png', 'faces/face1.png']
    said = capsys.readouterr().err
    assert 'black.png: it is all black' in said and said.splitlines()[-1].startswith('could not use 1: ')


def test_a_result_that_its_format_cannot_hold_does_not_stop_the_rest(weights, tmp_path, detector, monkeypatch, capsys):
    for name in ('a', 'b'):
        write_photo(tmp_path / name, 1)

    def paste(job, *_):
        return np.zeros((1, 16384 if job.name == 'a' else 10, 3), np.uint8)

    monkeypatch.setattr(restore_files, '_paste', paste)
    written = infer(weights, tmp_path, '-i', tmp_path / '*.png', '--paste-back', '--ext', 'webp')
    assert written == ['faces/a_00.webp', 'faces/b_00.webp', 'landmarks/b.json', 'photos/b.webp']
    said = capsys.readouterr()
    assert 'a.webp: an image of 16384x1 pixels cannot be written' in said.err
    assert said.err.splitlines()[-1] == f'could not use 1: {tmp_path / "a.png"}'
    assert said.out.splitlines()[-1].startswith('wrote 4 files')


def test_a_name_too_long_for_a_result_does_not_stop_the_rest(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'in', 1)
    long = crops / f'{"a" * 250}.png'
    (crops / 'face0.png').replace(long)
    write_crops(crops, 2)
    written = infer(weights, tmp_path, '-i', crops, '--aligned', '--suffix', 'dic')
    assert written == [
        'faces/face0_dic.png', 'faces/face1_dic.png', 'landmarks/face0_dic.json', 'landmarks/face1_dic.json'
    ]
    said = capsys.readouterr()
    assert f'{long}: a result cannot be written (File name too long)' in said.err
    assert said.err.splitlines()[-1] == f'could not use 1: {long}'
    assert said.out.splitlines()[-1].startswith('wrote 4 files')


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_would_meet_every_file_ends_it(weights, tmp_path, monkeypatch, capsys, number):
    asked = []

    def write_image(path, image):
        asked.append(path)
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(restore_files, 'write_image', write_image)
    infer(weights, tmp_path, '-i', write_crops(tmp_path / 'in', 3), '--aligned', code=1)
    assert len(asked) == 1 and f'error: [Errno {number}]' in capsys.readouterr().err


def test_what_was_read_before_an_error_ends_it_is_restored(weights, tmp_path, detector, monkeypatch, capsys):
    for name, num_faces in (('a', 1), ('b', 1), ('c', 2), ('d', 1)):
        write_photo(tmp_path / name, num_faces)
    find_as_known = KnownFaces.find

    def find(self, img):
        if img[0, 0, 0] == 100:
            raise RuntimeError('the detector is broken')
        return find_as_known(self, img)

    monkeypatch.setattr(KnownFaces, 'find', find)
    written = infer(weights, tmp_path, '-i', tmp_path / '*.png', code=1)
    assert written == ['faces/a_00.png', 'faces/b_00.png', 'landmarks/a.json', 'landmarks/b.json']
    said = capsys.readouterr()
    assert 'error: the detector is broken' in said.err and said.out.splitlines()[-1].startswith('wrote 4 files')


def test_cautions_are_said_once_a_kind(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'in', 7, size=32)
    infer(weights, tmp_path, '-i', crops, '--aligned')
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('warning: face crops of another size than the trained one, 16x16')
    assert '7 of 7 faces, face0 (32x32), ' in line and line.endswith('face4 (32x32), ...')
    content = json.loads((tmp_path / 'out/landmarks/face0.json').read_text())
    assert content['faces'][0]['warnings'][0].endswith('(32x32)')


def test_weights_trained_on_other_data_are_warned_about(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'in', 1)
    infer(weights, tmp_path, '-i', crops, '--aligned', '--trained-on', 'celeba')
    assert 'warning' not in capsys.readouterr().err
    infer(weights, tmp_path, '-i', crops, '--aligned', '--trained-on', 'Helen')
    assert "trained on celeba (FaceLandmarkDataset), not on 'Helen'" in capsys.readouterr().err


def test_what_had_to_be_assumed_is_said(tmp_path, capsys):
    weights = save_weights(tmp_path / 'old.pth')
    infer(weights, tmp_path, '-i', write_crops(tmp_path / 'in', 1), '--aligned')
    said = capsys.readouterr()
    assert 'taken to be 4, as published. (--steps)' in said.err and 'training set not recorded' in said.out


# ---------------------------------------------------------------- what goes wrong
@pytest.mark.parametrize('arguments, message', [
    (['--steps', '9'], 'steps=9: .* expected 1 to 2'),
    (['--batch', '0'], 'batch_size=0; expected at least 1'),
    (['--device', 'cuda:99'], "device 'cuda:99' cannot be used here"),
    (['-w', 'none.pth'], 'none.pth: no such file'),
])
def test_errors_are_one_line(weights, tmp_path, capsys, arguments, message):
    crops = write_crops(tmp_path / 'in', 1)
    with pytest.raises(RuntimeError, match=f'^error: .*{message}'):
        infer(weights, tmp_path, '-i', crops, '--aligned', *arguments, code=1)
        raise RuntimeError(capsys.readouterr().err)


@pytest.mark.parametrize('arguments, message', [
    (['--aligned', '--paste-back'], '--paste-back needs photographs'),
    (['--min-face', '4'], '--min-face is 4; expected at least 10'),
    (['--margin', '-1'], '--margin is -1.0; expected 0 to 10'),
    (['--suffix', 'a/b'], "--suffix is 'a/b'"),
    (['--ext', 'gif'], 'invalid choice'),
    (['--fp32', '--bf16'], 'not allowed with'),
])
def test_command_lines_without_sense_are_refused(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as refused:
        cli.main(['-i', 'a.png', '-w', 'b.pth', *arguments])
    assert refused.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize('error', [ModuleNotFoundError, FileNotFoundError])
def test_a_missing_detector_is_one_line_that_says_what_to_do(weights, tmp_path, monkeypatch, capsys, error):

    def missing(name, model):
        raise error("dlib is not installed: `pip install 'dic_plugin[faces]'` brings it.")

    monkeypatch.setattr(cli, 'make_detector', missing)
    write_photo(tmp_path / 'photo', 1)
    assert infer(weights, tmp_path, '-i', tmp_path / 'photo.png', code=1) == []
    said = capsys.readouterr().err
    assert 'pip install' in said and said.strip().endswith('--aligned needs no detector.')


def test_sources_are_never_overwritten(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'faces', 1)
    before = (crops / 'face0.png').read_bytes()
    assert cli.main(['-i', str(crops), '-o', str(tmp_path), '-w', weights, '--aligned']) == 1
    assert 'expected another output folder' in capsys.readouterr().err
    assert (crops / 'face0.png').read_bytes() == before


def test_a_result_that_cannot_be_written_is_an_error(weights, tmp_path, capsys):
    crops = write_crops(tmp_path / 'in', 1)
    (tmp_path / 'out').write_bytes(b'a file')
    assert cli.main(['-i', str(crops), '-o', str(tmp_path / 'out'), '-w', weights, '--aligned']) == 1
    assert 'error: ' in capsys.readouterr().err


def test_too_little_memory_is_said_with_a_way_out(weights, tmp_path, monkeypatch, capsys):

    def too_much(self, images):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory.')

    monkeypatch.setattr(FaceRestorer, '__call__', too_much)
    assert infer(weights, tmp_path, '-i', write_crops(tmp_path / 'in', 1), '--aligned', code=1) == []
    assert 'CUDA out of memory. A smaller --batch needs less.' in capsys.readouterr().err


def test_ctrl_c_leaves_only_whole_files(weights, tmp_path, monkeypatch, capsys):
    crops = write_crops(tmp_path / 'in', 4)
    written = []

    def write_image(path, image):
        written.append(path)
        if len(written) == 3:
            monkeypatch.setattr(files.os, 'replace', lambda *_: os.kill(os.getpid(), signal.SIGINT))
        files.write_image(path, image)

    monkeypatch.setattr(restore_files, 'write_image', write_image)
    before = signal.getsignal(signal.SIGINT)
    try:
        done = infer(weights, tmp_path, '-i', crops, '--aligned', '--batch', 1, code=130)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ['faces/face0.png', 'faces/face1.png', 'landmarks/face0.json', 'landmarks/face1.json']
    said = capsys.readouterr()
    assert 'Interrupted.' in said.err and said.out.splitlines()[-1].startswith('wrote 4 files')


def test_files_that_are_no_crops_need_a_detector(weights, tmp_path):
    with pytest.raises(ValueError, match='a detector is needed'):
        restore_files.restore_files([], FaceRestorer(weights, 'cpu'), restore_files.Settings(str(tmp_path)),
                                    restore_files.Restored())


def test_many_pixels_do_not_wait_for_a_full_batch(weights, tmp_path, monkeypatch):
    sizes = []
    call = FaceRestorer.__call__
    monkeypatch.setattr(FaceRestorer, '__call__', lambda self, images: sizes.append(len(images)) or call(self, images))
    monkeypatch.setattr(restore_files, 'MOST_PENDING', 1)
    infer(weights, tmp_path, '-i', write_crops(tmp_path / 'in', 3), '--aligned')
    assert sizes == [1, 1, 1]


# ---------------------------------------------------------------- as people run it
@pytest.mark.skipif(importlib.util.find_spec('dlib') is None, reason='dlib is not installed')
def test_drawn_faces_are_found_by_dlib(weights, tmp_path):
    scenes = make_photographs(tmp_path / 'photos', 2, size=(150, 120), face_size=80)
    written = infer(weights, tmp_path, '-i', tmp_path / 'photos')
    assert [name for name in written if name.startswith('faces/')] == ['faces/000001_00.png', 'faces/000002_00.png']
    for name, scene in scenes.items():
        content = json.loads((tmp_path / f'out/landmarks/{name[:-4]}.json').read_text())
        found, true = np.array(content['faces'][0]['box']), np.array(scene.box)
        assert np.abs(found - true).max() < 15
        assert any('JPEG' in warning for warning in content['faces'][0]['warnings']) == (found[2] - found[0] < 64)


def test_the_script_runs_from_anywhere(weights, tmp_path):
    script = Path(dic_plugin.__file__).resolve().parents[1] / 'scripts/inference_dic.py'
    if not script.is_file():
        pytest.skip('tests the sources, which are not here')
    said = forked.run([script, '-i', write_crops(tmp_path / 'in', 1), '-w', weights, '--aligned'], cwd=tmp_path)
    assert said.splitlines()[-1] == 'wrote 2 files to results/inference'
    assert (tmp_path / 'results/inference/faces/face0.png').is_file()


def test_documented_options_exist(capsys):
    page = Path(dic_plugin.__file__).resolve().parents[1] / 'docs/inference.md'
    if not page.is_file():
        pytest.skip('tests the sources, which are not here')
    with pytest.raises(SystemExit):
        cli.parse(['--help'])
    offered = set(re.findall(r'--[a-z][a-z0-9-]+', capsys.readouterr().out))
    documented = set(re.findall(r'--[a-z][a-z0-9-]+', page.read_text(encoding='utf-8')))
    assert documented - {'--num', '--scale'} <= offered  # these two draw synthetic faces


# ---------------------------------------------------------------- drawn faces as files
def test_synthetic_faces_become_files(tmp_path, capsys):
    assert draw_faces.main([str(tmp_path / 'faces'), '--num', '2', '--seed', '5', '--size', '64', '--scale', '4']) == 0
    assert capsys.readouterr().out == f'wrote 2 files to {tmp_path / "faces"}\n'
    assert sorted(os.listdir(tmp_path / 'faces')) == ['synthetic_5_000000.png', 'synthetic_5_000001.png']
    assert read(tmp_path / 'faces/synthetic_5_000001.png').shape == (16, 16, 3)
    assert draw_faces.main([str(tmp_path / 'faces'), '--num', '1', '--seed', '5']) == 0
    np.testing.assert_array_equal(read(tmp_path / 'faces/synthetic_5_000000.png'), draw_face(5, 0)[0])


@pytest.mark.parametrize('arguments, message', [(['--size', '8'], 'size must be 32 to 256'),
                                                (['--scale', '7'], 'cannot be shrunk by 7')])
def test_impossible_synthetic_faces_are_refused(tmp_path, capsys, arguments, message):
    assert draw_faces.main([str(tmp_path), *arguments]) == 1
    assert message in capsys.readouterr().err
