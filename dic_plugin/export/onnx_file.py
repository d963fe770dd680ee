"""DIC as an ONNX file: any batch size, landmarks decoded inside the graph, compared with PyTorch before it is kept."""
import copy
import os
import warnings
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

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

TOLERANCE = 1e-4  # of the input's range for sr, of the SR image's width for landmarks
CHECKED_BATCHES = (1, 3)
FIRST_TORCH = (2, 6)  # whose exporter traces the whole network for any batch size
HOW_TO_GET = "`pip install 'dic_plugin[onnx]'` brings onnx, onnxscript and onnxruntime"


class ExportError(ValueError):
    """The network cannot be exported, or ONNX Runtime and PyTorch disagree about it."""


class Difference(NamedTuple):
    """The largest absolute difference between ONNX Runtime and PyTorch.

    Attributes:
        sr: of the SR image, whose range is about 1.
        landmarks: in pixels of the SR image.
        width: of the SR image, which landmarks are measured against.
    """
    sr: float
    landmarks: float
    width: int

    @property
    def agrees(self) -> bool:
        """Whether both stay within TOLERANCE; differences that are not numbers do not."""
        return self.sr <= TOLERANCE and self.landmarks <= TOLERANCE * self.width

    def __str__(self) -> str:
        return f'{self.sr:.1e} for sr (range 0 to 1), {self.landmarks:.1e} pixels for landmarks'


class LastStep(nn.Module):
    """What the ONNX file computes: the last step's SR image and the landmarks decoded from its heatmaps."""

    def __init__(self, network: DIC) -> None:
        super().__init__()
        self.network = network

    def forward(self, lq: Tensor) -> Any:
        """``B,3,h,w`` in [0, 1] to sr ``B,3,upscale*h,upscale*w`` and landmarks ``B,K,2``, (x, y) in pixels of sr."""
        output = self.network(lq, return_steps=True)
        return output.sr[-1], decode_heatmaps(output.heatmap[-1])


def export_onnx(network: DIC,
                path: str,
                size: int = 16,
                check: bool = True,
                about: Optional[Mapping[str, Any]] = None) -> Optional[Difference]:
    """Write the network as one ONNX file, whole or not at all.

    Input ``lq``: float32 RGB in [0, 1], ``B,3,size,size``, B free. Outputs ``sr``: ``B,3,upscale*size,upscale*size``,
    about [0, 1], not clipped; ``landmarks``: ``B,K,2``, (x, y) in pixels of sr, the centre of the top-left pixel at
    (0, 0), decoded from the last step's heatmaps. The file's metadata say the same.

    Args:
        network: on any device; it stays as it is.
        path: where to write; a file that is there is replaced once the new one has passed the check.
        size: height and width of the input, see DIC.
        check: compare with PyTorch in ONNX Runtime.
        about: further metadata, such as the name of the checkpoint.

    Returns:
        How far ONNX Runtime is from PyTorch; None without check.

    Raises:
        ExportError: torch is too old, or ONNX Runtime and PyTorch disagree; nothing was written.
        ModuleNotFoundError: a package is missing; the message says which.
        ValueError: the network does not take inputs of this size.
        OSError: the file cannot be written.
    """
    if TorchVersion(torch.__version__) < FIRST_TORCH:
        raise ExportError(f'The export needs torch {".".join(map(str, FIRST_TORCH))} or newer, '
                          f'this is {torch.__version__}.')
    onnx = need('onnx')
    need('onnxscript')
    if check:
        need('onnxruntime')
    network = copy.deepcopy(network).float().cpu().eval()
    if size < 1:
        raise ValueError(f'size={size}; expected the height and width of the input, at least 1.')
    with torch.no_grad():
        network(torch.zeros(1, 3, size, size))  # refuses a size that it does not take in plain words
    model = _trace(network, size)
    num_keypoints = model.graph.output[1].type.tensor_type.shape.dim[1].dim_value
    metadata = {**_metadata(network, size, num_keypoints), **(about or {})}
    onnx.helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(model)
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    difference = None
    with atomic_write(path) as temporary:
        onnx.save(model, temporary)
        if check:
            difference = compare(network, temporary, size)
            if not difference.agrees:
                raise ExportError(
                    f'ONNX Runtime and PyTorch differ by up to {difference}; expected at most {TOLERANCE:g} '
                    f'and {TOLERANCE * difference.width:g} pixels. {path} was not written.')
    return difference


