"""Attentive fusion: landmark heatmaps steer the recovery branch, component by component (paper section 3.3)."""
from typing import Optional

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from dic_plugin.archs.weight_init import init_kaiming
from dic_plugin.landmarks import layouts
from dic_plugin.landmarks.heatmaps import component_maps
from dic_plugin.ops import ConvSequential


class GroupedResidualBlock(nn.Module):
    """Two 3x3 convolutions in as many groups as there are components, a leaky ReLU between, and the identity."""

    def __init__(self, num_feat: int, num_components: int) -> None:
        super().__init__()
        channels = num_feat * num_components
        self.body = ConvSequential(
            nn.Conv2d(channels, channels, 3, 1, 1, groups=num_components), nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, 1, 1, groups=num_components))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x, residual=x)


@ARCH_REGISTRY.register()
class AttentiveFusion(nn.Module):
    """Expands the features once per facial component and blends the results by the components' attention maps.

    The attention of a component is the softmax, over the components, of its component map (see
    ``dic_plugin.landmarks.heatmaps.component_maps``).

    Args:
        num_feat: channels F of the features.
        num_keypoints: number of landmarks K.
        num_fusion_block: residual blocks, 7 in the paper.
        detach_attention: True stops the gradient from the recovery branch into the heatmaps.
        component_groups: another grouping of the landmarks into components, see
            ``dic_plugin.landmarks.layouts.component_groups``. Default: the published five.
    """

    def __init__(self,
                 num_feat: int = 48,
                 num_keypoints: int = 68,
                 num_fusion_block: int = 7,
                 detach_attention: bool = False,
                 component_groups: Optional[layouts.Grouping] = None) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        self.detach_attention = detach_attention
        self.groups = layouts.component_groups(num_keypoints, component_groups)
        num_components = len(self.groups)
        self.expand = ConvSequential(nn.Conv2d(num_feat, num_feat * num_components, 1), nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*[GroupedResidualBlock(num_feat, num_components) for _ in range(num_fusion_block)])
        init_kaiming(self)

    def attention(self, heatmap: Tensor) -> Tensor:
        """Return each component's attention, ``B,C,h,w``, non-negative and summing to 1 over C, from ``B,K,h,w``."""
        return torch.softmax(component_maps(heatmap, self.groups, self.detach_attention), dim=1)

    def forward(self, feat: Tensor, heatmap: Tensor) -> Tensor:
        """Fuse features ``B,F,h,w`` and heatmaps ``B,K,h,w`` of the same size; returns features ``B,F,h,w``.

        Raises:
            ValueError: the heatmaps' number or size is not what the features need.
        """
        if heatmap.shape[1] != self.num_keypoints or heatmap.shape[2:] != feat.shape[2:]:
            raise ValueError(
                f'heatmap has the shape {tuple(heatmap.shape)}; expected num_keypoints={self.num_keypoints} '
                f'maps of the size of the features, {tuple(feat.shape[2:])}.')
        experts = self.body(self.expand(feat)).unflatten(1, (len(self.groups), -1))
        return (experts * self.attention(heatmap).unsqueeze(2)).sum(1)
