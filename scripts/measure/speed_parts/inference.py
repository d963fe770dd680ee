"""Forward passes of DIC against the plain formulation."""
import math
import time
from functools import partial
from typing import List, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from dic_plugin.archs import DIC, DICOutput
from speed_parts.devices import clock_of, inference_ways, megabytes_of
from take_turns import take_turns


class Inference(NamedTuple):
    """One way to run the network on one batch size.

    Attributes:
        batch: faces.
        name: of the way.
        seconds: per forward pass, median.
        ratio: how many times as fast as the plain one.
        error: largest absolute difference of the last image from the plain one's; the images' range is about 1.
        psnr: of the last image, clipped to [0, 1], against the plain one's, in dB.
        megabytes: of memory at the peak, on a GPU; else None.
    """
    batch: int
    name: str
    seconds: float
    ratio: float
    error: float
    psnr: float
    megabytes: Optional[float]


def compare_inference(network: DIC,
                      lq: Tensor,
                      batches: Sequence[int],
                      rounds: int,
                      until: float = math.inf) -> List[Inference]:
    """Time every way to run the network on this device, in turns, and compare their last images.

    The plain way runs every hourglass pass, as the published code does, and so do CUDA graphs; the others leave out the
    last, which no image depends on.

    Args:
        network: in evaluation mode.
        lq: faces, at least as many as the largest batch.
        batches: faces per forward pass.
        rounds: how often each is timed.
        until: of time.monotonic(): later no further way is begun.

    Returns:
        Results in the order of the ways; those without time or memory are missing.
    """
    results = []
    with torch.no_grad():
        ways = inference_ways(network)
        plain, *_ = ways
        for batch in batches:
            images, megabytes, turns = {}, {}, {}
            for name, way in ways.items():
                if batch > way.most or time.monotonic() > until:
                    continue
                turn = partial(way.forward, way.place(lq[:batch]))
                try:
                    images[name] = _last(turn()).float()  # compiles, too
                    megabytes[name] = megabytes_of(turn, lq.device)
                except torch.cuda.OutOfMemoryError:
                    continue
                turns[name] = turn
            if plain not in turns or time.monotonic() > until:
                continue
            seconds = take_turns(turns, rounds, clock_of(lq.device))
            results += [
                Inference(batch, name, seconds[name],
                          seconds[plain] / seconds[name], (images[name] - images[plain]).abs().max().item(),
                          psnr(images[name], images[plain]), megabytes[name]) for name in turns
            ]
    return results


def psnr(image: Tensor, reference: Tensor) -> float:
    """dB between images of range [0, 1], which they are clipped to."""
    error = (image.clamp(0, 1) - reference.clamp(0, 1)).square().mean().item()
    return math.inf if error == 0 else -10 * math.log10(error)


def _last(output: object) -> Tensor:
    # a copy: CUDA graphs write every result to the same place
    return (output.sr[-1] if isinstance(output, DICOutput) else output).clone()
