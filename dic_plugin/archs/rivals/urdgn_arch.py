"""URDGN: ultra-resolving face images by discriminative generative networks (Yu and Porikli, ECCV 2016)."""
from typing import List

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

KEPT = 0.8  # share of the maps that the discriminator's spatial dropout keeps


@ARCH_REGISTRY.register()
class URDGNGenerator(nn.Sequential):
    """Nearest enlargement and convolutions with batch norm, three times; 1.05 M parameters in the published size.

    The author's code (Lua, no licence) works on BGR in [-1, 1]; here RGB in [0, 1] is converted inside. The paper
    describes transposed convolutions; the author's code enlarges and convolves, as this does.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: channels after the first convolution; later ones have 4, 8 and 16 times as many.
    """

    def __init__(self, num_in_ch: int = 3, num_out_ch: int = 3, num_feat: int = 16) -> None:
        widths, sizes = [num_in_ch, num_feat, 4 * num_feat, 8 * num_feat, 16 * num_feat], (3, 3, 5, 5)
        layers: List[nn.Module] = []
        for i, size in enumerate(sizes):
            layers += [
                nn.Conv2d(widths[i], widths[i + 1], size, 1, size // 2),
                nn.BatchNorm2d(widths[i + 1]),
                nn.ReLU()
            ]
            if i < 3:
                layers.append(nn.Upsample(scale_factor=2, mode='nearest'))
        super().__init__(*layers, nn.Conv2d(widths[-1], num_out_ch, 5, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,3,8*h,8*w``, about [0, 1], from RGB in [0, 1], ``B,3,h,w``."""
        return (super().forward((2 * x - 1).flip(1)).flip(1) + 1) / 2


class TorchDropout2d(nn.Module):
    """Torch7's spatial dropout: in training whole maps become 0 and the others stay; otherwise all are scaled."""

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the input's shape, ``B,C,h,w``."""
        if not self.training:
            return KEPT * x
        return x * x.new_empty(*x.shape[:2], 1, 1).bernoulli_(KEPT)


@ARCH_REGISTRY.register()
class URDGNDiscriminator(nn.Module):
    """Four convolutions and two linear layers; 6.9 M parameters.

    Args:
        num_in_ch: channels of the input.
        input_size: height and width of the images, a multiple of 16.
    """

    def __init__(self, num_in_ch: int = 3, input_size: int = 128) -> None:
        super().__init__()
        if input_size % 16:
            raise ValueError(f'input_size={input_size}; expected a multiple of 16.')
        self.features = nn.Sequential(
            nn.Conv2d(num_in_ch, 32, 5, 1, 2), nn.MaxPool2d(2), nn.ReLU(), TorchDropout2d(),
            nn.Conv2d(32, 64, 5, 1, 2), nn.MaxPool2d(2), nn.ReLU(), TorchDropout2d(),
            nn.Conv2d(64, 128, 5, 1, 2), nn.MaxPool2d(2), nn.ReLU(), TorchDropout2d(),
            nn.Conv2d(128, 96, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), TorchDropout2d())  # yapf: disable
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(96 * (input_size // 16)**2, 1024), nn.ReLU(),
                                        nn.Dropout(0.5), nn.Linear(1024, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``B,1`` (the published network ends in their sigmoid) of RGB images in [0, 1], ``B,3,H,W``."""
        return self.classifier(self.features((2 * x - 1).flip(1)))
