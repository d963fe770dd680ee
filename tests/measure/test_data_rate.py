"""scripts/measure/data_rate.py compares like with like, and what was made fast gives the plain result bit for bit."""
import dic_plugin  # noqa: F401 isort:skip (before basicsr, which may need its shims)

import importlib
import random

import cv2
import numpy as np
import pytest
import torch
from basicsr.utils.lmdb_util import LmdbMaker
from PIL import Image, ImageOps

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_landmark_dataset import FaceLandmarkDataset
from dic_plugin.data.geometry import aspect_crop_box
from dic_plugin.landmarks.heatmaps import render_heatmaps
from dic_plugin.landmarks.layouts import flip_permutation


@pytest.fixture(scope='module')
def benchmark():
    threads = cv2.getNumThreads(), torch.get_num_threads()
    yield importlib.import_module('data_rate')
    cv2.setNumThreads(threads[0])
    torch.set_num_threads(threads[1])


# ---- the benchmark ----


def test_plain_reading_gives_the_samples_of_the_prepared_set(benchmark, tmp_path):
    scenes = benchmark.draw_scenes(str(tmp_path), 3)
    faces = [benchmark.crop_scene(scene) for scene in scenes]
    plain = benchmark.PlainFaces(scenes, [list(map(int, face.crop_box)) for face in faces])
    prepared = benchmark.store(faces, str(tmp_path))
    assert len(plain) == len(prepared) == 3
    for index in range(3):
        expected, found = plain[index], prepared[index]
        assert torch.equal(found['gt'], expected['gt']) and torch.equal(found['lq'], expected['lq'])
        torch.testing.assert_close(found['landmarks'], expected['landmarks'], atol=1e-4, rtol=0)
        torch.testing.assert_close(
            render_heatmaps(found['landmarks'], (32, 32)), expected['heatmaps'], atol=1e-4, rtol=0)
        assert expected['heatmaps'].shape == (68, 32, 32) and not any(faces[index].padding)


def test_lines(benchmark):
    lines = benchmark.loading_lines({'plain': 10., 'prepared': 1., 'heatmaps': 1.}, {'plain': 12., 'prepared': 4.})
    assert [line.split()[-3:] for line in lines[1:]] == [['100.0', '1000.0', '10.0'], ['100.0', '500.0', '5.0'],
                                                         ['83.3', '250.0', '3.0']]
    line = benchmark.preparation_line('given', benchmark.CELEBA_PHOTOS / 3600, 4)
    assert line.split() == ['given', '56.3', '1.00', '0.25']


@pytest.mark.parametrize('plain, code', [(8., 0), (7.9, 1)])
def test_exit_code_tells_whether_the_target_is_met(benchmark, monkeypatch, capsys, plain, code):
    monkeypatch.setattr(benchmark, 'measure_loading', lambda *_: {'plain': plain, 'prepared': 1., 'heatmaps': 1.})
    monkeypatch.setattr(benchmark, 'measure_data_loader', lambda *_: {'plain': 1., 'prepared': 1.})

    def no_dlib(name):
        raise ModuleNotFoundError('dlib is not installed: get it')

    monkeypatch.setattr(benchmark, 'make_detector', no_dlib)
    assert benchmark.main(['--num', '2', '--rounds', '1']) == code
    output = capsys.readouterr()
    assert 'landmarks found by dlib: not measured. dlib is not installed: get it' in output.out
    assert ('missed: reading prepared faces is 7.9 times as fast, expected 8' in output.err) == bool(code)


def test_refuses_no_photographs(benchmark):
    with pytest.raises(SystemExit, match='2'):
        benchmark.main(['--num', '0'])


# ---- what was made fast ----


def make_set(folder, size):
    """An LMDB of two noise images, one of them with every 8-bit value, and their annotations."""
    rng = np.random.RandomState(size)
    images = [rng.randint(0, 256, (size, size, 3), np.uint8) for _ in range(2)]
    images[0].reshape(-1)[:256] = np.arange(256)
    maker = LmdbMaker(str(folder / 'faces.lmdb'), map_size=1 << 22)
    for index, img in enumerate(images):
        maker.put(cv2.imencode('.png', img)[1].tobytes(), f'{index}', img.shape)
    maker.close()
    landmarks = (size * rng.uniform(0.2, 0.8, (2, 68, 2))).astype(np.float32)
    FaceAnnotations(np.array(['0', '1']), landmarks, 'ibug68').save(str(folder / 'faces.npz'))
    return [cv2.cvtColor(img, cv2.COLOR_BGR2RGB) for img in images], landmarks


def open_set(folder, **options):
    return FaceLandmarkDataset(
        dict(
            type='FaceLandmarkDataset',
            phase='train',
            scale=8,
            gt_size=128,
            dataroot_gt=str(folder / 'faces.lmdb'),
            io_backend={'type': 'lmdb'},
            annotation_file=str(folder / 'faces.npz'),
            **options))


def as_tensor(img):
    return torch.from_numpy((np.asarray(img).astype(np.float32) / np.float32(255)).transpose(2, 0, 1).copy())


def test_celeba_samples_are_those_of_the_plain_formulation(tmp_path):
    images, landmarks = make_set(tmp_path, 128)
    dataset = open_set(tmp_path)
    for index, img in enumerate(images):
        sample = dataset[index]
        assert torch.equal(sample['gt'], as_tensor(img))
        assert torch.equal(sample['lq'], as_tensor(Image.fromarray(img).resize((16, 16), Image.BICUBIC)))
        assert torch.equal(sample['landmarks'], torch.from_numpy(landmarks[index]))


@pytest.mark.parametrize('seed', range(8))
def test_helen_samples_are_those_of_the_plain_formulation(tmp_path, seed):
    images, landmarks = make_set(tmp_path, 256)
    dataset = open_set(tmp_path, use_hflip=True, use_rot=True, aspect_ratio_range=[0.66, 1.33])
    random.seed(seed)
    sample = dataset[1]

    random.seed(seed)
    x0, y0, x1, y1 = aspect_crop_box(256, 256, landmarks[1], random.uniform(0.66, 1.33))
    gt = Image.fromarray(images[1][y0:y1, x0:x1]).resize((128, 128), Image.BICUBIC)
    points = (landmarks[1] - np.array([x0, y0]) + 0.5) * np.array([128 / (x1 - x0), 128 / (y1 - y0)]) - 0.5
    points = points.astype(np.float32)
    if random.random() < 0.5:
        gt, points = ImageOps.mirror(gt), points[flip_permutation(68)] * (-1, 1) + (127, 0)
    for _ in range(random.randrange(4)):
        gt, points = gt.transpose(Image.ROTATE_90), np.stack([points[:, 1], 127 - points[:, 0]], axis=1)
    assert torch.equal(sample['gt'], as_tensor(gt))
    assert torch.equal(sample['lq'], as_tensor(gt.resize((16, 16), Image.BICUBIC)))
    assert torch.equal(sample['landmarks'], torch.from_numpy(points.astype(np.float32)))


def test_memory_of_a_sample_is_its_own(tmp_path):
    _, landmarks = make_set(tmp_path, 128)
    dataset = open_set(tmp_path)
    sample = dataset[0]
    for key in ('lq', 'gt', 'landmarks'):
        sample[key].zero_()
    assert torch.equal(dataset[0]['landmarks'], torch.from_numpy(landmarks[0]))
    assert dataset[0]['gt'].any() and dataset[0]['lq'].any()
