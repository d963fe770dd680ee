"""The enlargement that networks of the final size begin with."""
from torch import Tensor
from torch.nn import functional as F

__all__ = ['enlarge']


def enlarge(x: Tensor, upscale: int) -> Tensor:
    """Return ``B,C,upscale*h,upscale*w`` by the bicubic filter of Pillow, which the published data were made with."""
    # antialias chooses Pillow's coefficient, -0.5; without it torch takes -0.75
    return F.interpolate(x, scale_factor=float(upscale), mode='bicubic', align_corners=False, antialias=True)
