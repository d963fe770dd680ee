"""The alignment branch's loss: mean square error of heatmaps (paper equation 7)."""
from typing import Optional, Tuple

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from dic_plugin.landmarks.heatmaps import render_heatmaps


@LOSS_REGISTRY.register()
class LandmarkHeatmapLoss(nn.Module):
    """Mean square error between predicted heatmaps and Gaussians at the true landmarks.

    Args:
        loss_weight: factor of the loss; 0.1 in the paper.
        reduction: 'mean' (over everything visible), 'sum' or 'none'.
        sigma: standard deviation of the targets in heatmap cells; 1 in the paper.
    """

    def __init__(self, loss_weight: float = 1.0, reduction: str = 'mean', sigma: float = 1.0) -> None:
        super().__init__()
        if reduction not in ('mean', 'sum', 'none'):
            raise ValueError(f"reduction {reduction!r} is not supported; there are 'mean', 'sum' and 'none'.")
        if not sigma > 0:
            raise ValueError(f'sigma={sigma}: expected a positive number of heatmap cells.')
        self.loss_weight = loss_weight
        self.reduction = reduction
        self.sigma = sigma

    def target(self, landmarks: Tensor, size: Tuple[int, int]) -> Tensor:
        """Heatmaps ``B,K,h,w``, size = (h, w), of landmarks ``B,K,2`` in image pixels, on the landmarks' device."""
        return render_heatmaps(landmarks, size, self.sigma)

    def forward(self, pred: Tensor, target: Tensor, visible: Optional[Tensor] = None) -> Tensor:
        """Weighted loss.

        Args:
            pred, target: ``B,K,h,w``.
            visible: ``B,K``, true (or 1) where a landmark counts. Default: everywhere. The mean of nothing is 0.

        Raises:
            ValueError: the shapes do not belong together.
        """
        if pred.shape != target.shape:
            raise ValueError(f'pred {tuple(pred.shape)} and target {tuple(target.shape)} heatmaps: expected one shape.')
        loss = (pred - target).square()
        if visible is not None:
            if visible.shape != pred.shape[:2]:
                raise ValueError(f'visible has the shape {tuple(visible.shape)}; expected {tuple(pred.shape[:2])}.')
            loss = loss * visible.to(loss.dtype)[..., None, None]
        if self.reduction == 'none':
            return self.loss_weight * loss
        if self.reduction == 'sum':
            return self.loss_weight * loss.sum()
        if visible is None:
            return self.loss_weight * loss.mean()
        cells = visible.to(loss.dtype).sum() * pred.shape[2] * pred.shape[3]
        return self.loss_weight * loss.sum() / torch.clamp(cells, min=1)
