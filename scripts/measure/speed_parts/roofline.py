"""Time of each stage of a forward pass, as a share of the machine's roofline."""
import time
from collections import defaultdict
from typing import Any, Callable, DefaultDict, Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dic_plugin.archs import DIC
from take_turns import take_turns

REST = 'the rest'
Clock = Callable[[], float]


class Peak(NamedTuple):
    """Best rates of the machine.

    Attributes:
        gflops: float32 matrix product, in 1e9 operations a second.
        gigabytes: read and written a second by a copy that is larger than its caches.
    """
    gflops: float
    gigabytes: float


class Stage(NamedTuple):
    """A part of the network, in one forward pass.

    Attributes:
        name: of the part.
        gflop: 1e9 operations (two per multiplication and addition) of its convolutions.
        gigabytes: its convolutions' inputs, outputs and weights, each once.
        seconds: median.
        least: seconds that the machine's rates allow: the longer of computing and moving.
    """
    name: str
    gflop: float
    gigabytes: float
    seconds: float
    least: float


def measure_machine(device: torch.device, clock: Clock = time.perf_counter) -> Peak:
    """Matrices of 2048, and copies of 256 MB."""
    a, b = torch.rand(2048, 2048, device=device), torch.rand(2048, 2048, device=device)
    source = torch.rand(64 * 2**20, device=device)
    product, target = torch.empty_like(a), torch.empty_like(source)
    seconds = take_turns(dict(mm=lambda: torch.mm(a, b, out=product), copy=lambda: target.copy_(source)), 7, clock)
    return Peak(2 * 2048**3 / seconds['mm'] / 1e9, 2 * source.numel() * 4 / seconds['copy'] / 1e9)


def measure_stages(network: DIC, lq: Tensor, rounds: int, machine: Peak, clock: Clock) -> List[Stage]:
    """Stages of ``network(lq)``, the longest first, and their sum at the end.

    Each stage is timed where it runs, between its neighbours, since memory is warmer in a stage that is run alone.
    """
    parts = _parts(network)
    work = _count(network, lq, parts)
    taken: DefaultDict[str, List[float]] = defaultdict(list)
    for number in range(rounds + 1):
        seconds = _time(network, lq, parts, clock)
        if number:
            for name, value in seconds.items():
                taken[name].append(value)
    stages = []
    for name, values in taken.items():
        gflop, gigabytes = work.get(name, (0., 0.))
        least = max(gflop / machine.gflops, gigabytes / machine.gigabytes)
        stages.append(Stage(name, gflop, gigabytes, sorted(values)[len(values) // 2], least))
    stages.sort(key=lambda stage: -stage.seconds)
    return stages + [Stage('sum', *(sum(values) for values in list(zip(*stages))[1:]))]


def _parts(network: DIC) -> Dict[str, List[nn.Module]]:
    """The modules of every stage; none is inside another."""
    blocks = [network.first_block] + ([network.block] if network.num_steps > 1 else [])
    groups = [block.groups for block in blocks]
    parts = {
        'up-projections': [module for group in groups for module in group.up],
        'down-projections': [module for group in groups for module in group.down],
        '1x1 before down-projections': [module for group in groups for module in group.downtran],
        '1x1 at low resolution': [
            *(module for group in groups for module in group.uptran),
            *(module for block in blocks for module in (block.compress_in, block.compress_out)), network.conv_in
        ],
        'attentive fusion': [block.fusion for block in blocks if block.fusion is not None],
        'output deconvolution': [network.out],
        'hourglass: stem and head': [network.hourglass.stem, network.hourglass.head],
        'hourglass: body': [network.hourglass.hourglass],
    }
    return {name: modules for name, modules in parts.items() if modules}


def _watch(parts: Dict[str, List[nn.Module]], enter: Callable[[str], None], leave: Callable[[str], None]) -> List[Any]:
    handles = []
    for name, modules in parts.items():
        for module in modules:
            handles.append(module.register_forward_pre_hook(lambda *args, name=name: enter(name)))
            handles.append(module.register_forward_hook(lambda *args, name=name: leave(name)))
    return handles


class _Convolutions(TorchDispatchMode):
    """Adds up what the convolutions of the current stage compute and move."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = REST
        self.work: DefaultDict[str, List[float]] = defaultdict(lambda: [0., 0.])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            x, weight, transposed = args[0], args[1], args[6]
            pixels = x if transposed else out
            work = self.work[self.stage]
            work[0] += 2 * pixels.shape[0] * pixels.shape[2] * pixels.shape[3] * weight.numel() / 1e9
            work[1] += (x.numel() + out.numel() + weight.numel()) * x.element_size() / 1e9
        return out


def _count(network: DIC, lq: Tensor, parts: Dict[str, List[nn.Module]]) -> Dict[str, Tuple[float, float]]:
    with _Convolutions() as mode:
        handles = _watch(parts, lambda name: setattr(mode, 'stage', name), lambda name: setattr(mode, 'stage', REST))
        with torch.no_grad():
            network(lq)
    for handle in handles:
        handle.remove()
    return {name: tuple(work) for name, work in mode.work.items()}


def _time(network: DIC, lq: Tensor, parts: Dict[str, List[nn.Module]], clock: Clock) -> Dict[str, float]:
    starts: Dict[str, float] = {}
    seconds: DefaultDict[str, float] = defaultdict(float)

    def enter(name: str) -> None:
        starts[name] = clock()

    def leave(name: str) -> None:
        seconds[name] += clock() - starts[name]

    handles = _watch(parts, enter, leave)
    with torch.no_grad():
        start = clock()
        network(lq)
        total = clock() - start
    for handle in handles:
        handle.remove()
    seconds[REST] = total - sum(seconds.values())
    return dict(seconds)
