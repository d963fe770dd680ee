"""Iterations are iterations: as many as the option file says, each face in its turn, wherever a run is resumed."""
import sys
from types import SimpleNamespace

import pytest
import torch
from basicsr.data.prefetch_dataloader import PrefetchDataLoader
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from dic_plugin.launch.iterations import Progress, ResumableSampler, training_loader
from dic_plugin.models import stock_loop
from dic_plugin.utils.option_values import OptionError


def options(num_gpu=0, dist=False, world_size=1, rank=0, total_iter=20, **dataset):
    dataset = dict(dict(phase='train', batch_size_per_gpu=8, num_worker_per_gpu=0), **dataset)
    return dict(
        num_gpu=num_gpu, dist=dist, world_size=world_size, rank=rank, manual_seed=0, datasets=dict(train=dataset),
        train=dict(total_iter=total_iter))  # yapf: disable


# ------------------------------------------------------------ the sampler
@given(
    num_images=st.integers(1, 40), ratio=st.sampled_from([1, 2, 2.5]), num_replicas=st.integers(1, 4),
    epoch=st.integers(0, 3), seen=st.integers(0, 30))  # yapf: disable
def test_processes_share_out_an_epoch_and_a_resumed_one_repeats_no_face(num_images, ratio, num_replicas, epoch, seen):
    images = range(num_images)
    whole = ResumableSampler(images, 1, 0, ratio)
    whole.set_epoch(epoch)
    order = list(whole)
    assert sorted(order) == list(range(epoch * whole.total_size, (epoch + 1) * whole.total_size))
    seen = min(seen, len(order))
    shares = []
    for rank in range(num_replicas):
        sampler = ResumableSampler(images, num_replicas, rank, ratio)
        sampler.set_epoch(epoch)
        sampler.resumed_epoch, sampler.seen = epoch, seen
        shares.append(list(sampler))
    assert len(set(map(len, shares))) == 1  # as many for every process, or they would wait for one another
    together = [row for turn in zip(*shares) for row in turn]
    assert together == order[seen:seen + len(together)]
    assert len(order) - seen - len(together) < num_replicas


# ------------------------------------------------------------ the loader
@pytest.mark.parametrize(
    'opt, faces',
    [
        (options(), 8),
        (options(num_gpu=2), 16),  # one process with two GPUs
        (options(num_gpu=2, dist=True, world_size=2), 8),
    ])
def test_faces_of_a_batch(opt, faces):
    loader = training_loader(TensorDataset(torch.arange(40)), opt)
    assert loader.batch_size == faces and len(loader) == 40 // faces // opt['world_size']


@pytest.mark.parametrize('opt', [options(), options(num_gpu=2), options(dist=True, world_size=2)])
def test_less_than_a_batch_is_refused(opt):
    batch = 8 * max(1, opt['num_gpu'], opt['world_size'])
    with pytest.raises(OptionError, match=f'datasets:train: {batch - 1} images are fewer than one batch of {batch}, '):
        training_loader(TensorDataset(torch.arange(batch - 1)), opt)
    opt['datasets']['train']['dataset_enlarge_ratio'] = 2
    assert len(training_loader(TensorDataset(torch.arange(batch - 1)), opt)) == 1


@pytest.mark.parametrize('num_images, num_gpu, ratio', [(9, 0, 1), (8, 0, 1), (2005, 0, 3), (17, 2, 1), (33, 4, 2.5)])
def test_progress_reaches_the_last_iteration_exactly(num_images, num_gpu, ratio):
    """As BasicSR's loop does: epochs from the state's on, each until there is no batch."""
    opt = options(num_gpu, dataset_enlarge_ratio=ratio, total_iter=37)
    loader = training_loader(TensorDataset(torch.arange(num_images)), opt)
    progress = Progress(loader, 37, None, loader.batch_size, seed=lambda iteration: None)
    progress.prefetcher = Batches(loader)
    iterations = 0
    for epoch in range(progress.total_epochs + 1):
        loader.sampler.set_epoch(epoch)
        progress.reset()
        while progress.next() is not None:
            iterations += 1
    assert iterations == progress.current_iter == 37


class Batches:
    """As BasicSR's CPUPrefetcher."""

    def __init__(self, loader):
        self.loader = loader

    def reset(self):
        self.batches = iter(self.loader)

    def next(self):
        return next(self.batches, None)


class Broken(TensorDataset):

    def __getitem__(self, index):
        raise ValueError('face 3 is no image')


