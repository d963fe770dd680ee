"""Random choices that depend on the seed, the face and the iteration alone.

They do not depend on the process or loader worker that makes them, or on what was drawn before. So a resumed run makes
those of an undisturbed one, to the last bit, and no state of random numbers needs saving.
"""
import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

__all__ = ['SeededFaces', 'seed_iteration']


class SeededFaces(Dataset):
    """A training set whose augmentation is drawn anew for each time that a face is seen.

    Args:
        faces: The training set, of any type.
        epoch_size: Faces of an epoch, of all processes.
        seed: ``manual_seed`` of the run.

    ``faces[number]``: ``number`` counts the faces of the whole training; see ResumableSampler.
    """

    def __init__(self, faces: Any, epoch_size: int, seed: int) -> None:
        self.faces, self.epoch_size, self.seed = faces, epoch_size, seed

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, number: int) -> Any:
        random.seed(f'{self.seed}/{number}')
        np.random.seed(random.getrandbits(32))
        if get_worker_info():  # elsewhere the generator is the training's
            torch.manual_seed(random.getrandbits(63))
        return self.faces[number % self.epoch_size % len(self.faces)]


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Seed what networks, losses and models draw in one iteration of one process."""
    torch.manual_seed(random.Random(f'{seed}/{rank}/{iteration}').getrandbits(63))
