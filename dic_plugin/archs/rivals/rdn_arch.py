"""RDN: residual dense network (Zhang et al., CVPR 2018)."""
from typing import List

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = {2: (2, ), 3: (3, ), 4: (2, 2), 8: (2, 2, 2)}  # factors of the sub-pixel convolutions


class DenseBlock(nn.Module):
    """Convolutions that each see the outputs of all before, then a 1x1 convolution and the block's input.

    Args:
        num_feat: channels of the input and of every convolution.
        num_layer: number of 3x3 convolutions.
    """

    def __init__(self, num_feat: int, num_layer: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d((i + 1) * num_feat, num_feat, 3, 1, 1) for i in range(num_layer))
        self.fusion = nn.Conv2d((num_layer + 1) * num_feat, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        maps = [x]
        for conv in self.convs:
            maps.append(F.relu(conv(torch.cat(maps, 1))))
        return x + self.fusion(torch.cat(maps, 1))


@ARCH_REGISTRY.register()
class RDN(nn.Module):
    """Residual dense network.

    Published for x2, x3 and x4; x8 has a third sub-pixel stage. 22.4 M parameters for x8 in the published size. The DIC
    paper trains it for faces. The author's code has no licence; the layers were read in code under MIT.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: features, G.
        num_block: dense blocks, D.
        num_layer: convolutions of a block, C.
        upscale: 2, 3, 4 or 8.
    """

    def __init__(self,
                 num_in_ch: int = 3,
                 num_out_ch: int = 3,
                 num_feat: int = 64,
                 num_block: int = 16,
                 num_layer: int = 8,
                 upscale: int = 8) -> None:
        super().__init__()
        if upscale not in STAGES:
            raise ValueError(f'upscale={upscale}; expected one of {", ".join(map(str, STAGES))}.')
        self.conv_first = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        self.conv_second = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.blocks = nn.ModuleList(DenseBlock(num_feat, num_layer) for _ in range(num_block))
        self.fusion = nn.Sequential(
            nn.Conv2d(num_block * num_feat, num_feat, 1), nn.Conv2d(num_feat, num_feat, 3, 1, 1))
        stages: List[nn.Module] = []
        for factor in STAGES[upscale]:
            stages += [nn.Conv2d(num_feat, factor**2 * num_feat, 3, 1, 1), nn.PixelShuffle(factor)]
        self.upsample = nn.Sequential(*stages)
        self.conv_last = nn.Conv2d(num_feat, num_out_ch, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,3,upscale*h,upscale*w`` from RGB in [0, 1], ``B,3,h,w``."""
        first = self.conv_first(x)
        feat, outputs = self.conv_second(first), []
        for block in self.blocks:
            feat = block(feat)
            outputs.append(feat)
        return self.conv_last(self.upsample(first + self.fusion(torch.cat(outputs, 1))))
