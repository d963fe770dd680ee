"""SPARNet: spatial attention residual network for faces (Chen et al., TIP 2021)."""
from typing import Optional

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.archs.rivals.enlarge import enlarge


class ConvLayer(nn.Module):
    """Reflection padding, a 3x3 convolution, batch norm and leaky ReLU.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        scale: 'up' enlarges the input twice (nearest), 'down' halves the output's size.
        norm: False for a bias in place of batch norm.
        act: whether the leaky ReLU follows.
    """

    def __init__(self, num_in_ch: int, num_out_ch: int, scale: str = '', norm: bool = True, act: bool = True) -> None:
        super().__init__()
        self.scale, self.act = scale, act
        self.conv = nn.Conv2d(num_in_ch, num_out_ch, 3, 2 if scale == 'down' else 1, bias=not norm)
        self.norm = nn.BatchNorm2d(num_out_ch) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,num_out_ch,h',w'`` from ``B,num_in_ch,h,w``."""
        if self.scale == 'up':
            x = F.interpolate(x, scale_factor=2., mode='nearest')
        x = self.conv(F.pad(x, (1, 1, 1, 1), mode='reflect'))
        x = x if self.norm is None else self.norm(x)
        return F.leaky_relu(x, 0.2) if self.act else x


class AttentionLevel(nn.Module):
    """A level of the attention hourglass: a path of this size beside one of half the size.

    Args:
        num_in_ch: channels of the input.
        num_feat: channels F inside.
        depth: levels below and this one.
    """

    def __init__(self, num_in_ch: int, num_feat: int, depth: int) -> None:
        super().__init__()
        self.keep = ConvLayer(num_in_ch, num_feat)
        self.down = ConvLayer(num_in_ch, num_feat, 'down')
        self.inner = AttentionLevel(num_feat, num_feat, depth - 1) if depth > 1 else ConvLayer(num_feat, num_feat)
        self.up = ConvLayer(num_feat, num_feat, 'up')

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,F,h,w`` from ``B,num_in_ch,h,w``."""
        return self.keep(x) + self.up(self.inner(self.down(x)))


class FaceAttentionUnit(nn.Module):
    """A residual unit whose branch is weighted by an attention map from an hourglass.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        scale: 'up', 'down' or '', see ConvLayer.
        depth: of the hourglass.
        attention_3d: a map for every channel, not one for all.
        hg_num_feat: channels of the hourglass.
    """

    def __init__(self, num_in_ch: int, num_out_ch: int, scale: str, depth: int, attention_3d: bool,
                 hg_num_feat: int) -> None:
        super().__init__()
        self.shortcut: Optional[ConvLayer] = None
        if scale or num_in_ch != num_out_ch:
            self.shortcut = ConvLayer(num_in_ch, num_out_ch, scale, norm=False, act=False)
        self.norm = nn.BatchNorm2d(num_in_ch)
        self.conv1 = ConvLayer(num_in_ch, num_out_ch, scale if scale == 'up' else '')
        self.conv2 = ConvLayer(num_out_ch, num_out_ch, scale if scale == 'down' else '', act=False)
        self.hourglass = AttentionLevel(num_out_ch, hg_num_feat, depth)
        self.attention = ConvLayer(hg_num_feat, num_out_ch if attention_3d else 1, norm=False, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,num_out_ch,h',w'`` from ``B,num_in_ch,h,w``."""
        branch = self.conv2(self.conv1(F.leaky_relu(self.norm(x), 0.2)))
        weight = self.attention(self.hourglass(branch)).sigmoid()
        return (x if self.shortcut is None else self.shortcut(x)) + branch * weight


@ARCH_REGISTRY.register()
class SPARNet(nn.Module):
    """Encoder and decoder of face attention units on the enlarged image.

    The released SPARNet has 10.5 M parameters, SPARNet-Light-Attn3D (num_block 1, attention_3d) 5.2 M. Published on the
    50 Helen faces under the protocol ``sparnet``: 27.43 dB / 0.8201 and 27.39 / 0.8189, DIC 26.73 / 0.7955. The
    published code is for non-commercial use (CC BY-NC-SA); only facts were taken.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: channels at the full size; twice and four times as many below.
        num_block: units at the bottom.
        attention_3d: see FaceAttentionUnit.
        upscale: 8; the bottom has the size of the input.
        hg_num_feat: channels of the hourglasses; 64 as published.
    """

    def __init__(self,
                 num_in_ch: int = 3,
                 num_out_ch: int = 3,
                 num_feat: int = 32,
                 num_block: int = 10,
                 attention_3d: bool = False,
                 upscale: int = 8,
                 hg_num_feat: int = 64) -> None:
        super().__init__()
        if upscale != 8:
            raise ValueError(f'upscale={upscale}; expected 8: the encoder halves the image three times.')
        self.upscale = upscale
        small, middle, large = num_feat, 2 * num_feat, 4 * num_feat

        def unit(num_in_ch: int, num_out_ch: int, scale: str, depth: int) -> FaceAttentionUnit:
            return FaceAttentionUnit(num_in_ch, num_out_ch, scale, depth, attention_3d, hg_num_feat)

        self.encoder = nn.Sequential(
            ConvLayer(num_in_ch, small, norm=False, act=False), unit(small, middle, 'down', 4),
            unit(middle, large, 'down', 3), unit(large, large, 'down', 2))
        self.body = nn.Sequential(*(unit(large, large, '', 2) for _ in range(num_block)))
        self.decoder = nn.Sequential(
            unit(large, large, 'up', 3), unit(large, middle, 'up', 4), unit(middle, small, 'up', 5))
        self.conv_last = ConvLayer(small, num_out_ch, norm=False, act=False)
        for module in self.modules():  # as published
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,3,8*h,8*w``, about [0, 1], from RGB in [0, 1], ``B,3,h,w``; h and w are multiples of 4 from 16."""
        return (self.restore(2 * enlarge(x, self.upscale) - 1) + 1) / 2

    def restore(self, enlarged: Tensor) -> Tensor:
        """Return the image, about [-1, 1], of the input enlarged, in [-1, 1]; both ``B,3,H,W``."""
        return self.conv_last(self.decoder(self.body(self.encoder(enlarged))))
