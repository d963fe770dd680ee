"""LMDBs and folders of finished crops."""
import filecmp
import os

import cv2
import lmdb
import numpy as np
import pytest
from basicsr.data.data_util import paired_paths_from_lmdb

import dic_plugin  # noqa: F401
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.prepare.image_store import LmdbStore, lmdb_map_size, open_store


def _png(seed, size):
    img = np.random.RandomState(seed).randint(0, 256, (size, size, 3), np.uint8)
    return img, cv2.imencode('.png', img[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _fill(store, size, num):
    images = {}
    for seed in range(num):
        images[f'face_{seed}'], png = _png(seed, size)
        store.put(png, f'face_{seed}', (size, size, 3))
    store.close()
    return images


@pytest.mark.parametrize('kind', ['lmdb', 'png'])
@pytest.mark.parametrize('size', [16, 128])
def test_what_goes_in_comes_out(tmp_path, kind, size):
    images = _fill(open_store(str(tmp_path / 'train'), kind, [3 * size * size] * 12), size, 12)
    root = tmp_path / ('train.lmdb' if kind == 'lmdb' else 'train')
    meta_info = None if kind == 'lmdb' else str(tmp_path / 'meta_info_train.txt')
    files = FaceFiles(str(root), {'type': 'lmdb' if kind == 'lmdb' else 'disk'}, meta_info)
    assert files.names == list(images)
    for index, name in enumerate(files.names):
        np.testing.assert_array_equal(files.read(index), images[name])


@pytest.mark.parametrize('batch', [1, 7, 1000])
@pytest.mark.parametrize('size', [16, 64])
def test_a_full_map_grows_and_loses_nothing(tmp_path, size, batch):
    store = LmdbStore(str(tmp_path / 'a.lmdb'), map_size=32768, batch=batch)
    images = _fill(store, size, 60)
    assert store.map_size > 32768
    with lmdb.open(str(tmp_path / 'a.lmdb'), readonly=True, lock=False) as env, env.begin() as txn:
        assert txn.stat()['entries'] == 60
        for seed, name in enumerate(images):
            assert bytes(txn.get(name.encode())) == _png(seed, size)[1]
    assert len((tmp_path / 'a.lmdb' / 'meta_info.txt').read_text().splitlines()) == 60


@pytest.mark.parametrize('size,num', [(1, 1), (16, 300), (128, 40)])
def test_the_estimate_is_enough(tmp_path, size, num):
    sizes = [len(_png(seed, size)[1]) for seed in range(num)]
    store = LmdbStore(str(tmp_path / 'a.lmdb'), lmdb_map_size(sizes), batch=10)
    expected = store.map_size
    _fill(store, size, num)
    assert store.map_size == expected


def test_two_stores_of_the_same_images_are_the_same_bytes(tmp_path):
    for name in 'ab':
        _fill(LmdbStore(str(tmp_path / f'{name}.lmdb'), 65536, batch=5), 32, 30)
    assert sorted(os.listdir(tmp_path / 'a.lmdb')) == ['data.mdb', 'meta_info.txt']
    for file in ('data.mdb', 'meta_info.txt'):
        assert filecmp.cmp(tmp_path / 'a.lmdb' / file, tmp_path / 'b.lmdb' / file, shallow=False)


def test_basicsr_pairs_two_of_them(tmp_path):
    for name, size in (('test', 32), ('test_lq', 4)):
        _fill(open_store(str(tmp_path / name), 'lmdb', [100] * 3), size, 3)
    pairs = paired_paths_from_lmdb([str(tmp_path / 'test_lq.lmdb'), str(tmp_path / 'test.lmdb')], ['lq', 'gt'])
    assert pairs == [{'lq_path': f'face_{i}', 'gt_path': f'face_{i}'} for i in range(3)]
