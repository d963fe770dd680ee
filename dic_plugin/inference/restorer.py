"""Restoration of face crops in arrays, on which the command line and the page are built."""
import os
from contextlib import nullcontext
from functools import partial
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Union

import numpy as np
import torch

from dic_plugin.archs import DICOutput
from dic_plugin.checkpoints.weights import SHIPPED, build_network, read_weights
from dic_plugin.faces.crop import MARGIN
from dic_plugin.inference.fixed_batch import FixedBatch
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from dic_plugin.ops import lay_out_weights
from dic_plugin.ops.gpu_conv import fix_slopes, has_fused_act

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16}


class RestoredStep(NamedTuple):
    """Results of one step, for B faces.

    Attributes:
        faces: ``B,H,W,3`` uint8 RGB.
        landmarks: ``B,K,2`` float32, (x, y) in pixels of ``faces``, the centre of the top-left pixel at (0, 0).
        attention: ``B,C,H/4,W/4`` float32 in [0, 1], summing to 1 over the C facial components (five: left eye, right
            eye, nose, mouth, silhouette): the weights of the fusion in this step, guided by the landmarks of the
            previous step. None in the first step, and in a network without fusion.
    """
    faces: np.ndarray
    landmarks: np.ndarray
    attention: Optional[np.ndarray]


class RestoredFaces(NamedTuple):
    """Results of a restorer: ``faces`` and ``landmarks`` of the last step, and all ``steps``; see RestoredStep."""
    faces: np.ndarray
    landmarks: np.ndarray
    steps: List[RestoredStep]


