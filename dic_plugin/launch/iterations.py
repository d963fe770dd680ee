"""Exact iterations: which faces an iteration gets, how many iterations there are, and where a resumed run goes on.

BasicSR counts epochs: it rounds the iterations of an epoch up where its loader drops the rest, and starts a resumed run
at the beginning of the saved epoch. Here iterations count, and epochs are only the passes in which the faces come.
"""
import math
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, cast

import torch
from basicsr.data import build_dataloader
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.data.prefetch_dataloader import PrefetchGenerator
from torch.utils.data import DataLoader

from dic_plugin.launch.randomness import SeededFaces
from dic_plugin.launch.signals import keep_running
from dic_plugin.models.stock_loop import too_few
from dic_plugin.utils.option_values import OptionError

__all__ = ['Progress', 'ResumableSampler', 'TellingPrefetcher', 'training_loader']


class ResumableSampler(EnlargedSampler):
    """BasicSR's sampler, in the same order for any number of processes, and able to begin in the middle of an epoch.

    Processes take turns face by face, so that together they see in every iteration the faces that one process with as
    large a batch would see. It yields the number of the face in the whole training, which counts ``total_size`` faces
    an epoch: SeededFaces finds the image and draws its augmentation by it.

    Args:
        dataset: the faces.
        num_replicas: number of processes.
        rank: which of them this is.
        ratio: how often every face comes in an epoch.

    Attributes:
        total_size: faces of an epoch, of all processes.
        resumed_epoch, seen: of this epoch so many faces were seen before.
    """

    def __init__(self, dataset: Any, num_replicas: int, rank: int, ratio: float = 1) -> None:
        super().__init__(dataset, num_replicas, rank, ratio)
        self.total_size = math.ceil(len(dataset) * ratio)
        self.num_samples = self.total_size // num_replicas
        self.resumed_epoch, self.seen = 0, 0

    def skipped(self) -> int:
        """Return the number of faces at the beginning of this epoch that were seen before the run was resumed."""
        return self.seen if self.epoch == self.resumed_epoch else 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self.epoch)
        order = torch.randperm(self.total_size, generator=generator).tolist()
        end = self.total_size - (self.total_size - self.skipped()) % self.num_replicas  # as many for every process
        first = self.epoch * self.total_size
        return iter([first + row for row in order[self.skipped() + self.rank:end:self.num_replicas]])


def training_loader(train_set: Any, opt: Mapping[str, Any]) -> DataLoader:
    """Build the loader of the training set, by BasicSR's ``build_dataloader``, with a ResumableSampler.

    Args:
        train_set: the faces.
        opt: options of the run.

    Raises:
        OptionError: there are fewer faces than one batch takes.
    """
    dataset_opt = opt['datasets']['train']
    ratio = dataset_opt.get('dataset_enlarge_ratio') or 1
    sampler = ResumableSampler(train_set, opt['world_size'], opt['rank'], ratio)
    faces = SeededFaces(train_set, sampler.total_size, opt['manual_seed'])
    loader = build_dataloader(faces, dataset_opt, num_gpu=opt['num_gpu'], dist=opt['dist'], sampler=sampler)
    loader.worker_init_fn = keep_running
    if len(loader) == 0:
        raise OptionError(too_few(len(train_set), ratio, loader.batch_size * opt['world_size']))
    return loader


class TellingPrefetcher(PrefetchGenerator):
    """BasicSR's thread of ``prefetch_mode: cpu``, which leaves the training waiting forever if its loader fails."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            self.queue.put(error)

    def __next__(self) -> Any:
        batch = super().__next__()
        if isinstance(batch, Exception):
            raise batch
        return batch


class Progress:
    """The iterations of a run: counts them, and hands the training loader's batches to BasicSR's loop.

    It stands in for BasicSR's prefetchers, whose ``next`` the loop calls between two iterations.

    Args:
        loader: see training_loader.
        total_iter: number of iterations.
        state: the training state from which the run is resumed; None at its beginning. Its ``epoch``, from which
            BasicSR's loop goes on, is brought to the epoch of the next iteration.
        faces_per_iteration: of all processes.
        seed: called with the number of each iteration before its faces are loaded; see seed_iteration.

    Attributes:
        current_iter: the iteration that runs, or the last one.
        total_epochs: the number that the loop is to be given; it ends by itself before.
    """

    def __init__(self, loader: DataLoader, total_iter: int, state: Optional[Dict[str, Any]], faces_per_iteration: int,
                 seed: Callable[[int], None]) -> None:
        self.sampler = cast(ResumableSampler, loader.sampler)
        self.total_iter = total_iter
        self.faces_per_iteration, self.seed = faces_per_iteration, seed
        self.batches = 0  # of this epoch, since it began or was resumed
        self.first_iter = self.current_iter = 0
        per_epoch = len(loader)
        if state is not None:
            self.first_iter = self.current_iter = state['iter']
            state['epoch'], seen = self._position(state, per_epoch)
            self.sampler.resumed_epoch, self.sampler.seen = state['epoch'], seen
        remaining = math.ceil(max(0, total_iter - self.current_iter) / per_epoch)
        self.total_epochs = (0 if state is None else state['epoch']) + remaining + 1
        self.prefetcher: Any = None
        self.between: Callable[[], None] = lambda: None  # called between two iterations
        self.begin: Callable[[int, Any], None] = lambda iteration, batch: None  # called with what an iteration gets

    def _position(self, state: Mapping[str, Any], per_epoch: int) -> Any:
        """Return the epoch of the next iteration and the number of its faces that were seen already."""
        saved = state.get('sampler')
        if saved is None:  # saved by BasicSR itself, which counts from the beginning of the epoch
            saved = dict(seen=(state['iter'] - state['epoch'] * per_epoch) * self.faces_per_iteration,
                         total_size=self.sampler.total_size)  # yapf: disable
        same_faces = saved['total_size'] == self.sampler.total_size
        if same_faces and 0 <= saved['seen'] <= self.sampler.total_size - self.faces_per_iteration:
            return state['epoch'], saved['seen']
        return state['epoch'] + 1, 0

    def position(self) -> Dict[str, int]:
        """Return what a resumed run must know of the faces: how many of this epoch's were seen, of how many."""
        seen = self.sampler.skipped() + self.batches * self.faces_per_iteration
        return dict(seen=seen, total_size=self.sampler.total_size)

    @property
    def is_finished(self) -> bool:
        """Whether the last iteration has run."""
        return self.current_iter >= self.total_iter

    # ------------------------------------------------------------- as a prefetcher
    def reset(self) -> None:
        """Begin an epoch."""
        self.batches = 0
        if not self.is_finished:
            self.prefetcher.reset()

    def next(self) -> Any:
        """Return the next batch, or None at the end of an epoch or of the training."""
        self.between()
        self.seed(self.current_iter + 1)
        batch = None if self.is_finished else self.prefetcher.next()
        if batch is not None:
            self.batches += 1
            self.current_iter += 1
            self.begin(self.current_iter, batch)
        return batch
