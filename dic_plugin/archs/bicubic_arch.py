"""Bicubic enlargement as a network without parameters, so that it is tested and measured as every other."""
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

__all__ = ['Bicubic']


@ARCH_REGISTRY.register()
class Bicubic(nn.Module):
    """Enlarges by Pillow's bicubic filter (a = -0.5; torch's own has -0.75), without rounding to 8 bits in between.

    Args:
        upscale (int): Factor of enlargement. Default: 8.
    """

    def __init__(self, upscale: int = 8) -> None:
        super().__init__()
        self.upscale = upscale

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge RGB images in [0, 1], ``B,3,h,w``, to ``B,3,upscale*h,upscale*w``; overshoots are clipped."""
        # only the kernel of `antialias` is Pillow's; when enlarging it smoothes nothing
        enlarged = F.interpolate(x, scale_factor=self.upscale, mode='bicubic', align_corners=False, antialias=True)
        return enlarged.clamp(0, 1)
