"""The published implementation's figures (tests/data) and the formulas that stand in for its weights and inputs."""
import csv
import json
from collections import OrderedDict
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).resolve().parents[1] / 'data'
GOLDEN = json.loads((DATA / 'golden.json').read_text())
GOLDEN_HASH = json.loads((DATA / 'golden_hash.json').read_text())
GOLDEN_RIVALS = json.loads((DATA / 'golden_rivals.json').read_text())  # the entries of the hash


def published_shapes(network: str) -> 'OrderedDict[str, Tuple[int, ...]]':
    """Keys and shapes of a published state dict, in registration order."""
    rows: List[Dict[str, str]] = []
    for name in ('keys.tsv', 'keys_rivals.tsv'):
        with open(DATA / name, newline='') as file:
            rows += [row for row in csv.DictReader(file, delimiter='\t') if row['network'] == network]
    return OrderedDict((row['key'], tuple(int(size) for size in row['shape'].split(',') if size)) for row in rows)


def fill(shapes: Dict[str, Tuple[int, ...]]) -> Dict[str, Tensor]:
    """Values for a state dict by the formula of the reference figures: tensor index j, element index i."""
    state = OrderedDict()
    for j, (key, shape) in enumerate(shapes.items()):
        size = int(np.prod(shape))
        wave = np.sin(0.1 * j + 0.37 * np.arange(size))
        if key.endswith('num_batches_tracked'):
            state[key] = torch.zeros(shape, dtype=torch.long)
            continue
        if key.endswith('running_var'):
            values = 1 + 0.1 * wave
        elif len(shape) >= 2:
            values = wave * np.sqrt(2 * shape[0] / size)
        else:
            values = 0.1 * wave
        state[key] = torch.from_numpy(values.reshape(shape).astype(np.float32))
    return state


def hash_uniform(j: int, size: int) -> np.ndarray:
    """Pseudo-random numbers in [-1, 1) by the hash of the reference figures: tensor index j, ``size`` elements."""
    h = 0x9E3779B1 * np.arange(size, dtype=np.uint64) + np.uint64(0x85EBCA77 * j % 2**32) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ h >> np.uint64(shift)) * factor & 0xFFFFFFFF
    return (h ^ h >> np.uint64(16)) / 2**31 - 1


def hash_fill(shapes: Dict[str, Tuple[int, ...]], gain: Callable[[str], float]) -> Dict[str, Tensor]:
    """Values for a state dict by the hash; ``gain`` returns that of a tensor of two or more dimensions."""
    state = OrderedDict()
    for j, (key, shape) in enumerate(shapes.items()):
        size = int(np.prod(shape))
        u = hash_uniform(j, size)
        is_norm = f'{key.rpartition(".")[0]}.running_mean' in shapes
        if key.endswith('num_batches_tracked'):
            state[key] = torch.zeros(shape, dtype=torch.long)
            continue
        if key.endswith('weight_orig'):  # PFSR's, which are scaled in use
            values = np.sqrt(3) * u
        elif key.endswith('running_var') or (is_norm and key.endswith('weight')):
            values = 1 + 0.1 * u
        elif len(shape) >= 2:
            values = gain(key) * np.sqrt(6 * shape[0] / size) * u
        else:
            values = 0.1 * u + (0.2 if key.endswith('weight') else 0)
        state[key] = torch.from_numpy(values.reshape(shape).astype(np.float32))
    return state


def fill_network(network: nn.Module, gain: Optional[Callable[[str], float]] = None) -> nn.Module:
    """Fill a network of this project whose tensors are registered in the published order; by the hash with a gain."""
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict(fill(shapes) if gain is None else hash_fill(shapes, gain))
    return network


def wave_input(shape: List[int]) -> Tensor:
    """The reference's input formula, float64."""
    return torch.from_numpy(0.5 * np.sin(0.05 * np.arange(int(np.prod(shape))))).reshape(shape)


def assert_digest(actual: Tensor, digest: dict, rtol: float = 1e-4) -> None:
    """Compare a tensor with a digest: shape, mean, std, L2 norm and the values at 16 flat indices."""
    actual = actual.detach().double()
    assert list(actual.shape) == digest['shape']
    scale = digest['l2'] / actual.numel()**0.5
    assert abs(actual.norm().item() - digest['l2']) <= rtol * digest['l2']
    assert abs(actual.mean().item() - digest['mean']) <= rtol * scale
    assert abs(actual.std(unbiased=False).item() - digest['std']) <= rtol * max(digest['std'], scale)
    values = actual.flatten()[digest['index']]
    expected = torch.tensor(digest['value'], dtype=torch.float64)
    assert (values - expected).abs().max().item() <= rtol * max(expected.abs().max().item(), scale)


def golden_landmarks():
    """The reference's landmarks, in image pixels."""
    i = torch.arange(68, dtype=torch.float64)
    return 4 * torch.stack((16 + 10 * torch.cos(0.3 * i), 16 + 12 * torch.sin(0.21 * i)), -1)
