"""The distance of two faces as LightCNN sees them: DICGAN's perceptual loss (paper section 3.4)."""
import os
from typing import Optional, Tuple

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.archs.light_cnn_arch import LightCNNFeature
from dic_plugin.checkpoints.files import CheckpointError, load_into, load_params

_HOW = (
    'FaceFeatureLoss compares faces by the features of a LightCNN that was trained on faces, and needs its weights. '
    "The paper's authors publish them as LightCNN_feature.pth (github.com/Maclory/Deep-Iterative-Collaboration). "
    'Convert that file by `dic-convert LightCNN_feature.pth '
    'experiments/pretrained_models/LightCNN_feature.pth` and give the new one as load_path; or remove this loss.')
_CRITERIA = {'l1': F.l1_loss, 'l2': F.mse_loss}


@LOSS_REGISTRY.register()
class FaceFeatureLoss(nn.Module):
    """Mean difference between the LightCNN features of restored and true faces.

    It takes the place of BasicSR's PerceptualLoss as ``perceptual_opt`` of any of its models. The extractor is frozen:
    it holds no trainable parameters, and stays in evaluation mode.

    Args:
        load_path: weights of LightCNNFeature in BasicSR's format (``params``).
        loss_weight: factor of the loss; 0.1 in the published recipes.
        criterion: 'l1' (published) or 'l2', the mean absolute or square difference.

    Raises:
        CheckpointError: there are no such weights (it says where to get them), or the file is not of this network.
        ValueError: the criterion is unknown.
    """

    def __init__(self, load_path: Optional[str] = None, loss_weight: float = 1.0, criterion: str = 'l1') -> None:
        super().__init__()
        if criterion not in _CRITERIA:
            raise ValueError(f"criterion {criterion!r} is not supported; there are 'l1' and 'l2'.")
        if load_path is None:
            raise CheckpointError(f'load_path is not given. {_HOW}')
        if not os.path.isfile(load_path):
            raise CheckpointError(f'load_path={load_path}: no such file. {_HOW}')
        self.loss_weight = loss_weight
        self.criterion = criterion
        self.extractor = LightCNNFeature(subtract_mean=True)
        load_into(self.extractor, load_params(load_path), load_path)
        self.requires_grad_(False).train(False)

    def train(self, mode: bool = True) -> 'FaceFeatureLoss':
        """Stay in evaluation mode, because nothing here is trained."""
        return super().train(False)

    def forward(self, x: Tensor, gt: Tensor) -> Tuple[Tensor, None]:
        """Return the weighted loss, and None in place of the style loss that BasicSR's models expect beside it.

        Args:
            x: restored faces, RGB in [0, 1], ``B,3,H,W`` (128x128 as published).
            gt: true faces, likewise; they get no gradient.

        Raises:
            ValueError: the shapes differ or are not of RGB images.
        """
        if x.shape != gt.shape:
            raise ValueError(f'x {tuple(x.shape)} and gt {tuple(gt.shape)}: expected one shape.')
        loss = _CRITERIA[self.criterion](self.extractor(x), self.extractor(gt.detach()))
        return self.loss_weight * loss, None
