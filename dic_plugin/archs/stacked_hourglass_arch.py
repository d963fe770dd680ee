"""The landmark evaluator: stacked hourglasses with batch norm, which judge the landmarks of super-resolved faces.

Newell et al., Stacked Hourglass Networks, ECCV 2016; the DIC paper measures NRMSE with four of them (section 4.1).
Numerically equal to the published code (tests/archs/test_golden.py).
"""
from typing import Any, List, Union

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from dic_plugin.archs.feedback_hourglass_arch import DEPTH, RGB_MEAN, Hourglass, check_image_size
from dic_plugin.archs.weight_init import init_kaiming


def conv_norm(num_in_ch: int, num_out_ch: int, kernel_size: int, stride: int = 1, padding: int = 0) -> List[nn.Module]:
    """Return a convolution and a batch norm."""
    return [nn.Conv2d(num_in_ch, num_out_ch, kernel_size, stride, padding), nn.BatchNorm2d(num_out_ch)]


class NormResidual(nn.Module):
    """1x1, 3x3, 1x1, each with batch norm and the first two with ReLU, plus the (1x1-projected) input."""

    def __init__(self, num_in_ch: int, num_out_ch: int) -> None:
        super().__init__()
        half = num_out_ch // 2
        self.body = nn.Sequential(*conv_norm(num_in_ch, half, 1), nn.ReLU(), *conv_norm(half, half, 3, padding=1),
                                  nn.ReLU(), *conv_norm(half, num_out_ch, 1))
        self.skip = nn.Identity() if num_in_ch == num_out_ch else nn.Sequential(*conv_norm(num_in_ch, num_out_ch, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.body(x)


class Stack(nn.Module):
    """One hourglass and its heatmaps; all but the last hand both back to the features that the next one starts from."""

    def __init__(self, num_feat: int, num_keypoints: int, is_last: bool) -> None:
        super().__init__()
        self.hourglass = Hourglass(num_feat, DEPTH, NormResidual)
        self.residual = NormResidual(num_feat, num_feat)
        self.linear = nn.Sequential(*conv_norm(num_feat, num_feat, 1), nn.ReLU())
        self.predict = nn.Conv2d(num_feat, num_keypoints, 1)
        self.is_last = is_last
        if not is_last:
            self.feat_back = nn.Conv2d(num_feat, num_feat, 1)
            self.heatmap_back = nn.Conv2d(num_keypoints, num_feat, 1)


@ARCH_REGISTRY.register()
class StackedHourglass(nn.Module):
    """Landmark heatmaps of a face, refined by one hourglass after another.

    Like DIC it subtracts the published RGB mean itself. The published code can also mix in what an earlier pass
    predicted; its evaluation does not, and neither does this.

    Args:
        num_feat: channels of every hourglass, a multiple of 4.
        num_stacks: number of hourglasses.
        num_keypoints: number of landmarks K.
    """

    mean: Tensor

    def __init__(self, num_feat: int = 256, num_stacks: int = 4, num_keypoints: int = 68) -> None:
        super().__init__()
        if num_feat < 4 or num_feat % 4:
            raise ValueError(f'num_feat={num_feat}: expected a multiple of 4, as the stem begins with a quarter of it.')
        for name, value in dict(num_stacks=num_stacks, num_keypoints=num_keypoints).items():
            if value < 1:
                raise ValueError(f'{name}={value}: expected at least 1.')
        quarter, half = num_feat // 4, num_feat // 2
        self.register_buffer('mean', torch.tensor(RGB_MEAN), persistent=False)
        self.stem = nn.Sequential(*conv_norm(3, quarter, 7, 2, 3), nn.ReLU(), NormResidual(quarter, half),
                                  nn.MaxPool2d(2), NormResidual(half, half), NormResidual(half, num_feat))
        self.stacks: Any = nn.ModuleList(
            Stack(num_feat, num_keypoints, is_last=index == num_stacks - 1) for index in range(num_stacks))
        init_kaiming(self)
        for stack in self.stacks:  # targets are zero almost everywhere: to start there saves hundreds of iterations
            nn.init.zeros_(stack.get_parameter('predict.weight'))

    def forward(self, x: Tensor, return_stacks: bool = False) -> Union[Tensor, List[Tensor]]:
        """Find landmarks.

        Args:
            x: RGB in [0, 1], ``B,3,H,W``; H and W multiples of 64.
            return_stacks: True for the heatmaps of every stack.

        Returns:
            heatmaps of the last stack, ``B,K,H/4,W/4``, peaks about 1, or a list of every stack's.

        Raises:
            ValueError: H or W is not a multiple of 64.
        """
        check_image_size(x)
        feat = self.stem(x - self.mean.view(3, 1, 1))
        heatmaps: List[Tensor] = []
        for stack in self.stacks:
            shown = stack.linear(stack.residual(stack.hourglass(feat)))
            heatmaps.append(stack.predict(shown))
            if not stack.is_last:
                feat = feat + stack.feat_back(shown) + stack.heatmap_back(heatmaps[-1])
        return heatmaps if return_stacks else heatmaps[-1]
