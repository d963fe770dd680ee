"""The evaluator: a network that finds landmarks on any images, apart from the model that it judges; and its errors.

The landmarks that DIC predicts itself cannot judge it: it made the image to agree with them. The paper measures NRMSE
on the landmarks that a separate stacked hourglass finds on the results (its section 4.1).
"""
import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from dic_plugin.archs.stacked_hourglass_arch import StackedHourglass
from dic_plugin.checkpoints.files import CheckpointError, is_state_dict, load_into, load_tensors, strip_module
from dic_plugin.checkpoints.published import convert
from dic_plugin.landmarks.errors import NORMS, nrmse
from dic_plugin.landmarks.heatmaps import decode_heatmaps


class ErrorProtocol(NamedTuple):
    """How a landmark error is measured.

    Attributes:
        description: in words.
        norm: name in dic_plugin.landmarks.errors.NORMS.
        subpixel: how heatmaps are decoded, see dic_plugin.landmarks.heatmaps.decode_heatmaps.
    """
    description: str
    norm: str
    subpixel: bool


_PUBLISHED = "the DIC paper's code: peak cell, moved by 1 px of the image; divided by "
ERROR_PROTOCOLS: Dict[str, ErrorProtocol] = {
    'published-width':
    ErrorProtocol(_PUBLISHED + 'the width of the face', 'face_width', False),
    'published-outer-eye':
    ErrorProtocol(_PUBLISHED + 'x of point 46 less x of point 37 (not the outer corners)', 'published_outer_eye',
                  False),
    'published-inter-ocular':
    ErrorProtocol(_PUBLISHED + 'mean x of points 43, 46 less that of 37, 40', 'published_inter_ocular', False),
    'outer-eye':
    ErrorProtocol('subpixel peak; divided by the distance of the outer eye corners, 36 and 45', 'outer_eye', True),
    'inter-ocular':
    ErrorProtocol('subpixel peak; divided by the distance of the centres of the eyes', 'inter_ocular', True),
}


class LandmarkEvaluator:
    """A trained StackedHourglass that finds the landmarks of super-resolved faces.

    Args:
        path: weights: a checkpoint of this project (``params_ema`` is taken where there is one), converted or as
            published (``HG_68_CelebA.pth``). The network's sizes are read off the tensors.
        device: where to run.

    Attributes:
        name: the file's name, to say whose landmarks a figure is of.
        options: arguments of StackedHourglass: num_feat, num_stacks, num_keypoints.

    Raises:
        CheckpointError: the file cannot be read or holds no StackedHourglass.
    """

    def __init__(self, path: str, device: Union[str, torch.device] = 'cpu') -> None:
        path = os.path.expanduser(path)
        self.name = os.path.basename(path)
        self.device = torch.device(device)
        params, self.options = _read(path)
        self.network = StackedHourglass(**self.options)
        load_into(self.network, params, path)
        self.network.eval().requires_grad_(False).to(self.device)

    @property
    def num_keypoints(self) -> int:
        """Landmarks per face, K."""
        return self.options['num_keypoints']

    def heatmaps(self, images: Tensor) -> Tensor:
        """Heatmaps of the last stack, ``B,K,H/4,W/4``, of images as for ``landmarks``."""
        with torch.no_grad():
            return self.network(images.to(self.device))

    def landmarks(self, images: Tensor, subpixel: bool = True) -> Tensor:
        """Find landmarks.

        Args:
            images: RGB in [0, 1], ``B,3,H,W``, on any device; H and W multiples of 64.
            subpixel: how heatmaps are decoded, see dic_plugin.landmarks.heatmaps.decode_heatmaps.

        Returns:
            ``B,K,2``, (x, y) in pixels of the images, on the evaluator's device.

        Raises:
            ValueError: H or W is not a multiple of 64.
        """
        return decode_heatmaps(self.heatmaps(images), subpixel)

    def landmarks_of(self, image: np.ndarray) -> Dict[bool, np.ndarray]:
        """Landmarks ``K,2`` on a uint8 RGB image ``H,W,3``, by each way of decoding (key: subpixel or not)."""
        heatmaps = self.heatmaps(to_batch([image]))
        return {subpixel: decode_heatmaps(heatmaps, subpixel)[0].cpu().numpy() for subpixel in (True, False)}