@pytest.mark.parametrize('prefetch_mode', [None, 'cpu'])
def test_a_face_that_cannot_be_read_ends_the_training(train, option_file, monkeypatch, prefetch_mode):
    """BasicSR's thread of prefetch_mode: cpu would end alone, and leave the loop waiting."""
    from dic_plugin.data.synthetic_face_dataset import SyntheticFaceDataset
    monkeypatch.setattr(SyntheticFaceDataset, '__getitem__', Broken.__getitem__)
    with pytest.raises(ValueError, match='face 3 is no image'):
        train('-opt', option_file(), '--force_yml', f'datasets:train:prefetch_mode={prefetch_mode}',
              'datasets:train:num_prefetch_queue=1')  # yapf: disable


def test_basicsr_loads_in_a_thread_by_the_class_that_is_replaced():
    assert 'PrefetchGenerator' in PrefetchDataLoader.__iter__.__code__.co_names


# ------------------------------------------------------------ whole runs
@pytest.mark.parametrize('forced', [(), ('datasets:train:prefetch_mode=cpu', 'datasets:train:num_prefetch_queue=2')])
def test_a_set_that_is_no_multiple_of_the_batch(train, option_file, tmp_path, forced):
    """BasicSR's own loop ended such a run at 11 of 20, with status 0."""
    status, said = train('-opt', option_file(), '--force_yml', 'train:total_iter=20', 'datasets:train:num_images=9',
                         'datasets:train:batch_size_per_gpu=8', 'val:val_freq=20', *forced)  # yapf: disable
    assert status == 0, said
    experiment = tmp_path / 'experiments/toy'
    assert torch.load(experiment / 'training_states/20.state', weights_only=True)['iter'] == 20
    assert (experiment / 'models/net_g_20.pth').is_file()
    log = next(experiment.glob('train_toy_*.log')).read_text()
    assert log.count(', lr:') == 20 and 'psnr: ' in log


def test_fewer_faces_than_one_batch_leave_nothing_behind(train, option_file, tmp_path):
    status, said = train('-opt', option_file(), '--force_yml', 'datasets:train:batch_size_per_gpu=8')
    assert status == 2 and 'datasets:train: 4 images are fewer than one batch of 8, ' in said
    assert not (tmp_path / 'experiments').exists()


def test_a_resumed_epoch_goes_on_where_it_was(train, option_file, tmp_path, monkeypatch):
    """The faces of an interrupted and resumed run are those of an undisturbed one, in its order."""
    from dic_plugin.data.synthetic_face_dataset import SyntheticFaceDataset
    plain, taken = SyntheticFaceDataset.__getitem__, []

    def getitem(self, index):
        if self.opt['phase'] == 'train':
            taken.append(index)
        return plain(self, index)

    monkeypatch.setattr(SyntheticFaceDataset, '__getitem__', getitem)
    common = ['--force_yml', 'datasets:train:num_images=9', 'val:val_freq=100']
    assert train('-opt', option_file(), *common, 'name=whole', 'train:total_iter=6')[0] == 0
    undisturbed, taken[:] = list(taken), []
    assert train('-opt', option_file(), *common, 'name=parts', 'train:total_iter=3')[0] == 0
    first, taken[:] = list(taken), []
    assert train('-opt', option_file(), '--auto_resume', *common, 'name=parts', 'train:total_iter=6')[0] == 0
    # a loader reads one batch ahead of the last iteration
    assert first[:6] == undisturbed[:6] and taken[:6] == undisturbed[6:12]


# ------------------------------------------------------------ BasicSR's own loop, in a checkout that is not ours
@pytest.mark.parametrize(
    'num_images, opt, state, end',
    [
        (9, options(), None, 11),  # seen: "End of training" after 11 of 20
        (16, options(), None, 20),
        (9, options(batch_size_per_gpu=1), dict(epoch=9, iter=10), 10),  # saved at batch 8: ends at once
        (2005, options(total_iter=150000), None, 149750),  # Helen's training set
        (168854, options(total_iter=150000), None, 150000),  # CelebA's
        (168854, options(num_gpu=2, total_iter=150000), None, 94977),  # on two GPUs without a launcher
    ])
def test_where_basicsrs_own_loop_ends(num_images, opt, state, end):
    assert stock_loop.stock_iterations(num_images, opt, state) == end


def test_basicsrs_own_loop_without_any_iteration():
    with pytest.raises(OptionError, match='datasets:train: 4 images are fewer than one batch of 8'):
        stock_loop.stock_iterations(4, options())


@pytest.mark.parametrize('is_stock', [True, False])
def test_an_unmodified_checkout_is_warned_of_its_early_end(monkeypatch, is_stock):
    said = []
    monkeypatch.setattr(stock_loop, 'build_dataset', lambda opt: range(9))
    monkeypatch.setattr(stock_loop, 'get_root_logger', lambda: SimpleNamespace(warning=said.append))
    if is_stock:
        monkeypatch.setattr(sys.modules['__main__'], 'train_pipeline', None, raising=False)
    stock_loop.warn_of_early_end(options())
    assert ['will end this training after iteration 11 of 20' in line for line in said] == [True] * is_stock
