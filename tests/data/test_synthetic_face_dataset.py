"""SyntheticFaceDataset: the same faces everywhere, each drawn once, in whatever process."""
import dic_plugin  # noqa: F401 isort:skip (before basicsr, which may need its shims)

import pickle
import random

import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from PIL import Image

from dic_plugin.data import synthetic_face_dataset
from dic_plugin.data.shared_face_cache import SharedFaceCache
from dic_plugin.data.synthetic_face_dataset import SyntheticFaceDataset
from dic_plugin.landmarks.layouts import flip_permutation
from dic_plugin.synthetic import draw_face


def options(**changes):
    opt = dict(name='Drawn', type='SyntheticFaceDataset', phase='val', scale=8, num_images=4, gt_size=64)
    return dict(opt, **changes)


@pytest.fixture
def drawn(monkeypatch):
    """Replace the drawing by a quick one, and record what is drawn in this process."""
    record = []

    def draw(seed, index, size):
        record.append((seed, index))
        rng = np.random.RandomState(100 * seed + index)
        return rng.randint(0, 256, (size, size, 3), np.uint8), (rng.rand(68, 2) * (size - 1)).astype(np.float32)

    monkeypatch.setattr(synthetic_face_dataset, 'draw_face', draw)
    return record


def to_uint8(tensor):
    return (tensor.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def test_sample_is_the_drawn_face():
    sample = SyntheticFaceDataset(options(seed=3))[2]
    img, landmarks = draw_face(3, 2, 64)
    np.testing.assert_array_equal(to_uint8(sample['gt']), img)
    np.testing.assert_array_equal(
        to_uint8(sample['lq']), np.asarray(Image.fromarray(img).resize((8, 8), Image.BICUBIC)))
    np.testing.assert_allclose(sample['landmarks'].numpy(), landmarks, atol=1e-5)
    assert sample['gt_path'] == sample['lq_path'] == 'synthetic_3_000002.png'


def test_defaults(drawn):
    opt = options()
    del opt['gt_size']
    dataset = SyntheticFaceDataset(opt)
    assert len(dataset) == 4 and dataset[0]['gt'].shape == (3, 128, 128)
    assert drawn == [(0, 0)]


def test_cached_face_is_drawn_once_and_stays_as_it_was(drawn):
    dataset = SyntheticFaceDataset(options(phase='train', use_hflip=True))
    random.seed(0)
    samples = [dataset[1] for _ in range(8)]
    assert drawn == [(0, 1)]
    permutation = flip_permutation(68)
    mirrored = [not torch.equal(sample['gt'], samples[0]['gt']) for sample in samples]
    assert 0 < sum(mirrored) < 8
    for sample, is_mirrored in zip(samples, mirrored):
        gt, landmarks = samples[0]['gt'], samples[0]['landmarks'].clone()
        if is_mirrored:
            gt, landmarks = gt.flip(2), landmarks[permutation]
            landmarks[:, 0] = 63 - landmarks[:, 0]
        assert torch.equal(sample['gt'], gt)
        torch.testing.assert_close(sample['landmarks'], landmarks)


def test_without_cache_every_time_is_drawn(drawn):
    dataset = SyntheticFaceDataset(options(cache=False))
    assert torch.equal(dataset[1]['gt'], dataset[1]['gt'])
    assert drawn == [(0, 1), (0, 1)]


@pytest.mark.parametrize('num_workers', [1, 2])
def test_faces_drawn_by_forked_workers_are_kept(drawn, num_workers):
    """Faces that workers drew are used by the main process and by the workers of the next epoch."""
    dataset = SyntheticFaceDataset(options())
    loader = torch.utils.data.DataLoader(dataset, batch_size=1, num_workers=num_workers, multiprocessing_context='fork')
    by_workers = [batch['gt'][0] for batch in loader]
    assert dataset.cache.checksums.all()
    by_main = [dataset[index]['gt'] for index in range(4)]
    assert drawn == []
    assert all(torch.equal(a, b) for a, b in zip(by_workers, by_main))


@pytest.mark.slow
def test_spawned_worker_draws_the_same_faces():
    dataset = SyntheticFaceDataset(options(num_images=2))
    here = [dataset[index] for index in range(2)]
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context='spawn')
    batch = next(iter(loader))
    for key in ('lq', 'gt', 'landmarks'):
        assert torch.equal(batch[key], torch.stack([sample[key] for sample in here]))


def test_basicsr_builds_dataset_and_loader(drawn):
    opt = options(phase='train', use_hflip=True, num_worker_per_gpu=1, batch_size_per_gpu=2, dataset_enlarge_ratio=1)
    loader = build_dataloader(build_dataset(opt), opt, num_gpu=1, seed=0)
    batch = next(iter(loader))
    assert batch['lq'].shape == (2, 3, 8, 8) and batch['landmarks'].shape == (2, 68, 2)
    assert batch['lq_path'][0].startswith('synthetic_0_00000')


def test_options_of_basicsr_are_accepted(drawn):
    """All options that BasicSR's loops and loaders read or its option files commonly contain."""
    SyntheticFaceDataset(
        options(
            dataroot_gt=None,
            dataroot_lq=None,
            io_backend={'type': 'disk'},
            num_worker_per_gpu=0,
            batch_size_per_gpu=1,
            dataset_enlarge_ratio=1,
            prefetch_mode=None,
            num_prefetch_queue=1,
            pin_memory=False,
            persistent_workers=False,
            use_shuffle=True,
            mean=None,
            std=None))


def test_index_as_in_a_list(drawn):
    dataset = SyntheticFaceDataset(options())
    assert dataset[-1]['gt_path'] == 'synthetic_0_000003.png'
    with pytest.raises(IndexError):
        dataset[4]


@pytest.mark.parametrize('change, message', [
    (dict(num_image=4), r"SyntheticFaceDataset\):num_image: no such option; did you mean 'num_images'"),
    (dict(use_rot=True), 'use_rot: no such option'),
    (dict(num_images=None), 'num_images is None; expected a whole number of at least 1'),
    (dict(num_images=0), 'num_images is 0'),
    (dict(seed=-1), 'seed is -1; expected a whole number of at least 0'),
    (dict(seed='a'), "seed is 'a'"),
    (dict(gt_size=100), 'gt_size is 100; expected a multiple of the scale, 8'),
    (dict(gt_size=-8), 'gt_size is -8; expected a whole number of at least 32 and of at most 256'),
    (dict(gt_size=512), 'gt_size is 512'),
    (dict(use_hflip='maybe'), "use_hflip is 'maybe'; expected true or false"),
    (dict(dataroot_gt='faces'),
     "dataroot_gt is 'faces'; expected none: SyntheticFaceDataset draws .* FaceLandmarkDataset"),
    (dict(annotation_file='a.npz'), 'annotation_file is .*; expected none'),
])
def test_wrong_option_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        SyntheticFaceDataset(options(**change))


def test_cache_knows_what_it_has_not():
    cache = SharedFaceCache(2, 4, 3)
    img, landmarks = np.full((4, 4, 3), 7, np.uint8), np.full((3, 2), 0.5, np.float32)
    assert cache.get(0) is None
    cache.put(0, img, landmarks)
    np.testing.assert_array_equal(cache.get(0)[0], img)
    np.testing.assert_array_equal(cache.get(0)[1], landmarks)
    assert cache.get(1) is None
    cache.images[0, 0, 0, 0] = 8  # as another core sees it that has not got all of the face yet
    assert cache.get(0) is None
    cache.put(0, img, landmarks)
    assert cache.get(0) is not None
    assert pickle.loads(pickle.dumps(cache)).get(0) is None
