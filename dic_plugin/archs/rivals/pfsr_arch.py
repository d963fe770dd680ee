"""PFSR: progressive face super-resolution with attention to landmarks (Kim et al., BMVC 2019)."""
from math import sqrt
from typing import List

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

STEPS = 3  # to 32, 64 and 128 pixels


class EqualConv(nn.Module):
    """A 3x3 convolution whose stored weights are scaled in use, so that all layers learn at one speed.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
    """

    def __init__(self, num_in_ch: int, num_out_ch: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(num_out_ch))
        self.weight_orig = nn.Parameter(torch.randn(num_out_ch, num_in_ch, 3, 3))
        self.scale = sqrt(2 / (9 * num_in_ch))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,num_out_ch,h,w`` from ``B,num_in_ch,h,w``."""
        return F.conv2d(x, self.scale * self.weight_orig, self.bias, padding=1)


class ResidualBlock(nn.Sequential):
    """Two equalised convolutions with batch norm and ReLU, and the input.

    Args:
        num_feat: channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__(
            EqualConv(num_feat, num_feat), nn.BatchNorm2d(num_feat), nn.ReLU(), EqualConv(num_feat, num_feat),
            nn.BatchNorm2d(num_feat), nn.ReLU())  # yapf: disable

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        return x + super().forward(x)


def _enlarge(num_feat: int) -> List[nn.Module]:
    half = num_feat // 2
    return [ResidualBlock(num_feat), nn.ConvTranspose2d(num_feat, half, 4, 2, 1), nn.BatchNorm2d(half), nn.ReLU()]


def _check_step(step: int) -> None:
    if not 1 <= step <= STEPS:
        raise ValueError(f'step={step}; expected 1 to {STEPS}.')


@ARCH_REGISTRY.register()
class PFSRGenerator(nn.Module):
    """Three stages, each enlarging twice; an image can be taken after each.

    8.97 M parameters in the published size. Published for aligned CelebA: 22.66 dB / 0.685, RGB, the author's protocol.
    The published code has no licence; it works on [-1, 1], as this does inside.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: channels of the first stage, a multiple of 8; every stage halves them.
    """

    def __init__(self, num_in_ch: int = 3, num_out_ch: int = 3, num_feat: int = 512) -> None:
        super().__init__()
        if num_feat % 8:
            raise ValueError(f'num_feat={num_feat}; expected a multiple of 8, for it is halved three times.')
        self.to_rgb = nn.ModuleList(nn.Conv2d(num_feat // 2**step, num_out_ch, 1) for step in (1, 2, 3))
        first = [nn.Conv2d(num_in_ch, num_feat, 3, 1, 1), nn.BatchNorm2d(num_feat), nn.ReLU()]
        self.stages = nn.ModuleList(
            nn.Sequential(*(first if step == 0 else []), *_enlarge(num_feat // 2**step)) for step in range(STEPS))

    def forward(self, x: Tensor, step: int = STEPS, alpha: float = 1.) -> Tensor:
        """Restore faces.

        Args:
            x: RGB in [0, 1], ``B,3,h,w``.
            step: 1, 2 or 3: how often to enlarge.
            alpha: share of this step's image; the rest is that of the step before, its pixels repeated.

        Returns:
            ``B,3,2**step*h,2**step*w``, about [0, 1].

        Raises:
            ValueError: there is no such step.
        """
        _check_step(step)
        feat, before = 2 * x - 1, x
        for stage in self.stages[:step]:
            before, feat = feat, stage(feat)
        image = self.to_rgb[step - 1](feat)
        if step > 1 and 0 <= alpha < 1:
            coarse = F.interpolate(self.to_rgb[step - 2](before), scale_factor=2., mode='nearest')
            image = (1 - alpha) * coarse + alpha * image
        return (image + 1) / 2


class _Halving(nn.Sequential):

    def __init__(self, num_in_ch: int, num_out_ch: int) -> None:
        super().__init__(
            EqualConv(num_in_ch, num_out_ch), nn.LeakyReLU(0.2), EqualConv(num_out_ch, num_out_ch), nn.LeakyReLU(0.2),
            nn.AvgPool2d(2))  # yapf: disable


@ARCH_REGISTRY.register()
class PFSRDiscriminator(nn.Module):
    """The generator's stages backwards, and a map that shows how much the images of a batch differ.

    Args:
        num_in_ch: channels of the input.
        num_feat: channels of the last stage, a multiple of 8.
    """

    def __init__(self, num_in_ch: int = 3, num_feat: int = 512) -> None:
        super().__init__()
        if num_feat % 8:
            raise ValueError(f'num_feat={num_feat}; expected a multiple of 8, for it is halved three times.')
        self.from_rgb = nn.ModuleList(nn.Conv2d(num_in_ch, num_feat // 2**step, 1) for step in (1, 2, 3))
        self.stages = nn.ModuleList(_Halving(num_feat // 2**step, num_feat // 2**(step - 1)) for step in (1, 2, 3))
        self.last = EqualConv(num_feat + 1, num_feat)
        self.classifier = nn.Sequential(nn.Linear(num_feat, 4 * num_feat), nn.Linear(4 * num_feat, 1))

    def forward(self, x: Tensor, step: int = STEPS, alpha: float = 1.) -> Tensor:
        """Judge images.

        Args:
            x: at least two images, RGB in [0, 1], ``B,3,H,W``, of the size of this step.
            step: 1, 2 or 3.
            alpha: see PFSRGenerator.

        Returns:
            ``B``, not limited.

        Raises:
            ValueError: there is no such step, or only one image, which has no spread.
        """
        _check_step(step)
        if len(x) < 2:
            raise ValueError(f'the batch has {len(x)} image; expected at least 2, whose spread is a feature.')
        x = 2 * x - 1
        spread = x.std(0).mean()
        feat = self.stages[step - 1](self.from_rgb[step - 1](x))
        if step > 1 and 0 <= alpha < 1:
            feat = (1 - alpha) * self.from_rgb[step - 2](F.avg_pool2d(x, 2)) + alpha * feat
        for stage in reversed(self.stages[:step - 1]):
            feat = stage(feat)
        feat = torch.cat([feat, spread.expand(len(x), 1, *feat.shape[2:])], 1)
        return self.classifier(self.last(feat).mean((2, 3))).squeeze(1)


@ARCH_REGISTRY.register()
class PFSRLandmarks(nn.Module):
    """The small network whose landmark heatmaps guide the training of PFSR, "compressed FAN": 0.32 M parameters.

    Published: distilled from 2D-FAN-4, a whole-module pickle, which is not read here for safety.

    Args:
        num_in_ch: channels of the input.
        num_keypoints: number of landmarks K.
    """

    def __init__(self, num_in_ch: int = 3, num_keypoints: int = 68) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in_ch, 32, 5, 1, 2)
        widths = (32, 64, 128, 128, num_keypoints)
        self.layers = nn.Sequential()
        for index, (before, after) in enumerate(zip(widths, widths[1:])):
            self.layers.append(nn.Conv2d(before, after, 3, 1, 1))
            if index < 3:
                self.layers.append(nn.BatchNorm2d(after))
            self.layers.append(nn.LeakyReLU(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps ``B,K,H,W`` from RGB in [0, 1], ``B,3,H,W``."""
        return self.layers(self.conv(x))
