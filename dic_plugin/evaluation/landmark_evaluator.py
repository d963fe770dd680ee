"""The evaluator: a network that finds landmarks on any image, separate from the model that it judges.

The landmarks that DIC predicts cannot judge it, because it computes its image to agree with them. The paper measures
NRMSE on the landmarks that a separate stacked hourglass finds on the results (section 4.1).
"""
import os
import re
from typing import Any, Dict, Mapping, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from dic_plugin.archs.stacked_hourglass_arch import StackedHourglass
from dic_plugin.checkpoints.files import CheckpointError, load_into, load_params, load_tensors
from dic_plugin.checkpoints.published import convert
from dic_plugin.landmarks.heatmaps import decode_heatmaps


class LandmarkEvaluator:
    """A trained StackedHourglass that finds the landmarks of super-resolved faces.

    Args:
        path: Weights: a checkpoint of this project (``params_ema`` if it has them), or a published one, converted or
            not (``HG_68_CelebA.pth``). The sizes of the network are read from the tensors.
        device: Where to run.

    Attributes:
        name: Name of the file.
        options: Arguments of StackedHourglass: num_feat, num_stacks, num_keypoints.

    Raises:
        CheckpointError: The file cannot be read or holds no StackedHourglass.
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

    @torch.no_grad()
    def landmarks(self, images: Tensor, subpixel: bool = True) -> Tensor:
        """Return landmarks ``B,K,2``, (x, y) in pixels of the images, on the evaluator's device.

        Args:
            images: RGB in [0, 1], ``B,3,H,W``, on any device; H and W are multiples of 64, else ValueError.
            subpixel: See decode_heatmaps.
        """
        return decode_heatmaps(self.network(images.to(self.device)), subpixel)

    @torch.no_grad()
    def landmarks_of(self, image: np.ndarray) -> Dict[bool, np.ndarray]:
        """Return landmarks ``K,2`` of a uint8 RGB image ``H,W,3`` for both values of ``subpixel``."""
        heatmaps = self.network(to_batch([image]).to(self.device))
        return {subpixel: decode_heatmaps(heatmaps, subpixel)[0].cpu().numpy() for subpixel in (True, False)}

    def __str__(self) -> str:
        sizes = ', '.join(f'{key} {value}' for key, value in self.options.items())
        return f'StackedHourglass of {self.name} ({sizes})'


def to_batch(images: Sequence[np.ndarray]) -> Tensor:
    """Return uint8 RGB images ``H,W,3`` as a tensor ``B,3,H,W`` in [0, 1]."""
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255)


def _read(path: str) -> Tuple[Mapping[str, Tensor], Dict[str, int]]:
    """Return the state dict in a file and the options of its StackedHourglass."""
    content: Any = load_tensors(path)
    if not isinstance(content, Mapping) or not {'params', 'params_ema'} & set(content):
        converted = convert(content, path)
        if converted.kind != 'StackedHourglass':
            raise CheckpointError(f'{path}: is a published {converted.kind}; the evaluator is a StackedHourglass '
                                  '(HG_68_CelebA.pth).')
        return converted.params, converted.options
    params = load_params(path, 'params_ema')
    stacks = {match[1] for match in (re.match(r'stacks\.(\d+)\.', name) for name in params) if match}
    head = params.get('stacks.0.predict.weight')
    if head is None or head.dim() != 4:
        raise CheckpointError(f'{path}: holds no StackedHourglass (no 4-dimensional stacks.0.predict.weight), but '
                              f'{", ".join(list(params)[:3])}, ...; expected the landmark evaluator, trained by '
                              'LandmarkModel or published as HG_68_CelebA.pth.')
    num_keypoints, num_feat = head.shape[:2]
    if num_feat < 4 or num_feat % 4:
        raise CheckpointError(f'{path}: stacks.0.predict.weight is for {num_feat} features; expected a multiple of 4.')
    return params, dict(num_feat=num_feat, num_stacks=len(stacks), num_keypoints=num_keypoints)
