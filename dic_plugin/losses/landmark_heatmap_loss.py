"""The alignment branch's loss: mean square error of heatmaps (paper equation 7)."""
from typing import Tuple

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.landmarks.heatmaps import render_heatmaps


@LOSS_REGISTRY.register()
class LandmarkHeatmapLoss(nn.Module):
    """Mean square error between predicted heatmaps and Gaussians at the true landmarks.

    Args:
        loss_weight: factor of the loss; 0.1 in the paper.
        reduction: 'mean', 'sum' or 'none'.
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
        """Draw heatmaps ``B,K,h,w``, size = (h, w), of landmarks ``B,K,2`` in image pixels, on their device."""
        return render_heatmaps(landmarks, size, self.sigma)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the weighted loss of heatmaps ``B,K,h,w``.

        Raises:
            ValueError: the shapes differ.
        """
        if pred.shape != target.shape:
            raise ValueError(f'pred {tuple(pred.shape)} and target {tuple(target.shape)} heatmaps: expected one shape.')
        return self.loss_weight * F.mse_loss(pred, target, reduction=self.reduction)