class FaceRestorer:
    """A trained DIC or DICGAN that restores small faces.

    Args:
        weights: Path of a checkpoint of BasicSR (``experiments/train_DIC/models/net_g_latest.pth``; the moving average
            is preferred), of a published one, which is converted in memory, or of safetensors that dic-convert wrote.
            Default: those that are shipped, a compact DIC trained on photographs.
        device: 'cuda', 'cuda:1', 'cpu', ... Default: a GPU if there is one.
        dtype: 'fp32', or 'bf16', which is faster and less exact, on GPUs and CPUs that support it (AMX).
        steps: Stop after this number of steps. Default: all of the network's.
        batch_size: Faces per forward pass; it changes memory and speed, not results.
        compile: Compile the network with torch.compile, which takes minutes at the first call. Batches are then filled
            up to ``batch_size``. On a CPU with the native operation it is slower.
        cuda_graphs: Record the network as a CUDA graph for each size of faces, which helps most with few faces at a
            time. Batches are also filled up.

    Attributes:
        network: The DIC, in evaluation mode.
        input_size: Side of the faces that the weights were trained on, 16 in the paper.
        upscale: Factor of enlargement, 8 in the paper.
        num_keypoints: Landmarks per face, K.
        trained_on: (name, type) of the training set as the checkpoint records it, or None.
        margin: Around the landmarks of the training set's crops, see ``dic_plugin.faces.crop.square_around``; a quarter
            if the checkpoint does not record it.
        notes: Assumptions about the weights, in words.

    Raises:
        CheckpointError: The file cannot be read, holds no DIC, or values that are not finite.
        ValueError: The device does not exist or does not support the dtype or cuda_graphs, or steps or batch_size is
            out of range.

    >>> from dic_plugin import FaceRestorer
    >>> restorer = FaceRestorer(weights, device='cpu')
    >>> crops = np.zeros((3, 16, 16, 3), np.uint8)  # RGB
    >>> restored = restorer(crops)
    >>> restored.faces.shape, restored.landmarks.shape, len(restored.steps)
    ((3, 128, 128, 3), (3, 68, 2), 2)
    >>> restored.steps[1].attention.shape
    (3, 5, 32, 32)
    """

    def __init__(self,
                 weights: Optional[str] = None,
                 device: Optional[Union[str, torch.device]] = None,
                 dtype: str = 'fp32',
                 steps: Optional[int] = None,
                 batch_size: int = 8,
                 compile: bool = False,
                 cuda_graphs: bool = False) -> None:
        self.path = SHIPPED if weights is None else os.path.expanduser(weights)
        self.device = pick_device(device)
        self.dtype = _pick_dtype(dtype, self.device)
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size}; expected at least 1.')
        if cuda_graphs and self.device.type != 'cuda':
            raise ValueError(f'cuda_graphs=True needs a GPU; the device is {self.device}.')
        self.batch_size = batch_size
        read = read_weights(self.path)
        self.network = build_network(read, self.path)
        most = read.options['num_steps']
        self.num_steps = most if steps is None else steps
        if not 1 <= self.num_steps <= most:
            raise ValueError(f'steps={steps}: {self.path} has {most}; expected 1 to {most}.')
        self.network.num_steps = self.num_steps
        self.network.to(self.device)
        if self.device.type == 'cpu':
            lay_out_weights(self.network)  # a tenth faster
        elif self.device.type == 'cuda' and has_fused_act():
            fix_slopes(self.network)
        self._forward: Callable[[torch.Tensor], DICOutput] = partial(self.network, return_steps=True)
        if compile or cuda_graphs:
            self._forward = FixedBatch(self.network, batch_size, compile, cuda_graphs)
        self.input_size = read.input_size
        self.upscale = read.options['upscale']
        self.num_keypoints = read.options['num_keypoints']
        self.trained_on = read.trained_on
        self.margin = MARGIN if read.margin is None else read.margin
        self.notes = [] if steps else read.notes

    def __call__(self, images: Union[np.ndarray, Sequence[np.ndarray]]) -> RestoredFaces:
        """Restore faces.

        Args:
            images: B uint8 RGB faces of one size, ``h,w,3`` each, as a list or as one array: face crops like those of
                the training set, of ``input_size`` pixels. Other multiples of 64 / upscale are accepted, but faces of
                another size were not trained on.

        Raises:
            ValueError: There is no image, or one of another type, shape or size; names it.
        """
        batch = _to_batch(images, max(64 // self.upscale, 1))
        parts = [self._restore(part) for part in batch.split(self.batch_size)]
        steps = [_join(step) for step in zip(*parts)]
        return RestoredFaces(steps[-1].faces, steps[-1].landmarks, steps)

    @torch.no_grad()
    def _restore(self, batch: torch.Tensor) -> List[RestoredStep]:
        with nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype):
            out = self._forward(batch.to(self.device).float() / 255)
        fusion: Any = getattr(self.network.block, 'fusion') if self.num_steps > 1 else None
        steps = []
        for index, (sr, heatmap) in enumerate(zip(out.sr, out.heatmap)):
            attention = None
            if index and fusion is not None:
                attention = fusion.attention(out.heatmap[index - 1].float()).cpu().numpy()
            faces = (sr.float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
            landmarks = decode_heatmaps(heatmap.float()).cpu().numpy()
            steps.append(RestoredStep(faces.contiguous().cpu().numpy(), landmarks, attention))
        return steps


def pick_device(device: Optional[Union[str, torch.device]] = None) -> torch.device:
    """Return the device of that name; by default a GPU if there is one, else the CPU.

    Raises:
        ValueError: There is no such device here.
    """
    num_gpu = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None:
        return torch.device('cuda' if num_gpu else 'cpu')
    try:
        device = torch.device(device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises either where CUDA is missing
        others = f", or 'cuda:0' to 'cuda:{num_gpu - 1}'." if num_gpu else ': there is no GPU that torch can use.'
        reason = str(error).split('\n')[0]
        raise ValueError(f"device {str(device)!r} cannot be used here ({reason}); expected 'cpu'{others}") from None
    return device


def _pick_dtype(name: str, device: torch.device) -> torch.dtype:
    if name not in DTYPES:
        raise ValueError(f'dtype={name!r}; expected {" or ".join(map(repr, DTYPES))}.')
    if name == 'bf16' and device.type not in ('cpu', 'cuda'):
        raise ValueError(f"dtype='bf16' is for GPUs of CUDA or ROCm and for CPUs, not for {device}; expected 'fp32'.")
    if name == 'bf16' and device.type == 'cuda' and torch.version.cuda:
        if torch.cuda.get_device_capability(device)[0] < 8:  # before Ampere torch would take a detour by fp32
            raise ValueError(
                f"dtype='bf16': {torch.cuda.get_device_name(device)} cannot compute in bf16; expected 'fp32'.")
    return DTYPES[name]


def _to_batch(images: Union[np.ndarray, Sequence[np.ndarray]], multiple: int) -> torch.Tensor:
    """Return the images as a batch ``B,3,h,w``, uint8."""
    if isinstance(images, np.ndarray) and images.ndim == 3:
        raise ValueError(f'images is one array {images.shape}; expected several faces, (B, h, w, 3), or a list of '
                         'them: one face is images[None].')
    images = list(images)
    if not images:
        raise ValueError('no image to restore; expected at least one.')
    for index, image in enumerate(images):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            found = f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray) else type(image).__name__
            raise ValueError(f'image {index} is {found}; expected a uint8 RGB array (h, w, 3).')
        height, width = image.shape[:2]
        named = f'image {index} is {width}x{height} (width x height)'
        if not height or not width or height % multiple or width % multiple:
            raise ValueError(f'{named}; expected multiples of {multiple}.')
        if image.shape != images[0].shape:
            raise ValueError(f'{named}, but the first is {images[0].shape[1]}x{images[0].shape[0]}; expected images of '
                             'one size.')
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _join(parts: Sequence[RestoredStep]) -> RestoredStep:
    """Return one step of several batches as one."""
    faces, landmarks, attention = zip(*parts)
    return RestoredStep(
        np.concatenate(faces), np.concatenate(landmarks), None if attention[0] is None else np.concatenate(attention))
