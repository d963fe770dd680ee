"""The ways to run DIC that are compared on a device: the plain formulation, ours, and what the device offers."""
import copy
import math
import time
from contextlib import nullcontext
from functools import partial
from typing import Any, Callable, ContextManager, Dict, NamedTuple, Optional

import torch
from torch import Tensor

from dic_plugin.archs import DIC, DICOutput
from dic_plugin.inference.fixed_batch import FixedBatch
from dic_plugin.ops import lay_out_weights, native
from speed_parts.plain_dic import plain_forward


class Way(NamedTuple):
    """Device and options of a network's run.

    Attributes:
        network: whose parameters take part.
        forward: from a batch to the output.
        place: brings the input into the way's memory format.
        most: faces that it is meant for: a CUDA graph keeps the memory of every batch size.
    """
    network: DIC
    forward: Callable[[Tensor], DICOutput]
    place: Callable[[Tensor], Tensor]
    most: float = math.inf


def clock_of(device: torch.device) -> Callable[[], float]:
    """A clock that waits for the device to finish."""
    if device.type != 'cuda':
        return time.perf_counter

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


def inference_ways(network: DIC) -> Dict[str, Way]:
    """Ways to get the last image; the plain formulation first, in float32 with TF32 off."""
    return _ways_on(next(network.parameters()).device)(network, return_steps=False)


def training_ways(network: DIC) -> Dict[str, Way]:
    """Ways to get every step's output for the loss; the plain formulation first."""
    return _ways_on(next(network.parameters()).device)(network, return_steps=True)


def megabytes_of(run: Callable[[], Any], device: torch.device) -> Optional[float]:
    """Run a function; return the peak of memory beyond what was allocated before, on a GPU, else None."""
    if device.type != 'cuda':
        run()
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _ways_on(device: torch.device) -> Callable[..., Dict[str, Way]]:
    return gpu_ways if device.type == 'cuda' else cpu_ways


def cpu_ways(network: DIC, return_steps: bool) -> Dict[str, Way]:
    """Ways that differ on a CPU."""
    way = partial(_way, network, return_steps)
    return {
        'plain': way(plain=True),
        'fp32': way(laid_out=True),
        'bf16': way(channels_last=True, amp=torch.bfloat16),
    }


def gpu_ways(network: DIC, return_steps: bool) -> Dict[str, Way]:
    """Ways that differ on a GPU. What matters most comes first: the time may not suffice for all."""
    way = partial(_way, network, return_steps)
    ways = {'plain': way(plain=True), 'fp32': way()}
    ways['bf16'] = way(amp=torch.bfloat16)
    ways['bf16, channels_last'] = way(channels_last=True, amp=torch.bfloat16)
    ways['tf32'] = way(tf32=True)
    if not return_steps:
        ways['bf16, CUDA graph'] = way(amp=torch.bfloat16, graphs=True)
        ways['fp32, CUDA graph'] = way(graphs=True)
    ways["fp32, torch's operations"] = way(ours=False)
    ways["bf16, torch's operations"] = way(ours=False, amp=torch.bfloat16)
    ways['bf16, compile'] = way(amp=torch.bfloat16, compiled=True)
    ways['fp16, channels_last'] = way(channels_last=True, amp=torch.float16)
    ways['tf32, channels_last'] = way(channels_last=True, tf32=True)
    ways['fp32, channels_last'] = way(channels_last=True)
    if not return_steps:
        ways['bf16, compile, CUDA graph'] = way(amp=torch.bfloat16, compiled=True, graphs=True)
    ways['tf32, compile'] = way(tf32=True, compiled=True)
    return ways


def _way(network: DIC,
         return_steps: bool,
         plain: bool = False,
         channels_last: bool = False,
         laid_out: bool = False,
         tf32: bool = False,
         amp: Optional[torch.dtype] = None,
         ours: bool = True,
         compiled: bool = False,
         graphs: bool = False) -> Way:
    network = copy.deepcopy(network)
    device = next(network.parameters()).device.type
    if laid_out:
        lay_out_weights(network)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    if channels_last:
        network.to(memory_format=memory_format)
    if graphs:
        forward = FixedBatch(network, 1, compiled, graphs)
    elif plain:
        forward = partial(plain_forward, network)
    else:
        forward = partial(torch.compile(network) if compiled else network, return_steps=return_steps)

    def run(x: Tensor) -> DICOutput:
        with _tf32(tf32), native(ours), torch.autocast(device, amp) if amp else nullcontext():
            return forward(x)

    return Way(network, run, lambda x: x.contiguous(memory_format=memory_format), 8 if graphs else math.inf)


class _tf32(ContextManager):
    """TF32 on or off, inside."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.enabled

    def __exit__(self, *error: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self.before
