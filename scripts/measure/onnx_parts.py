"""Speed of an exported network in ONNX Runtime and in PyTorch: one process, interleaved, medians."""
import time
from typing import Callable, List, NamedTuple, Optional, Sequence

import torch

from dic_plugin.archs import DIC
from dic_plugin.export.onnx_file import LastStep, open_session, synthetic_lq
from take_turns import take_turns


class Speed(NamedTuple):
    """One batch size.

    Attributes:
        batch: faces per call.
        pytorch, onnx: seconds per call, medians over the rounds.
    """
    batch: int
    pytorch: float
    onnx: float

    @property
    def ratio(self) -> float:
        """Speed of ONNX Runtime divided by that of PyTorch."""
        return self.pytorch / self.onnx


def compare_speed(network: DIC,
                  path: str,
                  size: int = 16,
                  batches: Sequence[int] = (1, 8, 32),
                  rounds: int = 5,
                  num_threads: Optional[int] = None,
                  clock: Callable[[], float] = time.perf_counter) -> List[Speed]:
    """Time PyTorch and ONNX Runtime on the CPU, with as many threads each, on the same faces and for the same outputs.

    They take turns, and who begins changes from round to round; one round before does not count.

    Args:
        network: on the CPU, float32.
        path: what ``export_onnx`` made of it.
        size: height and width of the input.
        batches: faces per call.
        rounds: how often each is timed.
        num_threads: threads within an operation. Default: as torch has.
        clock: what tells the time, in seconds.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads or before)
    try:
        session = open_session(path)
        reference = LastStep(network).eval()
        speeds = []
        for batch in batches:
            lq = synthetic_lq(batch, size)
            values = lq.numpy()
            ways = dict(pytorch=lambda: reference(lq), onnx=lambda: session.run(None, {'lq': values}))
            with torch.inference_mode():
                speeds.append(Speed(batch, **take_turns(ways, rounds, clock)))
        return speeds
    finally:
        torch.set_num_threads(before)


def speed_lines(speeds: Sequence[Speed]) -> List[str]:
    """A table in Markdown, milliseconds per call."""
    return [
        '| Batch | PyTorch (ms) | ONNX Runtime (ms) | times as fast |', '| --- | --- | --- | --- |', *[
            f'| {speed.batch} | {speed.pytorch * 1e3:.1f} | {speed.onnx * 1e3:.1f} | {speed.ratio:.2f} |'
            for speed in speeds
        ]
    ]
