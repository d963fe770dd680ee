"""Cost of a network: parameters, operations, speed and memory, measured in a separate process.

    python -m dic_plugin.benchmark.cost OPTIONS.json    # the last line of its output is JSON
"""
import json
import re
import sys
import time
from copy import deepcopy
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Mapping, Optional

import torch
from basicsr.archs import build_network
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

WARM_UP = 3  # forward passes before the first that is timed
MIN_PASSES = 5
MIN_SECONDS = 2.


@torch.no_grad()
def measure_cost(network_g: Mapping[str, Any], lq_size: List[int], batch_size: int, device: str) -> Dict[str, Any]:
    """Measure a network with random weights.

    Args:
        network_g: BasicSR's options of the network.
        lq_size: Height and width of the input.
        batch_size: Images per forward pass, for speed and memory.
        device: 'cpu' or 'cuda'.

    Returns:
        ``params``: number of parameters. ``flops``: floating-point operations for one image, as counted by
        torch.utils.flop_counter: of convolutions, matrix products and attention; a multiplication and an addition
        count as two. ``images_per_second``: of the median pass. ``peak_memory``: bytes of parameters and a pass, beyond
        those of the process before the network was built; None if the system does not give them.
    """
    x = torch.rand(batch_size, 3, *lq_size, device=device)
    nn.Conv2d(3, 8, 3).to(device)(x)  # memory that the libraries keep is not the network's
    _forget_peak(device)
    before = _peak_memory(device)
    network = build_network(deepcopy(dict(network_g))).to(device).eval()
    for _ in range(WARM_UP):
        network(x)
    times: List[float] = []
    while len(times) < MIN_PASSES or sum(times) < MIN_SECONDS:
        times.append(_seconds(network, x))
    peak = _peak_memory(device)
    with FlopCounterMode(display=False) as counter:
        network(x[:1])
    return dict(
        params=sum(param.numel() for param in network.parameters()),
        flops=counter.get_total_flops(),
        images_per_second=batch_size / median(times),
        # The system counts in steps, so that the peak of a very small network can be below the start.
        peak_memory=None if before is None or peak is None else max(peak - before, 0))


def _seconds(network: nn.Module, x: Tensor) -> float:
    start = time.perf_counter()
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - start


def _peak_memory(device: str) -> Optional[int]:
    """Return the peak of this process since ``_forget_peak``, in bytes; None if the system does not give it."""
    if device != 'cpu':
        return torch.cuda.max_memory_allocated(device)
    try:
        peak = re.search(r'VmHWM:\s*(\d+) kB', Path('/proc/self/status').read_text(encoding='utf-8'))
    except OSError:  # not Linux
        return None
    return int(peak[1]) * 1024 if peak else None


def _forget_peak(device: str) -> None:
    """Reset the peak, because importing the libraries takes more memory than most networks."""
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats(device)
    elif Path('/proc/self/clear_refs').exists():
        Path('/proc/self/clear_refs').write_text('5', encoding='utf-8')


if __name__ == '__main__':
    print(json.dumps(measure_cost(**json.loads(Path(sys.argv[1]).read_text(encoding='utf-8')))))
