"""Blurred and half-restored faces like those that DIC shows its hourglass, from a batch's low-quality and true images.

Trained on sharp faces alone, an hourglass is lost on DIC's first steps. So it is trained on views of every quality,
mixed at random, and over its passes from worse to better, as DIC's steps go.
"""
import math
from typing import List, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

__all__ = ['VIEWS', 'draw_views', 'make_view']

VIEWS = ('bicubic', 'blurred', 'sr_like', 'sharp')  # from worse to better
SIGMA_RANGE = (1.0, 4.0)  # of blurred views, in pixels; bicubic enlargement by 8 blurs about as much as 4
SIGMA_SR = 1.0


def make_view(kind: str, lq: Tensor, gt: Tensor, quality: Tensor) -> Tensor:
    """Return one kind of view of every face of a batch.

    ``bicubic``: ``lq`` enlarged. ``blurred``: ``gt`` under a Gaussian of sigma 4 (quality 0) to 1 pixel (quality 1).
    ``sr_like``: from ``bicubic`` (quality 0) to a slightly blurred ``gt`` (quality 1). ``sharp``: ``gt``.

    Args:
        kind: one of VIEWS.
        lq: RGB in [0, 1], ``B,3,h,w``.
        gt: RGB in [0, 1], ``B,3,H,W``.
        quality: ``B``, 0 to 1.

    Returns:
        RGB in [0, 1], ``B,3,H,W``.

    Raises:
        ValueError: there is no such kind.
    """
    if kind == 'sharp':
        return gt
    if kind == 'blurred':
        low, high = SIGMA_RANGE
        return _blur(gt, high - (high - low) * quality)
    if kind in ('bicubic', 'sr_like'):
        bicubic = F.interpolate(lq, size=gt.shape[2:], mode='bicubic', align_corners=False).clamp(0, 1)
        if kind == 'bicubic':
            return bicubic
        restored = _blur(gt, torch.full_like(quality, SIGMA_SR))
        return torch.lerp(bicubic, restored, quality.view(-1, 1, 1, 1))
    raise ValueError(f'There is no view {kind!r}; there are {", ".join(VIEWS)}.')


def _blur(img: Tensor, sigma: Tensor) -> Tensor:
    kernel_size = 2 * math.ceil(3 * SIGMA_RANGE[1]) + 1
    return torch.stack([gaussian_blur(face, kernel_size, float(width)) for face, width in zip(img, sigma)])


def draw_views(lq: Tensor, gt: Tensor, kinds: Sequence[str], num_steps: int) -> List[Tensor]:
    """Return views for the passes of an hourglass: random kind and quality per face and pass, from worse to better.

    Random numbers come from PyTorch's generator on the CPU, which BasicSR seeds.

    Args:
        lq: as for ``make_view``.
        gt: as for ``make_view``.
        kinds: the kinds to mix, of VIEWS; each is drawn equally often.
        num_steps: number of passes T.

    Returns:
        T images ``B,3,H,W``, RGB in [0, 1].
    """
    kinds = sorted(kinds, key=VIEWS.index)
    size = (len(gt), num_steps)
    kind_of = torch.randint(len(kinds), size).sort(1).values.to(gt.device)
    quality = torch.rand(size).sort(1).values.to(gt.device)
    views = []
    for step in range(num_steps):
        view = torch.empty_like(gt)
        for number, kind in enumerate(kinds):
            faces = kind_of[:, step] == number
            if faces.any():
                view[faces] = make_view(kind, lq[faces], gt[faces], quality[faces, step])
        views.append(view)
    return views
