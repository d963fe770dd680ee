"""The annotation file: what is written comes back, and what is wrong is named."""
import os
import re

import numpy as np
import pytest

from dic_plugin.data.annotations import FaceAnnotations


def arrays(num=3, num_keypoints=5, **changes):
    fields = dict(
        names=np.array([f'face{i}' for i in range(num)]),
        landmarks=np.random.RandomState(0).rand(num, num_keypoints, 2).astype(np.float32),
        order=f'celeba{num_keypoints}')
    return dict(fields, **changes)


PROVENANCE = dict(
    image_size=np.full((3, 2), 128, np.int32),
    source=np.array(['a.jpg', 'b.jpg', 'ü ö.jpg']),
    crop_box=np.arange(12, dtype=np.float32).reshape(3, 4))


@pytest.mark.parametrize('optional', [{}, PROVENANCE])
def test_saved_file_comes_back(tmp_path, optional):
    path = str(tmp_path / 'annotations.npz')
    saved = FaceAnnotations(**arrays(), **optional)
    saved.save(path)
    loaded = FaceAnnotations.load(path)
    assert os.listdir(tmp_path) == ['annotations.npz']
    assert (loaded.order, loaded.num_keypoints) == ('celeba5', 5)
    for field in ('names', 'landmarks', 'image_size', 'source', 'crop_box'):
        np.testing.assert_array_equal(getattr(loaded, field), getattr(saved, field))


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'annotations.npz'
    path.write_bytes(b'old')

    def fail(file, **_):
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(np, 'savez_compressed', fail)
    with pytest.raises(OSError, match='disk full'):
        FaceAnnotations(**arrays()).save(str(path))
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['annotations.npz']


def with_nan():
    landmarks = arrays()['landmarks']
    landmarks[1, 2, 0] = np.nan
    return landmarks


@pytest.mark.parametrize('change, message', [
    (dict(landmarks=arrays()['landmarks'].astype(np.float64)), r'landmarks must be an array of float32 .*float64'),
    (dict(landmarks=arrays(num=2)['landmarks']), r'landmarks must be .*\(3, K, 2\), but is float32 \(2, 5, 2\)'),
    (dict(names=np.array([1, 2, 3])), 'names must be an array of unicode'),
    (dict(names=np.array(['a', 'b', 'a'])), "'a' stands twice, for the faces 0 and 2"),
    (dict(names=np.array(['a', '', 'c'])), 'face 1 has an empty name'),
    (dict(landmarks=with_nan()), "landmarks of 'face1' hold NaN"),
    (dict(order='ibug68'), "5 landmarks per face, but its order is 'ibug68'"),
    (dict(order='celeba'), "order is 'celeba'; expected a name that ends in 5"),
    (dict(crop_box=np.zeros((3, 2), np.float32)), r'crop_box must be .*\(3, 4\)'),
    (dict(image_size=np.zeros((3, 2), np.float32)), 'image_size must be an array of int32'),
    (dict(names=np.array([], dtype='U1'), landmarks=np.zeros((0, 5, 2), np.float32)), 'holds no face'),
])
def test_wrong_contents_are_named(tmp_path, change, message):
    """On construction, and with the file's name when loaded."""
    fields = arrays(**change)
    with pytest.raises(ValueError, match=message):
        FaceAnnotations(**fields)
    path = str(tmp_path / 'wrong.npz')
    np.savez(path, **fields)
    with pytest.raises(ValueError, match='wrong.npz: .*' + message):
        FaceAnnotations.load(path)


def test_missing_array_is_named(tmp_path):
    path = str(tmp_path / 'wrong.npz')
    np.savez(path, names=np.array(['a']), order='celeba5')
    with pytest.raises(ValueError, match="wrong.npz: has no array 'landmarks'"):
        FaceAnnotations.load(path)


def test_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match='absent.npz.*README.md, section "Data"'):
        FaceAnnotations.load(str(tmp_path / 'absent.npz'))


def atomic_write(path):
    FaceAnnotations(**arrays()).save(str(path))
    return path.read_bytes()


def with_entry(path, offset, value):
    """A byte of every entry in the archive's directory, as fuzzing found it."""
    content = bytearray(atomic_write(path))
    for match in re.finditer(b'PK\x01\x02', bytes(content)):
        content[match.start() + offset] = value
    return bytes(content)


@pytest.mark.parametrize(
    'damage', [
        lambda path: b'',
        lambda path: b'no archive',
        lambda path: atomic_write(path)[:-30],
        lambda path: atomic_write(path)[:200],
        lambda path: with_entry(path, 6, 210),
        lambda path: with_entry(path, 8, 1),
    ],
    ids=['empty', 'text', 'without its end', 'truncated', 'of zip 21.0', 'encrypted'])
def test_unreadable_file_is_named(tmp_path, damage):
    path = tmp_path / 'bad.npz'
    path.write_bytes(damage(path))
    with pytest.raises(ValueError, match='bad.npz: not a readable annotation file'):
        FaceAnnotations.load(str(path))


def test_single_array_is_no_annotation_file(tmp_path):
    path = tmp_path / 'array.npz'
    with open(path, 'wb') as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match='array.npz: not a readable annotation file'):
        FaceAnnotations.load(str(path))


def test_pickled_objects_are_refused(tmp_path):
    """Loading them would run code."""
    path = str(tmp_path / 'objects.npz')
    np.savez(path, **arrays(names=np.array(['a', 'b', 'c'], dtype=object)))
    with pytest.raises(ValueError, match='objects.npz: not a readable annotation file'):
        FaceAnnotations.load(path)
