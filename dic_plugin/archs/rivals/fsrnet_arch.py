"""FSRNet: face super-resolution with facial priors (Chen et al., CVPR 2018)."""
from typing import NamedTuple, Optional, Union

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.archs.rivals.enlarge import enlarge


class FSRNetOutput(NamedTuple):
    """What the published training compares with the truth.

    Attributes:
        coarse: ``B,3,H,W``, RGB, [0, 1].
        prior: ``B,K+P,H/2,W/2``: landmark heatmaps, then parsing maps; not limited.
        final: ``B,3,H,W``, RGB, [0, 1].
    """
    coarse: Tensor
    prior: Tensor
    final: Tensor


class ResidualBlock(nn.Sequential):
    """Two 3x3 convolutions with reflection padding and batch norm, and the input; no activation after the sum.

    Args:
        num_feat: channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__(
            nn.ReflectionPad2d(1), nn.Conv2d(num_feat, num_feat, 3, bias=False), nn.BatchNorm2d(num_feat), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(num_feat, num_feat, 3, bias=False),
            nn.BatchNorm2d(num_feat))  # yapf: disable

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape."""
        return x + super().forward(x)


class BottleneckBlock(nn.Module):
    """The stacked hourglass's residual block, with batch norm before every convolution.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
    """

    def __init__(self, num_in_ch: int, num_out_ch: int) -> None:
        super().__init__()
        half = num_out_ch // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(num_in_ch), nn.ReLU(), nn.Conv2d(num_in_ch, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
            nn.Conv2d(half, half, 3, 1, 1), nn.BatchNorm2d(half), nn.ReLU(),
            nn.Conv2d(half, num_out_ch, 1))  # yapf: disable
        self.skip: Optional[nn.Conv2d] = nn.Conv2d(num_in_ch, num_out_ch, 1) if num_in_ch != num_out_ch else None

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,num_out_ch,h,w`` from ``B,num_in_ch,h,w``."""
        return (x if self.skip is None else self.skip(x)) + self.body(x)


class Hourglass(nn.Module):
    """An hourglass of bottleneck blocks; it enlarges by repeating pixels.

    Args:
        num_feat: channels.
        depth: how often the size is halved.
    """

    def __init__(self, num_feat: int, depth: int) -> None:
        super().__init__()
        self.upper = BottleneckBlock(num_feat, num_feat)
        self.before = BottleneckBlock(num_feat, num_feat)
        self.inner = Hourglass(num_feat, depth - 1) if depth > 1 else BottleneckBlock(num_feat, num_feat)
        self.after = BottleneckBlock(num_feat, num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the input's shape; height and width are multiples of 2 to the depth."""
        lower = self.after(self.inner(self.before(F.max_pool2d(x, 2))))
        return self.upper(x) + F.interpolate(lower, scale_factor=2., mode='nearest')


def _image(num_feat: int, num_out_ch: int) -> nn.Sequential:
    return nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(num_feat, num_out_ch, 3, bias=False), nn.Tanh())


