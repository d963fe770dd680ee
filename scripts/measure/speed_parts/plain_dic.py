"""DIC as the paper draws it, in torch's plainest operations: what the network is compared with, in numbers and in time.

Concatenate, convolve, activate, in torch's default layout, every hourglass pass, nothing shared, nothing reused: the
way the published code does it. Only the parameters come from the network under test.
"""
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.archs import DIC, AttentiveFusion, DICOutput, FeedbackHourglass
from dic_plugin.archs.feedback_hourglass_arch import HourglassResidual
from dic_plugin.archs.projection_block import ProjectionBlock
from dic_plugin.landmarks.heatmaps import component_maps


def plain_forward(network: DIC, x: Tensor) -> DICOutput:
    """Every step's image and heatmaps of ``x``, as ``network(x, return_steps=True)`` gives them."""
    mean = network.mean.view(3, 1, 1)
    x = x - mean
    base = F.interpolate(x, scale_factor=network.upscale, mode='bilinear', align_corners=False)
    feat = F.pixel_shuffle(_conv_prelu(network.conv_in, x), network.upscale // 4)
    hidden, attention = feat, None
    images: List[Tensor] = []
    heatmaps: List[Tensor] = []
    for step in range(network.num_steps):
        if step == 0:
            hidden = _block(network.first_block, feat)
        else:
            hidden = _block(network.block, torch.cat((feat, hidden), 1), heatmaps[-1])
        sr = base + _conv(network.conv_out, _conv_prelu(network.out, hidden))
        images.append(sr + mean)
        heatmap, attention = _hourglass_pass(network.hourglass, sr, attention)
        heatmaps.append(heatmap)
    return DICOutput(images, heatmaps)


def _conv(layer: nn.Module, x: Tensor) -> Tensor:
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, layer.weight, layer.bias, layer.stride, layer.padding)
    return F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)


def _conv_prelu(layers: nn.Sequential, x: Tensor) -> Tensor:
    convolution, prelu = layers
    return F.prelu(_conv(convolution, x), prelu.weight)


def _block(block: ProjectionBlock, x: Tensor, heatmap: Optional[Tensor] = None) -> Tensor:
    x = _conv_prelu(block.compress_in, x)
    if block.fusion is not None:
        x = _fuse(block.fusion, x, heatmap)
    groups = block.groups
    low, high = [x], []
    for i, (up, down) in enumerate(zip(groups.up, groups.down)):
        compressed = x if i == 0 else _conv_prelu(groups.uptran[i - 1], torch.cat(low, 1))
        high.append(_conv_prelu(up, compressed))
        compressed = high[0] if i == 0 else _conv_prelu(groups.downtran[i - 1], torch.cat(high, 1))
        low.append(_conv_prelu(down, compressed))
    return _conv_prelu(block.compress_out, torch.cat(low[1:], 1))


def _fuse(fusion: AttentiveFusion, x: Tensor, heatmap: Tensor) -> Tensor:
    attention = torch.softmax(component_maps(heatmap, fusion.groups, fusion.detach_attention), 1)
    x = F.leaky_relu(_conv(fusion.expand[0], x), 0.2)
    for residual in fusion.body:
        first, _, second = residual.body
        x = x + _conv(second, F.leaky_relu(_conv(first, x), 0.2))
    return sum(part * attention[:, i:i + 1] for i, part in enumerate(x.chunk(len(fusion.groups), 1)))


def _hourglass_pass(network: FeedbackHourglass, x: Tensor, hidden: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
    stem, head = network.stem, network.head
    x = F.max_pool2d(_residual(stem[2], F.relu(_conv(stem[0], x))), 2)
    x = _residual(stem[5], _residual(stem[4], x))
    x = _conv(network.compress_in, torch.cat((x, x if hidden is None else hidden), 1))
    shown, handed_on = _hourglass(network.hourglass, x).split(network.hg_num_feat, 1)
    return _conv(head[3], F.relu(_conv(head[1], _residual(head[0], shown)))), handed_on


def _hourglass(level: nn.Module, x: Tensor) -> Tensor:
    if isinstance(level, HourglassResidual):
        return _residual(level, x)
    low = _hourglass(level.inner, _residual(level.before, F.max_pool2d(x, 2)))
    low = F.interpolate(_residual(level.after, low), scale_factor=2, mode='bilinear', align_corners=True)
    return _residual(level.around, x) + low


def _residual(residual: HourglassResidual, x: Tensor) -> Tensor:
    first, _, second, third = residual.body
    skip = x if isinstance(residual.skip, nn.Identity) else _conv(residual.skip, x)
    return skip + _conv(third, _conv(second, F.relu(_conv(first, x))))