def _trace(network: DIC, size: int) -> Any:
    batch = torch.export.Dim('batch')
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # deprecations inside torch
        program = torch.onnx.export(
            LastStep(network), (torch.rand(2, 3, size, size), ),
            dynamo=True,
            verbose=False,
            input_names=['lq'],
            output_names=['sr', 'landmarks'],
            dynamic_shapes={'lq': {
                0: batch
            }})
    model = program.model_proto
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del item.metadata_props[:]  # a quarter of the file: stack traces with the paths of this machine
    return model


def _metadata(network: DIC, size: int, num_keypoints: int) -> Dict[str, Any]:
    order = [name for name, number in ORDERS.items() if number == num_keypoints]
    return dict(
        network='DIC',
        dic_plugin=__version__,
        num_steps=network.num_steps,
        upscale=network.upscale,
        input_size=size,
        input_range='float32 RGB, 0 to 1',
        sr_range='float32 RGB, about 0 to 1, not clipped',
        num_keypoints=num_keypoints,
        landmark_order=order[0] if order else 'unknown',
        landmark_unit='(x, y) in pixels of sr, centre of the top-left pixel at (0, 0)',
    )


def compare(network: DIC, path: str, size: int = 16, batches: Sequence[int] = CHECKED_BATCHES) -> Difference:
    """Run an ONNX file and the network that it was made of on the same synthetic faces.

    Faces, since on noise a heatmap may have two equal peaks, between which rounding decides.

    Args:
        network: on the CPU, float32.
        path: the ONNX file.
        size: height and width of the input.
        batches: numbers of faces.

    Raises:
        ModuleNotFoundError: onnxruntime is missing.
    """
    session = open_session(path)
    reference = LastStep(network).eval()
    sr, landmarks, width = [], [], 0
    for batch in batches:
        lq = synthetic_lq(batch, size)
        with torch.no_grad():
            expected = [value.numpy() for value in reference(lq)]
        found = session.run(['sr', 'landmarks'], {'lq': lq.numpy()})
        for differences, ours, theirs in zip((sr, landmarks), expected, found):
            differences.append(np.abs(ours - theirs).max())
        width = expected[0].shape[-1]
    return Difference(float(np.max(sr)), float(np.max(landmarks)), width)


def synthetic_lq(batch: int, size: int, seed: int = 0) -> Tensor:
    """Synthetic faces as the network's input, ``batch,3,size,size`` in [0, 1]."""
    gt_size = 8 * size if 32 <= 8 * size <= 256 else 128
    faces = [make_lq(draw_face(seed, index, gt_size)[0], 8) for index in range(batch)]
    lq = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float() / 255
    return lq if lq.shape[-1] == size else nn.functional.interpolate(lq, (size, size), mode='bilinear')


def open_session(path: str, num_threads: Optional[int] = None) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU; num_threads: default as torch.

    Raises:
        ModuleNotFoundError: onnxruntime is missing; the message says where to get it.
    """
    onnxruntime = need('onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or torch.get_num_threads()
    # its threads otherwise spin on after a run, and slow down what PyTorch does next
    options.add_session_config_entry('session.force_spinning_stop', '1')
    return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def need(name: str) -> Any:
    """The optional package of this name, imported.

    Raises:
        ModuleNotFoundError: it is missing; the message says where to get it.
    """
    try:
        return __import__(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{name} is not installed; the export to ONNX needs it: {HOW_TO_GET}. Without '
                                  'onnxruntime --no-check writes the file unchecked.') from error
