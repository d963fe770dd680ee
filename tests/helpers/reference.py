"""The published implementation's figures (tests/data) and the formulas that stand in for its weights and inputs."""
import csv
import json
from collections import OrderedDict
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).resolve().parents[1] / 'data'
GOLDEN = json.loads((DATA / 'golden.json').read_text())


def published_shapes(network: str) -> 'OrderedDict[str, Tuple[int, ...]]':
    """Keys and shapes of a published state dict, in registration order."""
    with open(DATA / 'keys.tsv', newline='') as file:
        rows = [row for row in csv.DictReader(file, delimiter='\t') if row['network'] == network]
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


def fill_network(network: nn.Module) -> nn.Module:
    """Fill a network of this project whose tensors are registered in the published order."""
    network.load_state_dict(fill({key: tuple(value.shape) for key, value in network.state_dict().items()}))
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
