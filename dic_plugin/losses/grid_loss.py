"""Against the dots that GAN training leaves along the grid of a network's last transposed convolution."""
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn


@LOSS_REGISTRY.register()
class GridLoss(nn.Module):
    """Mean absolute pattern that the error of an image repeats from cell to cell of a grid (not in the paper).

    A transposed convolution computes the pixels of a cell of ``period`` x ``period`` by different weights, so that a
    discriminator, which rewards detail, also brings the same pattern into every cell. The error of an image is averaged
    over the cells of a window, which leaves what the cells have in common; its mean over the cell, which is no pattern
    but brightness, is subtracted.

    Args:
        loss_weight: factor of the loss.
        period: side of a cell in pixels: the stride of the last transposed convolution, 4 in the shipped networks.
        window: side of a window in cells. What remains of an error without a pattern falls with it.
    """

    def __init__(self, loss_weight: float = 1.0, period: int = 4, window: int = 4) -> None:
        super().__init__()
        if period < 2 or window < 2:
            raise ValueError(f'period={period}, window={window}: expected at least 2.')
        self.loss_weight = loss_weight
        self.period = period
        self.window = window

    def forward(self, x: Tensor, gt: Tensor) -> Tensor:
        """Return the weighted loss.

        Args:
            x: restored images, ``B,C,H,W``. Rows and columns beyond the last whole window are left out.
            gt: true images, likewise.

        Raises:
            ValueError: the shapes differ, or the images are smaller than a window.
        """
        side = self.period * self.window
        if x.shape != gt.shape or min(x.shape[-2:]) < side:
            raise ValueError(
                f'x {tuple(x.shape)} and gt {tuple(gt.shape)}: expected one shape of at least {side}x{side}.')
        rows, columns = (length // side for length in x.shape[-2:])
        error = (x - gt)[..., :rows * side, :columns * side]
        cells = error.reshape(-1, rows, self.window, self.period, columns, self.window, self.period)
        pattern = cells.mean((2, 5))  # of each window: N, rows, period, columns, period
        pattern = pattern - pattern.mean((2, 4), keepdim=True)
        return self.loss_weight * pattern.abs().mean()
