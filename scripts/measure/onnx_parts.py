"""Speed of an exported network in ONNX Runtime, OpenVINO and PyTorch: one process, interleaved, medians."""
import time
from importlib.util import find_spec
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import torch

from dic_plugin.archs import DIC
from dic_plugin.export.onnx_file import LastStep, open_session, synthetic_lq
from take_turns import take_turns


class Speed(NamedTuple):
    """One batch size.

    Attributes:
        batch: faces per call.
        pytorch, onnx, openvino: seconds per call, medians over the rounds; of OpenVINO None if it is not installed.
    """
    batch: int
    pytorch: float
    onnx: float
    openvino: Optional[float] = None


def compare_speed(network: DIC,
                  path: str,
                  size: int = 16,
                  batches: Sequence[int] = (1, 8, 32),
                  rounds: int = 5,
                  num_threads: Optional[int] = None,
                  clock: Callable[[], float] = time.perf_counter) -> List[Speed]:
    """Time the runtimes on the CPU in float32, with as many threads each, on the same faces, for the same outputs.

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
        compiled = open_openvino(path, torch.get_num_threads()) if find_spec('openvino') else None
        reference = LastStep(network).eval()
        speeds = []
        for batch in batches:
            lq = synthetic_lq(batch, size)
            values = lq.numpy()
            ways: Dict[str, Callable[[], Any]] = dict(
                pytorch=lambda: reference(lq), onnx=lambda: session.run(None, {'lq': values}))
            if compiled is not None:
                ways['openvino'] = lambda: compiled({'lq': values})
            with torch.inference_mode():
                speeds.append(Speed(batch, **take_turns(ways, rounds, clock)))
        return speeds
    finally:
        torch.set_num_threads(before)


def open_openvino(path: str, num_threads: int) -> Any:
    """Return the network, compiled by OpenVINO for the CPU in float32."""
    import openvino
    settings = {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': num_threads}
    return openvino.Core().compile_model(path, 'CPU', settings)


def speed_lines(speeds: Sequence[Speed]) -> List[str]:
    """A table in Markdown: milliseconds per call, and how many times as fast as PyTorch."""
    lines = ['| Batch | PyTorch (ms) | ONNX Runtime (ms) | OpenVINO (ms) |', '| --- | --- | --- | --- |']
    for speed in speeds:
        others = [
            f'{seconds * 1e3:.1f} ({speed.pytorch / seconds:.2f} times)' if seconds else 'not installed'
            for seconds in (speed.onnx, speed.openvino)
        ]
        lines.append(f'| {speed.batch} | {speed.pytorch * 1e3:.1f} | {" | ".join(others)} |')
    return lines
