"""The ways to run DIC that are compared on a device: the plain formulation, ours, and what the device offers."""
import copy
import time
from contextlib import nullcontext
from typing import Callable, ContextManager, Dict, NamedTuple, Optional

import torch
from torch import Tensor

from dic_plugin.archs import DIC, DICOutput
from dic_plugin.ops import lay_out_weights
from speed_parts.plain_dic import plain_forward


class Way(NamedTuple):
    """Device and options of a network's run.

    Attributes:
        network: whose parameters take part.
        forward: from a batch to the output.
        place: brings the input into the way's memory format.
    """
    network: DIC
    forward: Callable[[Tensor], DICOutput]
    place: Callable[[Tensor], Tensor]


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
    return _ways(network, return_steps=False)


def training_ways(network: DIC) -> Dict[str, Way]:
    """Ways to get every step's output for the loss; the plain formulation first."""
    return _ways(network, return_steps=True)


def _ways(network: DIC, return_steps: bool) -> Dict[str, Way]:
    ways = {'plain': _way(network, plain=True)}
    if next(network.parameters()).device.type == 'cuda':
        ways['fp32'] = _way(network, return_steps)
        ways['fp32, channels_last'] = _way(network, return_steps, channels_last=True)
        ways['fp32, compile'] = _way(network, return_steps, compile_mode='default')
        ways['tf32, channels_last'] = _way(network, return_steps, channels_last=True, tf32=True)
        ways['tf32, compile'] = _way(network, return_steps, compile_mode='default', tf32=True)
        ways['bf16, channels_last'] = _way(network, return_steps, channels_last=True, amp='cuda')
        ways['bf16, compile'] = _way(network, return_steps, channels_last=True, amp='cuda', compile_mode='default')
        if not return_steps:  # CUDA graphs: for the latency of small batches
            ways['fp32, CUDA graphs'] = _way(network, return_steps, compile_mode='reduce-overhead')
            ways['bf16, CUDA graphs'] = _way(network, return_steps, amp='cuda', compile_mode='reduce-overhead')
    else:
        ways['fp32'] = _way(network, return_steps, laid_out=True)
        ways['bf16'] = _way(network, return_steps, channels_last=True, amp='cpu')
    return ways


def _way(network: DIC,
         return_steps: bool = False,
         plain: bool = False,
         channels_last: bool = False,
         laid_out: bool = False,
         tf32: bool = False,
         amp: Optional[str] = None,
         compile_mode: Optional[str] = None) -> Way:
    network = copy.deepcopy(network)
    if laid_out:
        lay_out_weights(network)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    if channels_last:
        network.to(memory_format=memory_format)
    forward = (lambda x: plain_forward(network, x)) if plain else (lambda x: network(x, return_steps=return_steps))
    if compile_mode is not None:
        forward = torch.compile(forward, mode=compile_mode)

    def run(x: Tensor) -> DICOutput:
        with _tf32(tf32), torch.autocast(amp, torch.bfloat16) if amp else nullcontext():
            return forward(x)

    return Way(network, run, lambda x: x.contiguous(memory_format=memory_format))


class _tf32(ContextManager):
    """TF32 on or off, inside."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.enabled

    def __exit__(self, *error: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self.before
