"""Export of DIC to ONNX: any batch size, landmarks decoded in the graph, compared with PyTorch before it is kept."""
import copy
import errno
import os
import warnings
from typing import Any, Mapping, NamedTuple, Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from dic_plugin.archs import DIC
from dic_plugin.data.degradation import make_lq
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.synthetic import draw_face
from dic_plugin.utils.atomic_write import atomic_write
from dic_plugin.version import __version__

TOLERANCE = 1e-4  # relative to the range of sr, and for landmarks to the width of sr
CHECKED_BATCHES = (1, 3)
OLDEST_OPSET = 18  # ONNX Runtime from 1.14
FIRST_TORCH = '2.6'  # its exporter traces the whole network for any batch size


class ExportError(ValueError):
    """The network cannot be exported, or ONNX Runtime and PyTorch disagree about it."""


class Difference(NamedTuple):
    """Largest absolute differences between ONNX Runtime and PyTorch."""
    sr: float  # range about 1
    landmarks: float  # pixels of the SR image
    width: int  # of the SR image

    @property
    def agrees(self) -> bool:
        """Whether both are within TOLERANCE; NaN is not."""
        return self.sr <= TOLERANCE and self.landmarks <= TOLERANCE * self.width

    def __str__(self) -> str:
        return f'{self.sr:.1e} for sr (range 0 to 1), {self.landmarks:.1e} pixels for landmarks'


class LastStep(nn.Module):
    """The last step's SR image and the landmarks decoded from its heatmaps."""

    def __init__(self, network: DIC) -> None:
        super().__init__()
        self.network = network

    def forward(self, lq: Tensor) -> Any:
        """Return sr and landmarks (x, y), in pixels of sr with the centre of the top-left one at (0, 0)."""
        output = self.network(lq, return_steps=True)
        return output.sr[-1], decode_heatmaps(output.heatmap[-1])


def export_onnx(network: DIC,
                path: str,
                size: int = 16,
                check: bool = True,
                about: Optional[Mapping[str, Any]] = None,
                opset: Optional[int] = None) -> Optional[Difference]:
    """Write the network as one ONNX file, completely or not at all.

    Input ``lq``: float32 RGB in [0, 1], ``B,3,size,size``, any B. Outputs: ``sr``, ``B,3,upscale*size,upscale*size``,
    about [0, 1], not clipped; ``landmarks``, ``B,K,2``, see LastStep. The file's metadata hold these facts.

    Args:
        network: on any device; it is not changed.
        path: file to write; an existing file is replaced once the new one has passed the check.
        size: height and width of the input, see DIC.
        check: compare with PyTorch in ONNX Runtime.
        about: further metadata, such as the name of the checkpoint.
        opset: version of ONNX's operators, at least OLDEST_OPSET: older ones run in older runtimes. Default: torch's.

    Returns:
        The differences between ONNX Runtime and PyTorch; None without check.

    Raises:
        ExportError: torch is too old, or ONNX Runtime and PyTorch disagree; nothing was written.
        ModuleNotFoundError: a package is missing; the message names it.
        ValueError: the network does not take inputs of this size, or there is no such opset.
        OSError: the file cannot be written.
    """
    if TorchVersion(torch.__version__) < FIRST_TORCH:
        raise ExportError(f'The export needs torch {FIRST_TORCH} or newer, this is {torch.__version__}.')
    onnx, _ = need('onnx'), need('onnxscript')
    if check:
        need('onnxruntime')
    network = copy.deepcopy(network).float().cpu().eval()
    if size < 1:
        raise ValueError(f'size={size}; expected the height and width of the input, at least 1.')
    with torch.no_grad():
        network(torch.zeros(1, 3, size, size))  # its message about an unsuitable size is better than the exporter's
    if opset is not None and not OLDEST_OPSET <= opset <= onnx.defs.onnx_opset_version():
        raise ValueError(f'opset={opset}; expected {OLDEST_OPSET} to {onnx.defs.onnx_opset_version()}.')
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, 'is a folder; expected a name for a file', path)
    with atomic_write(path) as temporary:
        with open(temporary, 'wb'):  # where nothing can be written, says so now and not after the export
            pass
        onnx.save(_build_model(network, size, opset, about or {}), temporary)
        difference = onnx_difference(network, temporary, size) if check else None
        if difference and not difference.agrees:
            raise ExportError(f'ONNX Runtime and PyTorch differ by up to {difference}; expected at most {TOLERANCE:g} '
                              f'and {TOLERANCE * difference.width:g} pixels. {path} was not written.')
    return difference


