"""Input and output files of the restoration: their names, and atomic writing."""
import os

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dic_plugin.inference import files
from dic_plugin.inference.files import extension, list_files, result_names, write_image
from dic_plugin.utils.atomic_write import write_json


@pytest.fixture
def folder(tmp_path):
    for name in ('b.png', 'a.JPG', '.hidden.png', 'notes.txt', 'sub/c.png', 'sub/deep/d.webp', 'e[1].png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    return tmp_path


@pytest.mark.parametrize('inputs, expected', [
    ([''], ['a.JPG', 'b.png', 'e[1].png']),
    (['b.png', 'notes.txt'], ['b.png', 'notes.txt']),
    (['*.png'], ['b.png', 'e[1].png']),
    (['**/*.png'], ['b.png', 'e[1].png', 'sub/c.png']),
    (['e[1].png'], ['e[1].png']),
    (['b.png', '', 'sub/../b.png'], ['b.png', 'a.JPG', 'e[1].png']),
    (['sub'], ['sub/c.png']),
])
def test_files_folders_and_globs(folder, inputs, expected):
    found, nothing, _ = list_files([str(folder / name) for name in inputs])
    assert [os.path.relpath(path, folder) for path in found] == expected and nothing == []


@pytest.mark.parametrize('recursive, expected, others', [
    (False, ['a.JPG', 'b.png', 'e[1].png'], {'.txt': 1}),
    (True, ['a.JPG', 'b.png', 'e[1].png', 'sub/c.png', 'sub/deep/d.webp'], {'.txt': 2, '.mp4': 1, 'folder @eaDir': 1}),
])  # yapf: disable
def test_what_else_a_folder_holds_is_counted(folder, recursive, expected, others):
    for name in ('@eaDir/b.png/THUMB.jpg', 'sub/film.mp4', 'sub/without/more.txt'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'')
    found, nothing, counted = list_files([str(folder)], recursive)
    assert [os.path.relpath(path, folder) for path in found] == expected and nothing == [] and counted == others


@pytest.mark.parametrize('name, reason', [('none.png', 'does not exist'), ('*.gif', 'matches no file'),
                                          ('empty', 'holds no image; expected files that end in .jpg')])
def test_what_means_no_file_is_named(folder, name, reason):
    (folder / 'empty').mkdir()
    found, [(named, why)], _ = list_files([str(folder / name), str(folder / 'b.png')])
    assert len(found) == 1 and named == str(folder / name) and why.startswith(reason)


def test_home_is_found(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    assert list_files(['~/b.png']) == ([str(folder / 'b.png')], [], {})


@given(st.lists(st.sampled_from(['a', 'A', 'a_2', 'a_3', 'b', 'a_2_2']), max_size=12))
def test_results_have_different_names_on_any_file_system(stems):
    names = result_names([f'folder{index}/{stem}.png' for index, stem in enumerate(stems)])
    assert len({name.lower() for name in names}) == len(names) == len(stems)
    assert all(name.startswith(stem) for name, stem in zip(names, stems))


@pytest.mark.parametrize('ext, path, expected', [('png', 'a.jpg', '.png'), ('auto', 'a.JPEG', '.jpg'),
                                                 ('auto', 'a.bmp', '.png'), ('auto', 'a.webp', '.webp'),
                                                 ('jpg', 'a.png', '.jpg')])
def test_extensions(ext, path, expected):
    assert extension(ext, path) == expected


@pytest.mark.parametrize('ext, tolerance', [('.png', 0), ('.jpg', 8), ('.webp', 8)])
def test_images_are_written_as_rgb(tmp_path, ext, tolerance):
    image = np.zeros((16, 16, 3), np.uint8) + np.array([200, 100, 50], np.uint8)
    write_image(str(tmp_path / f'image{ext}'), image)
    read = cv2.imread(str(tmp_path / f'image{ext}'))[..., ::-1]
    assert np.abs(read.astype(int) - image).max() <= tolerance
    assert os.listdir(tmp_path) == [f'image{ext}']


@pytest.mark.parametrize('ext, width', [('.webp', 16384), ('.jpg', 65501)])
def test_images_that_a_format_cannot_hold_are_refused(tmp_path, ext, width):
    path = tmp_path / f'image{ext}'
    path.write_bytes(b'as before')
    with pytest.raises(ValueError, match=f'image{ext}: an image of {width}x2 pixels .* such as png'):
        write_image(str(path), np.zeros((2, width, 3), np.uint8))
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b'as before'
    write_image(str(tmp_path / 'image.png'), np.zeros((2, width, 3), np.uint8))


@pytest.mark.parametrize('error', [OSError('disk full'), KeyboardInterrupt()])
def test_half_a_file_never_appears(tmp_path, monkeypatch, error):
    path = tmp_path / 'image.png'
    path.write_bytes(b'as before')

    def fail(*_):
        raise error

    monkeypatch.setattr(files.os, 'replace', fail)
    with pytest.raises(type(error)):
        write_image(str(path), np.zeros((4, 4, 3), np.uint8))
    assert os.listdir(tmp_path) == ['image.png'] and path.read_bytes() == b'as before'


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError):
        write_json(str(tmp_path / 'a.json'), [float('nan')])
    assert os.listdir(tmp_path) == []
