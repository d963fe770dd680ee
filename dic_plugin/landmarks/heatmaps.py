"""From landmarks to heatmaps and back. Pure functions on tensors, on whatever device these are.

Coordinates are (x, y) in image pixels, the centre of the top-left pixel at (0, 0). A heatmap has a quarter of the
image's height and width, and a landmark lies at (x, y) / 4 on its grid, as published.
"""
from typing import List, Tuple

import torch
from torch import Tensor

HEATMAP_STRIDE = 4  # image pixels per heatmap cell


def render_heatmaps(landmarks: Tensor, size: Tuple[int, int], sigma: float = 1.0) -> Tensor:
    """Draw target heatmaps: a Gaussian of height 1 at each landmark (paper section 3.4).

    Args:
        landmarks: ``...,K,2``, (x, y) in image pixels. Of a landmark outside the image only the part inside is drawn.
        size: height and width of the heatmaps, in cells.
        sigma: standard deviation in cells.

    Returns:
        ``...,K,h,w`` in [0, 1], of the landmarks' dtype and device.

    >>> render_heatmaps(torch.tensor([[4., 0.]]), (1, 3))
    tensor([[[0.6065, 1.0000, 0.6065]]])
    """
    height, width = size
    centre = landmarks / HEATMAP_STRIDE
    # the two-dimensional Gaussian is the outer product of its profiles
    profile_x = _profile(centre[..., 0], width, sigma)
    profile_y = _profile(centre[..., 1], height, sigma)
    return profile_y.unsqueeze(-1) * profile_x.unsqueeze(-2)


def _profile(centre: Tensor, length: int, sigma: float) -> Tensor:
    cells = torch.arange(length, dtype=centre.dtype, device=centre.device)
    return torch.exp((cells - centre.unsqueeze(-1)).square() / (-2 * sigma**2))


def decode_heatmaps(heatmap: Tensor, subpixel: bool = True) -> Tensor:
    """Return the landmarks at the heatmaps' peaks.

    Args:
        heatmap: ``...,K,h,w``, h and w at least 2.
        subpixel: True fits a Gaussian through the peak and its neighbours, separately in x and in y, which returns the
            exact landmark of an exact Gaussian. False decodes as the published evaluation does: from the peak cell, one
            image pixel towards the second-highest cell (towards 0 where that lies in the same column or row).

    Returns:
        ``...,K,2``, (x, y) in image pixels.
    """
    height, width = heatmap.shape[-2:]
    flat = heatmap.flatten(-2)
    peak = flat.argmax(-1, keepdim=True)
    x, y = peak % width, torch.div(peak, width, rounding_mode='floor')
    if subpixel:
        dx = _parabola_offset(flat, peak, x, 1, width)
        dy = _parabola_offset(flat, peak, y, width, height)
        landmarks = HEATMAP_STRIDE * torch.cat((x + dx, y + dy), -1)
    else:
        second = flat.scatter(-1, peak, float('-inf')).argmax(-1, keepdim=True)
        second_x, second_y = second % width, torch.div(second, width, rounding_mode='floor')
        step = torch.cat((second_x > x, second_y > y), -1).to(heatmap.dtype) * 2 - 1
        landmarks = HEATMAP_STRIDE * torch.cat((x, y), -1).to(heatmap.dtype) + step
    return landmarks


def _parabola_offset(flat: Tensor, peak: Tensor, position: Tensor, stride: int, length: int) -> Tensor:
    """Return the peak, -0.5 to 0.5, of the parabola through the logarithms at position - 1, position, position + 1."""
    inside = (position > 0) & (position < length - 1)
    before, after = (flat.gather(-1, torch.where(inside, peak + shift, peak)) for shift in (-stride, stride))
    # predicted maps may dip below zero beside the peak
    low, top, high = (value.clamp(min=1e-6).log() for value in (before, flat.gather(-1, peak), after))
    curvature = (2 * top - low - high).clamp(min=1e-6)
    return torch.where(inside, ((high - low) / (2 * curvature)).clamp(-0.5, 0.5), torch.zeros_like(low))


def component_maps(heatmap: Tensor, groups: List[List[int]], detach: bool = False) -> Tensor:
    """Sum of normalised heatmaps per facial component.

    Every heatmap is divided by its own maximum, or by 0.05 where that is less, so that a faint guess does not become a
    loud one.

    Args:
        heatmap: ``B,K,h,w``.
        groups: landmark indices of every component, C lists.
        detach: True cuts the gradient into the heatmaps.

    Returns:
        ``B,C,h,w``.
    """
    if detach:
        heatmap = heatmap.detach()
    normalised = heatmap / heatmap.amax((2, 3), keepdim=True).clamp(min=0.05)
    return torch.stack([normalised[:, group].sum(1) for group in groups], 1)