def to_batch(images: Sequence[np.ndarray]) -> Tensor:
    """What the evaluator takes, ``B,3,H,W`` in [0, 1], of B uint8 RGB images ``H,W,3``."""
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255)


def _read(path: str) -> Tuple[Mapping[str, Tensor], Dict[str, int]]:
    """The state dict in a file and the options of the StackedHourglass that it is of."""
    content = load_tensors(path)
    params = content
    if isinstance(content, Mapping):
        params = next((content[key] for key in ('params_ema', 'params') if key in content), None)
    if params is None:  # not BasicSR's format
        return _read_published(content, path)
    if not is_state_dict(params):
        raise CheckpointError(f'{path}: `params` holds no state dict; expected names and tensors.')
    params = strip_module(params)
    return params, _options(params, path)


def _read_published(content: Any, path: str) -> Tuple[Mapping[str, Tensor], Dict[str, int]]:
    converted = convert(content, path)
    if converted.kind != 'StackedHourglass':
        raise CheckpointError(f'{path}: is a published {converted.kind}; the evaluator is a StackedHourglass '
                              '(HG_68_CelebA.pth).')
    return converted.params, converted.options


def _options(params: Mapping[str, Tensor], path: str) -> Dict[str, int]:
    """Arguments of StackedHourglass, read off names and shapes; whether the rest fits is for loading to see."""
    stacks = {int(match.group(1)) for match in (re.match(r'stacks\.(\d+)\.', key) for key in params) if match}
    head = params.get('stacks.0.predict.weight')
    if not stacks or head is None or head.dim() != 4:
        raise CheckpointError(f'{path}: holds no StackedHourglass (no 4-dimensional stacks.0.predict.weight), but '
                              f'{", ".join(list(params)[:3])}, ...; expected the landmark evaluator, trained by '
                              'LandmarkModel or published as HG_68_CelebA.pth.')
    num_keypoints, num_feat = head.shape[:2]
    if num_feat < 4 or num_feat % 4:
        raise CheckpointError(f'{path}: stacks.0.predict.weight is for {num_feat} features; expected a multiple of 4.')
    return dict(num_feat=num_feat, num_stacks=len(stacks), num_keypoints=num_keypoints)


def applicable_protocols(num_keypoints: int) -> List[str]:
    """Names of the error protocols whose length is defined for so many landmarks."""
    return [name for name, protocol in ERROR_PROTOCOLS.items() if _is_defined(protocol.norm, num_keypoints)]


def _is_defined(norm: str, num_keypoints: int) -> bool:
    try:
        NORMS[norm](np.zeros((num_keypoints, 2)))
    except ValueError:
        return False
    return True


def landmark_errors(found: Mapping[bool, np.ndarray], gt_landmarks: np.ndarray) -> Dict[str, float]:
    """NRMSE of one face under every protocol that is defined for its landmarks.

    Args:
        found: the landmarks found, ``K,2``, by way of decoding (subpixel or not).
        gt_landmarks: true, ``K,2``.

    Returns:
        By name of the protocol; NaN where the true landmarks make its length zero or negative, as the published ones
        can be of a face that is turned.
    """
    errors = {}
    for name in applicable_protocols(len(gt_landmarks)):
        protocol = ERROR_PROTOCOLS[name]
        measurable = NORMS[protocol.norm](np.asarray(gt_landmarks, np.float64)) > 0
        errors[name] = float(nrmse(found[protocol.subpixel], gt_landmarks, protocol.norm)) if measurable else np.nan
    return errors
