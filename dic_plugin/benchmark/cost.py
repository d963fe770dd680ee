"""What a network costs: parameters, operations, speed and memory, measured in a process of its own.

    python -m dic_plugin.benchmark.cost OPTIONS.json    # prints one line of JSON at the end
"""
import json
import re
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import torch
from basicsr.archs import build_network
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

WARM_UP = 3  # forward passes before any is timed
MIN_PASSES = 5
MIN_SECONDS = 2.


def measure_cost(network_g: Mapping[str, Any], lq_size: List[int], batch_size: int, device: str) -> Dict[str, Any]:
    """Measure a network with random weights.

    Args:
        network_g: BasicSR's options of it.
        lq_size: height and width of the input.
        batch_size: images per forward pass, for speed and memory.
        device: 'cpu' or 'cuda'.

    Returns:
        ``params``: number of parameters. ``flops``: floating-point operations for one image, a multiplication and an
        addition being two; convolutions, matrix products and attention are counted, activations and resampling are
        not. ``images_per_second``: of the median pass. ``peak_memory``: bytes beyond what the process had before the
        network was built: parameters and everything that a pass needs; None where the system does not tell.
    """
    x = torch.rand(batch_size, 3, *lq_size, device=device)
    _warm_libraries(x)
    _forget_peak(device)
    before = _memory(device)
    network = build_network(deepcopy(dict(network_g))).to(device).eval()
    with torch.no_grad():
        seconds = _seconds_per_pass(network, x)
        peak = _memory(device)
        flops = _flops(network, x[:1])
    return dict(
        params=sum(param.numel() for param in network.parameters()),
        flops=flops,
        images_per_second=batch_size / seconds,
        # the system counts pages in lots, so that the peak of a network smaller than a lot can lie below the start
        peak_memory=None if before is None else max(peak - before, 0))


def _warm_libraries(x: Tensor) -> None:
    """Let the libraries take what they keep, so that it is not put down to the network."""
    with torch.no_grad():
        nn.Conv2d(3, 8, 3).to(x.device)(x)


def _seconds_per_pass(network: nn.Module, x: Tensor) -> float:
    for _ in range(WARM_UP):
        network(x)
    times: List[float] = []
    while len(times) < MIN_PASSES or sum(times) < MIN_SECONDS:
        _synchronize(x)
        start = time.perf_counter()
        network(x)
        _synchronize(x)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def _synchronize(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)


def _flops(network: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        network(x)
    return counter.get_total_flops()


def _memory(device: str) -> Optional[int]:
    """The most memory that this process has had since ``_forget_peak``, in bytes; None if the system does not tell."""
    if device != 'cpu':
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path('/proc/self/status').read_text(encoding='utf-8')
    except OSError:  # not Linux
        return None
    return int(re.search(r'VmHWM:\s*(\d+) kB', status).group(1)) * 1024


def _forget_peak(device: str) -> None:
    """Let the peak be what is in use now: importing the libraries takes more than most networks."""
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats(device)
    elif Path('/proc/self/clear_refs').exists():
        Path('/proc/self/clear_refs').write_text('5', encoding='utf-8')


if __name__ == '__main__':
    print(json.dumps(measure_cost(**json.loads(Path(sys.argv[1]).read_text(encoding='utf-8')))))
