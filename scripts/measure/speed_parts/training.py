"""A training step of DIC against the plain formulation."""
import math
import time
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from dic_plugin.archs import DIC, DICOutput
from speed_parts.devices import Way, clock_of, megabytes_of, training_ways
from take_turns import take_turns

Targets = Tuple[Tensor, Tensor]


class Training(NamedTuple):
    """One way to take a training step.

    Attributes:
        name: of the way.
        seconds: per step, median.
        ratio: how many times as fast as the plain one.
        error: largest relative difference of a parameter's gradient norm from the plain one.
        megabytes: of memory at the peak, on a GPU; else None.
    """
    name: str
    seconds: float
    ratio: float
    error: float
    megabytes: Optional[float]


def make_targets(network: DIC, lq: Tensor) -> Targets:
    """Images and heatmaps of the sizes that the network gives, random."""
    batch, _, height, width = lq.shape
    height, width = height * network.upscale, width * network.upscale
    num_keypoints = network.hourglass.head[-1].out_channels
    return lq.new_empty(batch, 3, height, width).uniform_(), lq.new_empty(batch, num_keypoints, height // 4,
                                                                          width // 4).uniform_()


def training_step(network: DIC, forward: Callable[[Tensor], DICOutput], lq: Tensor, targets: Targets) -> None:
    """Forward, the recipe's loss, backward; gradients are left in the parameters."""
    gt, target = targets
    network.zero_grad()
    steps = forward(lq)
    loss = sum((sr - gt).abs().mean() for sr in steps.sr)
    loss = loss + 0.1 * sum((heatmap.float() - target).square().mean() for heatmap in steps.heatmap)
    loss.backward()


def compare_training(network: DIC, lq: Tensor, rounds: int, until: float = math.inf) -> List[Training]:
    """Time every way to train on this device, in turns, and compare their gradients. The first way is the plain one.

    Ways without time (``until``, of time.monotonic()) or memory are missing.
    """
    targets = make_targets(network, lq)
    ways: Dict[str, Way] = training_ways(network)
    gradients, megabytes, turns = {}, {}, {}
    for name, way in ways.items():
        if time.monotonic() > until:
            break
        turn = partial(training_step, way.network, way.forward, way.place(lq), targets)
        try:
            turn()  # compiles, too
            megabytes[name] = megabytes_of(turn, lq.device)
        except torch.cuda.OutOfMemoryError:
            continue
        gradients[name] = [parameter.grad.float().norm().item() for parameter in way.network.parameters()]
        turns[name] = turn
    plain, *_ = ways
    if plain not in turns:
        return []
    seconds = take_turns(turns, rounds, clock_of(lq.device))
    scale = max(gradients[plain])
    return [
        Training(name, seconds[name], seconds[plain] / seconds[name],
                 max(abs(a - b) / max(b, 1e-3 * scale)
                     for a, b in zip(gradients[name], gradients[plain])), megabytes[name]) for name in turns
    ]
