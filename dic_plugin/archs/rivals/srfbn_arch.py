"""SRFBN: feedback network (Li et al., CVPR 2019), from which DIC's recovery branch comes."""
from typing import List, Union

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.archs.projection_block import ProjectionBlock, conv_prelu, deconv_prelu
from dic_plugin.archs.weight_init import init_kaiming

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K


@ARCH_REGISTRY.register()
class SRFBN(nn.Module):
    """Super-resolution in T steps with the same weights, each fed the hidden state of the one before.

    Published for x2, x3 and x4 on general images; x8 is the published class with its own projections for that factor.
    7.9 M parameters for x8 in the published size; SRFBN-S (num_feat 32, num_groups 3) has 1.06 M. The published code
    (MIT) works on 0 to 255, as this does inside.

    Args:
        num_in_ch: channels of the input, 3.
        num_out_ch: channels of the output, 3.
        num_feat: features F.
        num_groups: projection groups G.
        num_steps: steps T.
        upscale: 2, 4 or 8: the stride of the projections.
    """
    mean: Tensor

    def __init__(self,
                 num_in_ch: int = 3,
                 num_out_ch: int = 3,
                 num_feat: int = 64,
                 num_groups: int = 6,
                 num_steps: int = 4,
                 upscale: int = 8) -> None:
        super().__init__()
        if upscale not in (2, 4, 8):
            raise ValueError(f'upscale={upscale}; expected 2, 4 or 8.')
        self.num_steps = num_steps
        self.upscale = upscale
        self.register_buffer('mean', torch.tensor(RGB_MEAN).view(3, 1, 1), persistent=False)
        self.conv_in = conv_prelu(num_in_ch, 4 * num_feat, 3, padding=1)
        self.feat_in = conv_prelu(4 * num_feat, num_feat, 1)
        self.block = ProjectionBlock(2 * num_feat, num_feat, num_groups, upscale)
        self.out = deconv_prelu(num_feat, num_feat, upscale + 4, upscale, 2)
        self.conv_out = nn.Conv2d(num_feat, num_out_ch, 3, 1, 1)
        init_kaiming(self)

    def forward(self, x: Tensor, return_steps: bool = False) -> Union[Tensor, List[Tensor]]:
        """Restore images.

        Args:
            x: RGB in [0, 1], ``B,3,h,w``.
            return_steps: True for the images of all steps, whose losses the published training sums.

        Returns:
            The last step's image, ``B,3,upscale*h,upscale*w``, or those of all steps.
        """
        x = 255 * (x - self.mean)
        base = F.interpolate(x, scale_factor=float(self.upscale), mode='bilinear', align_corners=False)
        feat = self.feat_in(self.conv_in(x))
        hidden, images = feat, []
        for _ in range(self.num_steps):
            hidden = self.block(feat, hidden)
            images.append((base + self.conv_out(self.out(hidden))) / 255 + self.mean)
        return images if return_steps else images[-1]
