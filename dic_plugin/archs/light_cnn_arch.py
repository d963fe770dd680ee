"""LightCNN with 9 layers, of which DICGAN has two: one judges images, one gives the features of its face loss.

Wu et al.: A Light CNN for Deep Face Representation with Noisy Labels, IEEE TIFS 2018. Layers, and parameter names, are
those of the published DICGAN; numerically equal to it (tests/archs/test_golden.py).
"""
from math import ceil

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from dic_plugin.archs.feedback_hourglass_arch import RGB_MEAN

STRIDE = 16  # the features are this much smaller than the image


class MaxFeatureMap(nn.Module):
    """A layer with twice the outputs that are wanted; of every output and its partner the greater is handed on."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.filter = layer

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.filter(x).chunk(2, 1)
        return torch.maximum(first, second)


def _max_conv(num_in_ch: int, num_out_ch: int, kernel_size: int) -> MaxFeatureMap:
    return MaxFeatureMap(nn.Conv2d(num_in_ch, 2 * num_out_ch, kernel_size, padding=kernel_size // 2))


class _Group(nn.Module):
    """1x1 and 3x3 max-feature-map convolutions."""

    def __init__(self, num_in_ch: int, num_out_ch: int) -> None:
        super().__init__()
        self.conv_a = _max_conv(num_in_ch, num_in_ch, 1)
        self.conv = _max_conv(num_in_ch, num_out_ch, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv_a(x))


class _LightCNN(nn.Module):
    """The convolutions that both networks have; images of any size."""
    mean: Tensor

    def __init__(self, num_feat: int, subtract_mean: bool) -> None:
        super().__init__()
        if num_feat < 3 or num_feat % 3:
            raise ValueError(f'num_feat={num_feat}: expected a multiple of 3, as the last layers have 8/3 of it.')
        self.num_out_ch = num_feat * 8 // 3
        self.features = nn.Sequential(
            _max_conv(3, num_feat, 5), nn.MaxPool2d(2, ceil_mode=True),
            _Group(num_feat, 2 * num_feat), nn.MaxPool2d(2, ceil_mode=True),
            _Group(2 * num_feat, 4 * num_feat), nn.MaxPool2d(2, ceil_mode=True),
            _Group(4 * num_feat, self.num_out_ch), _Group(self.num_out_ch, self.num_out_ch),
            nn.MaxPool2d(2, ceil_mode=True))  # yapf: disable
        mean = torch.tensor(RGB_MEAN) if subtract_mean else torch.zeros(3)
        self.register_buffer('mean', mean.view(3, 1, 1), persistent=False)

    def _extract(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != 3:
            raise ValueError(f'LightCNN was given the shape {tuple(x.shape)}; expected RGB images B,3,H,W.')
        return self.features(x - self.mean)


@ARCH_REGISTRY.register()
class LightCNNFeature(_LightCNN):
    """Face features: the convolutions of LightCNN.

    Args:
        subtract_mean: True where images are in [0, 1] and the weights are the published ones, which were always shown
            images less DIC's RGB mean.
    """

    def __init__(self, subtract_mean: bool = False) -> None:
        super().__init__(48, subtract_mean)

    def forward(self, x: Tensor) -> Tensor:
        """Map RGB images ``B,3,H,W`` of any size to features ``B,128,H/16,W/16`` (rounded up).

        Raises:
            ValueError: the images have no three channels.
        """
        return self._extract(x)


@ARCH_REGISTRY.register()
class LightCNNDiscriminator(_LightCNN):
    """DICGAN's discriminator: LightCNN with two linear layers, to one logit per image (paper section 3.4).

    It starts with PyTorch's own initialisation, as published.

    Args:
        input_size: height and width of the images; 128 as published. The first linear layer depends on it.
        num_feat: maps of the first layer, a multiple of 3; 48 as published. The cost goes with its square.
        subtract_mean: True to subtract DIC's RGB mean from images in [0, 1], as published.
    """

    def __init__(self, input_size: int = 128, num_feat: int = 48, subtract_mean: bool = False) -> None:
        super().__init__(num_feat, subtract_mean)
        if input_size < 1:
            raise ValueError(f'input_size={input_size}: expected a number of pixels.')
        self.input_size = input_size
        num_cells = ceil(input_size / STRIDE)**2
        num_hidden = 2 * self.num_out_ch
        self.classifier = nn.Sequential(
            MaxFeatureMap(nn.Linear(self.num_out_ch * num_cells, 2 * num_hidden)), nn.LeakyReLU(0.2),
            nn.Linear(num_hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map RGB images ``B,3,input_size,input_size`` to logits ``B,1``, which are high for real images.

        Raises:
            ValueError: the images have another size.
        """
        if tuple(x.shape[2:]) != (self.input_size, self.input_size):
            raise ValueError(
                f'LightCNNDiscriminator was given the shape {tuple(x.shape)}; expected B,3,{self.input_size},'
                f'{self.input_size}. Set input_size of network_d to the size of the SR images.')
        return self.classifier(self._extract(x).flatten(1))
