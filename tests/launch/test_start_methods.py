"""Loader workers begin by fork, forkserver (Python's own choice from 3.14 on) or spawn: the faces are the same."""
import multiprocessing

import cv2
import numpy as np
import pytest
import torch
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from torch.utils.data import DataLoader

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.data.face_landmark_dataset import FaceLandmarkDataset
from dic_plugin.data.synthetic_face_dataset import SyntheticFaceDataset
from dic_plugin.prepare.workers import worker_map
from helpers.training_process import iterations, run, write_options

METHODS = multiprocessing.get_all_start_methods()
COMMON = dict(name='faces', phase='val', scale=8, gt_size=32)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three drawn faces with landmarks, as files and as an LMDB."""
    folder = tmp_path_factory.mktemp('faces')
    (folder / 'images').mkdir()
    faces = SyntheticFaceDataset(dict(COMMON, num_images=3))
    names = ['0', '1', '2']
    for name, face in zip(names, faces):
        image = (face['gt'].numpy() * 255).round().astype(np.uint8)
        cv2.imwrite(str(folder / f'images/{name}.png'), image.transpose(1, 2, 0)[..., ::-1])
    landmarks = np.stack([face['landmarks'].numpy() for face in faces])
    FaceAnnotations(np.array(names), landmarks, 'ibug68').save(str(folder / 'faces.npz'))
    make_lmdb_from_imgs(str(folder / 'images'), str(folder / 'faces.lmdb'), [f'{name}.png' for name in names], names)
    return folder


def dataset(kind, folder):
    if kind == 'synthetic':
        return SyntheticFaceDataset(dict(COMMON, num_images=3))
    files = dict(dataroot_gt=str(folder / ('faces.lmdb' if kind == 'lmdb' else 'images')), io_backend=dict(type=kind))
    annotation_file = str(folder / 'faces.npz')
    return FaceLandmarkDataset(dict(COMMON, type='FaceLandmarkDataset', annotation_file=annotation_file, **files))


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('kind', ['synthetic', 'disk', 'lmdb'])
def test_workers_give_what_the_dataset_gives(folder, kind, method):
    faces = dataset(kind, folder)
    here = list(faces)  # an LMDB is open by now
    there = list(DataLoader(faces, num_workers=1, multiprocessing_context=method, timeout=120))
    assert len(here) == len(there) == 3
    for one, other in zip(here, there):
        assert all(torch.equal(one[key], other[key][0]) for key in ('lq', 'gt', 'landmarks'))


@pytest.mark.slow
@pytest.mark.parametrize('method', [method for method in METHODS if method != 'fork'])
@pytest.mark.parametrize('kind, root', [('disk', 'images'), ('lmdb', 'faces.lmdb')])
def test_prepare_workers_see_what_this_process_reads(folder, monkeypatch, kind, root, method):
    """By spawn only where there is no forkserver, as on Windows: the pool does not ask for the default."""
    get_context, used = multiprocessing.get_context, []
    monkeypatch.setattr(multiprocessing, 'get_all_start_methods', lambda: [method])
    monkeypatch.setattr(multiprocessing, 'get_context', lambda name: used.append(name) or get_context(name))
    files = FaceFiles(str(folder / root), dict(type=kind))
    here = [files.read(row) for row in range(3)]
    with worker_map(1, int) as run:
        there = list(run(files.read, range(3)))
    assert all(map(np.array_equal, here, there)) and not np.array_equal(*here[:2])
    assert used == [method]


@pytest.mark.slow
@pytest.mark.parametrize('method', [method for method in METHODS if method != 'fork'])  # other tests train with fork
def test_a_training_with_workers(tmp_path, method):
    write_options(tmp_path, datasets__train__num_worker_per_gpu=2, datasets__train__persistent_workers=True)
    prepare = f'import multiprocessing; multiprocessing.set_start_method({method!r}, force=True)'
    assert iterations(run(tmp_path, prepare=prepare)) == [1, 2, 3, 4]