def _build_model(network: DIC, size: int, opset: Optional[int], about: Mapping[str, Any]) -> Any:
    onnx = need('onnx')
    model = _trace(network, size, opset)
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)  # torch's own is too new for many
    num_keypoints = model.graph.output[1].type.tensor_type.shape.dim[1].dim_value
    metadata = dict(
        network='DIC',
        dic_plugin=__version__,
        num_steps=network.num_steps,
        upscale=network.upscale,
        input_size=size,
        input_range='float32 RGB, 0 to 1',
        sr_range='float32 RGB, about 0 to 1, not clipped',
        num_keypoints=num_keypoints,
        landmark_order=next((name for name, number in ORDERS.items() if number == num_keypoints), 'unknown'),
        landmark_unit='(x, y) in pixels of sr, centre of the top-left pixel at (0, 0)',
        **about)
    onnx.helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(model)
    return model


def _trace(network: DIC, size: int, opset: Optional[int]) -> Any:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # deprecations inside torch
        shapes = [{0: torch.export.Dim('batch')}]
        program = torch.onnx.export(
            LastStep(network), (torch.rand(2, 3, size, size), ),
            dynamo=True,
            opset_version=opset,
            verbose=False,
            input_names=['lq'],
            output_names=['sr', 'landmarks'],
            dynamic_shapes=shapes)
    assert program is not None
    model = program.model_proto
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del item.metadata_props[:]  # stack traces with local paths, a quarter of the file
    return model


def onnx_difference(network: DIC, path: str, size: int = 16, batches: Sequence[int] = CHECKED_BATCHES) -> Difference:
    """Compare an ONNX file with the network that it was made of (on the CPU, float32), on batches of synthetic faces.

    On noise, a heatmap may have two equal peaks, and rounding would decide between them.
    """
    session = open_session(path)
    reference = LastStep(network).eval()
    differences, width = [], 0
    for batch in batches:
        lq = synthetic_lq(batch, size)
        with torch.no_grad():
            expected = [value.numpy() for value in reference(lq)]
        found = session.run(['sr', 'landmarks'], {'lq': lq.numpy()})
        differences.append([np.abs(ours - theirs).max() for ours, theirs in zip(expected, found)])
        width = expected[0].shape[-1]
    sr, landmarks = np.max(differences, axis=0)
    return Difference(float(sr), float(landmarks), width)


def synthetic_lq(batch: int, size: int) -> Tensor:
    """Return synthetic faces as the network's input, ``batch,3,size,size`` in [0, 1]."""
    gt_size = 8 * size if 32 <= 8 * size <= 256 else 128
    faces = [make_lq(draw_face(0, index, gt_size)[0], 8) for index in range(batch)]
    lq = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float() / 255
    return lq if lq.shape[-1] == size else nn.functional.interpolate(lq, (size, size), mode='bilinear')


def open_session(path: str, num_threads: Optional[int] = None) -> Any:
    """Return an ``onnxruntime.InferenceSession`` on the CPU; by default with as many threads as torch."""
    onnxruntime = need('onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or torch.get_num_threads()
    # its threads otherwise spin on after a run, and slow down what PyTorch does next
    options.add_session_config_entry('session.force_spinning_stop', '1')
    return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def need(name: str) -> Any:
    """Import an optional package; a ModuleNotFoundError names the command that installs it."""
    try:
        return __import__(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name} is not installed; the export to ONNX needs it: `pip install 'dic_plugin[onnx]'`. Without "
            'onnxruntime --no-check writes the file unchecked.') from error
