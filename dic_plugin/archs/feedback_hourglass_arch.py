"""The alignment branch: a recurrent hourglass that finds landmarks on every step's better image (paper section 3.2).

Hourglass: Newell et al., ECCV 2016. The feedback: half of its output is handed to the next step's pass.
"""
from typing import Callable, Optional, Tuple

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.archs.weight_init import init_kaiming
from dic_plugin.landmarks.heatmaps import HEATMAP_STRIDE
from dic_plugin.ops import ConvSequential, conv_act

DEPTH = 4  # halvings inside the hourglass
SIZE_MULTIPLE = HEATMAP_STRIDE * 2**DEPTH  # what an image's height and width must be multiples of
RGB_MEAN = (0.509, 0.424, 0.378)  # subtracted from what DIC and the hourglasses see, as published


def check_image_size(x: Tensor) -> None:
    """Refuse an image that an hourglass cannot halve often enough.

    Raises:
        ValueError: height or width of ``B,3,H,W`` is not a multiple of 64.
    """
    if x.shape[2] % SIZE_MULTIPLE or x.shape[3] % SIZE_MULTIPLE:
        raise ValueError(f'The image for the hourglass is {x.shape[2]}x{x.shape[3]}; expected height and width to be '
                         f'multiples of {SIZE_MULTIPLE}, as it is reduced {HEATMAP_STRIDE} times and then halved '
                         f'{DEPTH} times.')


class HourglassResidual(nn.Module):
    """1x1, ReLU, 3x3, 1x1, without norm and without an activation after the 3x3, plus the (1x1-projected) input."""

    def __init__(self, num_in_ch: int, num_out_ch: int) -> None:
        super().__init__()
        self.body = ConvSequential(
            nn.Conv2d(num_in_ch, num_out_ch // 2, 1), nn.ReLU(), nn.Conv2d(num_out_ch // 2, num_out_ch // 2, 3, 1, 1),
            nn.Conv2d(num_out_ch // 2, num_out_ch, 1))
        self.skip = nn.Identity() if num_in_ch == num_out_ch else nn.Conv2d(num_in_ch, num_out_ch, 1)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if isinstance(self.skip, nn.Identity) else conv_act([x], self.skip)
        return self.body(x, residual=residual)


class Hourglass(nn.Module):
    """Pool, recurse, upsample, and add what went around: one level per depth, a residual at the centre.

    Args:
        num_feat: channels of every map.
        depth: halvings.
        residual: what the blocks are made by, from the numbers of channels in and out.
    """

    def __init__(self,
                 num_feat: int,
                 depth: int,
                 residual: Callable[[int, int], nn.Module] = HourglassResidual) -> None:
        super().__init__()
        self.around = residual(num_feat, num_feat)
        self.before = residual(num_feat, num_feat)
        self.inner = Hourglass(num_feat, depth - 1, residual) if depth > 1 else residual(num_feat, num_feat)
        self.after = residual(num_feat, num_feat)

    def forward(self, x: Tensor) -> Tensor:
        low = self.after(self.inner(self.before(F.max_pool2d(x, 2))))
        return self.around(x) + F.interpolate(low, scale_factor=2.0, mode='bilinear', align_corners=True)


@ARCH_REGISTRY.register()
class FeedbackHourglass(nn.Module):
    """Landmark heatmaps of a face, given what the previous step's pass handed on.

    Args:
        num_in_ch: image channels.
        hg_num_feat: features C; the hourglass itself works on 2C channels.
        num_keypoints: number of landmarks K.
        from_scratch: how the weights start. False: Kaiming normal, as published, where trained weights are then
            loaded; without norm layers such an hourglass begins with heatmaps of 1e3 to 1e9, growing with every pass.
            True: every residual begins as its shortcut, the heatmaps at zero, and passes keep their scale, so that it
            can be trained.
    """

    def __init__(self,
                 num_in_ch: int = 3,
                 hg_num_feat: int = 256,
                 num_keypoints: int = 68,
                 from_scratch: bool = False) -> None:
        super().__init__()
        if hg_num_feat < 8 or hg_num_feat % 8:
            raise ValueError(f'hg_num_feat={hg_num_feat} must be a multiple of 8: its quarter is halved in residuals.')
        self.hg_num_feat = hg_num_feat
        quarter, half = hg_num_feat // 4, hg_num_feat // 2
        self.stem = ConvSequential(
            nn.Conv2d(num_in_ch, quarter, 7, 2, 3), nn.ReLU(), HourglassResidual(quarter, half), nn.MaxPool2d(2),
            HourglassResidual(half, half), HourglassResidual(half, hg_num_feat))
        self.compress_in = nn.Conv2d(2 * hg_num_feat, 2 * hg_num_feat, 1)
        self.hourglass = Hourglass(2 * hg_num_feat, DEPTH)
        self.head = ConvSequential(
            HourglassResidual(hg_num_feat, hg_num_feat), nn.Conv2d(hg_num_feat, hg_num_feat, 1), nn.ReLU(),
            nn.Conv2d(hg_num_feat, num_keypoints, 1))
        init_kaiming(self)
        if from_scratch:
            residuals = [module.body for module in self.modules() if isinstance(module, HourglassResidual)]
            for layers in (*residuals, self.head):
                nn.init.zeros_(layers[-1].get_parameter('weight'))
            # such an hourglass adds up one copy of its input per level
            self.compress_in.weight.data /= DEPTH + 1

    def forward(self, x: Tensor, hidden: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Return heatmaps and the hidden state for the next pass.

        Args:
            x: mean-subtracted RGB, ``B,3,H,W``; H and W multiples of 64.
            hidden: the previous pass's hidden state, or None at the first pass.

        Returns:
            heatmaps ``B,K,H/4,W/4`` and hidden state ``B,C,H/4,W/4``.

        Raises:
            ValueError: H or W is not a multiple of 64.
        """
        check_image_size(x)
        feat = self.stem(x)
        feat = conv_act([feat, feat if hidden is None else hidden], self.compress_in)
        shown, handed_on = self.hourglass(feat).split(self.hg_num_feat, 1)
        return self.head(shown), handed_on
