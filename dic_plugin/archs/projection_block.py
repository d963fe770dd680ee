"""The recovery branch's recurrent block: G dense up- and down-projection groups between two 1x1 convolutions.

Paper section 3.2; the groups follow SRFBN (Li et al., CVPR 2019), from which the paper takes them.
"""
from typing import List, Optional

import torch
from torch import Tensor, nn

from dic_plugin.ops import ConvSequential, reuses_memory


def conv_prelu(in_ch: int, out_ch: int, kernel_size: int, stride: int = 1, padding: int = 0) -> ConvSequential:
    """Return a convolution and a PReLU with one parameter, initially 0.2."""
    return ConvSequential(nn.Conv2d(in_ch, out_ch, kernel_size, stride, padding), nn.PReLU(init=0.2))


def deconv_prelu(in_ch: int, out_ch: int, kernel_size: int, stride: int, padding: int) -> ConvSequential:
    """Return a transposed convolution and a PReLU with one parameter, initially 0.2."""
    return ConvSequential(nn.ConvTranspose2d(in_ch, out_ch, kernel_size, stride, padding), nn.PReLU(init=0.2))


class ProjectionGroups(nn.Module):
    """Densely connected up- and down-projections.

    With L = [x] and H = []: every group compresses all of L (1x1), projects it up, compresses all of H (1x1) and
    projects that down again, appending to H and to L. A projection has kernel s + 4, stride s and padding 2, so that a
    map of size n becomes exactly s n and back.

    Args:
        num_feat: channels F of every map.
        num_groups: number of groups G.
        scale: stride s of the projections. The published network uses the upscale, 8.
    """

    def __init__(self, num_feat: int, num_groups: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        projection = dict(kernel_size=scale + 4, stride=scale, padding=2)
        self.up = nn.ModuleList(deconv_prelu(num_feat, num_feat, **projection) for _ in range(num_groups))
        self.down = nn.ModuleList(conv_prelu(num_feat, num_feat, **projection) for _ in range(num_groups))
        self.uptran = nn.ModuleList(conv_prelu(num_feat * (i + 1), num_feat, 1) for i in range(1, num_groups))
        self.downtran = nn.ModuleList(conv_prelu(num_feat * (i + 1), num_feat, 1) for i in range(1, num_groups))

    def memory(self, x: Tensor) -> Optional[Tensor]:
        """Return memory for the large maps of one face of ``x`` (``B,F,h,w``), or None if gradients need the maps.

        Handed to every step's groups it spares fetching 88 MB again for each face and step at the paper's settings,
        which takes longer than most of the convolutions.
        """
        if not reuses_memory(x):
            return None
        _, num_feat, height, width = x.shape
        maps = x.new_empty(len(self.up) + 1, height * self.scale, width * self.scale, num_feat)
        return maps.permute(0, 3, 1, 2).unsqueeze(1)

    def forward(self, x: Tensor, memory: Optional[Tensor] = None) -> List[Tensor]:
        """Return the down-projected maps of all groups, G times ``B,F,h,w``, from ``B,F,h,w``.

        Args:
            x: the input. With memory, of one face.
            memory: see there.
        """
        *outs, compressed = [None] * (len(self.up) + 1) if memory is None else memory
        high: List[Tensor] = [self.up[0](x, out=outs[0])]
        low: List[Tensor] = [x, self.down[0](high[0])]
        for up, down, uptran, downtran, out in zip(self.up[1:], self.down[1:], self.uptran, self.downtran, outs[1:]):
            high.append(up(uptran(*low), out=out))
            low.append(down(downtran(*high, out=compressed)))
        return low[1:]


class ProjectionBlock(nn.Module):
    """One step of the recovery branch: compress, (fuse with the landmarks' attention,) project, compress.

    The first step and the later ones differ only in what they are given: the later ones also take the previous hidden
    state and, through ``fusion``, the previous heatmaps.

    Args:
        num_in_ch: channels of the input: F at the first step; 2F, input and hidden state, at the later ones.
        num_feat: see ProjectionGroups.
        num_groups: see ProjectionGroups.
        projection_scale: see ProjectionGroups.
        fusion: AttentiveFusion, or None.
    """

    def __init__(self,
                 num_in_ch: int,
                 num_feat: int,
                 num_groups: int,
                 projection_scale: int,
                 fusion: Optional[nn.Module] = None) -> None:
        super().__init__()
        self.compress_in = conv_prelu(num_in_ch, num_feat, 1)
        self.groups = ProjectionGroups(num_feat, num_groups, projection_scale)
        self.compress_out = conv_prelu(num_feat * num_groups, num_feat, 1)
        self.fusion = fusion

    def forward(self,
                feat: Tensor,
                hidden: Optional[Tensor] = None,
                heatmap: Optional[Tensor] = None,
                memory: Optional[Tensor] = None) -> Tensor:
        """Return the hidden state ``B,F,h,w`` from features, hidden state (both ``B,F,h,w``) and heatmaps ``B,K,h,w``.

        With memory (see ProjectionGroups) the faces go through the groups one after the other.
        """
        feat = self.compress_in(feat) if hidden is None else self.compress_in(feat, hidden)
        if self.fusion is not None:
            feat = self.fusion(feat, heatmap)
        if memory is None:
            return self.compress_out(*self.groups(feat))
        return torch.cat([self.compress_out(*self.groups(face, memory)) for face in feat.split(1)])