@ARCH_REGISTRY.register()
class FSRNet(nn.Module):
    """A coarse image, then features of it beside those of a network that finds facial priors, then the final image.

    3.27 M parameters with 68 landmarks and 11 parsing maps. Published for CelebA: 26.31 dB / 0.7522, the author's
    protocol (see docs). The author's repository has no layers; two re-implementations (no licence) agree on these.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: channels; the prior network has twice as many.
        num_block: residual blocks of the encoder, 12; the coarse network and the decoder have a quarter.
        num_keypoints: landmark heatmaps, K; 0 for none.
        num_parsing: parsing maps, P; 0 for none.
        upscale: factor of the enlargement that it begins with.
    """

    def __init__(self,
                 num_in_ch: int = 3,
                 num_out_ch: int = 3,
                 num_feat: int = 64,
                 num_block: int = 12,
                 num_keypoints: int = 68,
                 num_parsing: int = 0,
                 upscale: int = 8) -> None:
        super().__init__()
        if num_keypoints + num_parsing < 1:
            raise ValueError('num_keypoints and num_parsing are 0; expected a prior: landmarks, parsing maps or both.')
        self.upscale = upscale
        few, wide = max(num_block // 4, 1), 2 * num_feat

        def blocks(number: int, channels: int = num_feat) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(channels) for _ in range(number)))

        self.coarse = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(num_in_ch, num_feat, 3, bias=False), nn.BatchNorm2d(num_feat), nn.ReLU(),
            blocks(few), _image(num_feat, num_out_ch))  # yapf: disable
        self.encoder = nn.Sequential(
            nn.Conv2d(num_out_ch, num_feat, 3, 2, 1, bias=False), nn.BatchNorm2d(num_feat), nn.ReLU(),
            blocks(num_block), _image(num_feat, num_feat))  # yapf: disable
        self.prior = nn.Sequential(
            nn.Conv2d(num_out_ch, num_feat, 7, 2, 3, bias=False), nn.BatchNorm2d(num_feat), nn.ReLU(),
            BottleneckBlock(num_feat, wide), blocks(2, wide), Hourglass(wide, 3), Hourglass(wide, 3))  # yapf: disable
        self.decoder = nn.Sequential(
            nn.Conv2d(num_feat + wide, num_feat, 3, 1, 1, bias=False), nn.BatchNorm2d(num_feat), nn.ReLU(),
            nn.ConvTranspose2d(num_feat, num_feat, 3, 2, 1, output_padding=1, bias=False), nn.BatchNorm2d(num_feat),
            nn.ReLU(), blocks(few), _image(num_feat, num_out_ch))  # yapf: disable
        self.heads = nn.ModuleList(nn.Conv2d(wide, number, 1) for number in (num_keypoints, num_parsing) if number)

    def forward(self, x: Tensor, return_steps: bool = False) -> Union[Tensor, FSRNetOutput]:
        """Restore faces.

        Args:
            x: RGB in [0, 1], ``B,3,h,w``, with upscale*h and upscale*w multiples of 16.
            return_steps: True for the coarse image and the priors beside the final image.

        Returns:
            The final image, ``B,3,upscale*h,upscale*w``, or FSRNetOutput.
        """
        output = self.restore(2 * enlarge(x, self.upscale) - 1)
        output = output._replace(coarse=(output.coarse + 1) / 2, final=(output.final + 1) / 2)
        return output if return_steps else output.final

    def restore(self, enlarged: Tensor) -> FSRNetOutput:
        """Return images in [-1, 1] of the input enlarged, in [-1, 1], ``B,3,H,W``."""
        coarse = self.coarse(enlarged)
        prior = self.prior(coarse)
        final = self.decoder(torch.cat([self.encoder(coarse), prior], 1))
        return FSRNetOutput(coarse, torch.cat([head(prior) for head in self.heads], 1), final)


@ARCH_REGISTRY.register()
class FSRGANDiscriminator(nn.Module):
    """Judges patches of FSRGAN's faces: eight 3x3 convolutions, every second of which halves, and one to a map.

    4.69 M parameters (a re-implementation's; the paper gives none).

    Args:
        num_in_ch: channels of the input.
        num_feat: channels of the first convolution.
    """

    def __init__(self, num_in_ch: int = 3, num_feat: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        before = num_in_ch
        for index, factor in enumerate((1, 1, 2, 2, 4, 4, 8, 8)):
            self.layers.append(nn.Conv2d(before, factor * num_feat, 3, 1 + index % 2, 1))
            if index:
                self.layers.append(nn.BatchNorm2d(factor * num_feat))
            self.layers.append(nn.LeakyReLU(0.2))
            before = factor * num_feat
        self.layers.append(nn.Conv2d(before, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,1,H/16,W/16``, before the sigmoid, from RGB in [0, 1], ``B,3,H,W``."""
        return self.layers(x)
