"""SRResNet at x8: BasicSR's MSRResNet with a third sub-pixel stage."""
from basicsr.archs.arch_util import default_init_weights
from basicsr.archs.srresnet_arch import MSRResNet
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F


@ARCH_REGISTRY.register()
class SRResNet(MSRResNet):
    """SRResNet (Ledig et al., CVPR 2017) as BasicSR modifies it, without batch norm, for x8.

    The DIC and FSRNet papers compare with SRResNet at x8; BasicSR's class stops at x4. Parameters have the names of the
    x4 network, so that its weights initialise this one (``strict_load_g: false``). 1.7 M parameters in the published
    size.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: features.
        num_block: residual blocks.
        upscale: 8.
    """

    def __init__(self,
                 num_in_ch: int = 3,
                 num_out_ch: int = 3,
                 num_feat: int = 64,
                 num_block: int = 16,
                 upscale: int = 8) -> None:
        if upscale != 8:
            raise ValueError(f'upscale={upscale}; expected 8. BasicSR has MSRResNet for 2, 3 and 4.')
        super().__init__(num_in_ch, num_out_ch, num_feat, num_block, upscale=4)
        self.upscale = upscale
        self.upconv3 = nn.Conv2d(num_feat, 4 * num_feat, 3, 1, 1)
        default_init_weights(self.upconv3, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``B,3,8*h,8*w`` from RGB in [0, 1], ``B,3,h,w``."""
        out = self.body(self.lrelu(self.conv_first(x)))
        for conv in (self.upconv1, self.upconv2, self.upconv3):
            out = self.lrelu(self.pixel_shuffle(conv(out)))
        base = F.interpolate(x, scale_factor=float(self.upscale), mode='bilinear', align_corners=False)
        return base + self.conv_last(self.lrelu(self.conv_hr(out)))
