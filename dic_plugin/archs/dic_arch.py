"""DIC: deep iterative collaboration of a recovery and an alignment branch.

Ma, Jiang, Rao, Lu, Zhou: Deep Face Super-Resolution With Iterative Collaboration Between Attentive Recovery and
Landmark Estimation, CVPR 2020. Numerically equal to the published code (tests/archs/test_golden.py).
"""
from typing import Any, List, NamedTuple, Optional, Union

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from dic_plugin.archs.attentive_fusion_arch import AttentiveFusion
from dic_plugin.archs.feedback_hourglass_arch import RGB_MEAN, SIZE_MULTIPLE, FeedbackHourglass
from dic_plugin.archs.hub_mixin import HubMixin
from dic_plugin.archs.projection_block import ProjectionBlock, conv_prelu, deconv_prelu
from dic_plugin.archs.weight_init import init_kaiming
from dic_plugin.landmarks.heatmaps import HEATMAP_STRIDE
from dic_plugin.landmarks.layouts import Grouping
from dic_plugin.ops import conv_act
from dic_plugin.ops.conv_act import with_present_choice


class DICOutput(NamedTuple):
    """Results of every step.

    Attributes:
        sr: T images ``B,3,upscale*h,upscale*w``, RGB, about [0, 1], not clipped.
        heatmap: T landmark heatmaps ``B,K,upscale*h/4,upscale*w/4``, peaks about 1.
    """
    sr: List[Tensor]
    heatmap: List[Tensor]


@ARCH_REGISTRY.register()
class DIC(nn.Module, HubMixin):
    """Face super-resolution in T steps, each guided by the landmarks found on the step before.

    Features and heatmaps meet at a quarter of the SR image's height and width: that is the size of the hourglass's
    heatmaps, and the input convolution shuffles its channels up to it (by 2 for x8, by 1 for x4). x2 would need
    features smaller than the input, so upscale is a multiple of 4.

    ``DIC.from_pretrained(folder_or_repository)``, ``save_pretrained(folder)`` and ``push_to_hub(repository)`` are those
    of the Hugging Face Hub (extra ``hub``).

    Args:
        num_in_ch: channels of the input, 3: the network subtracts the published RGB mean.
        num_out_ch: channels of the output, 3: it is shown to the hourglass.
        num_feat: features F of the recovery branch.
        num_groups: projection groups G.
        num_steps: steps T. With T = 1 there is no feedback and the network has no later block.
        upscale: 8 (published), 4, or another multiple of 4.
        hg_num_feat: features C of the hourglass, a multiple of 8.
        num_keypoints: landmarks K: 68 (iBUG), 194 (Helen) or 5; others with component_groups.
        num_fusion_block: residual blocks N of the attentive fusion. None: no fusion, for ablations; landmarks are found
            at every step, but do not guide the next.
        detach_attention: True stops the gradient from the recovery branch into the heatmaps.
        projection_scale: stride of the projection groups. Default: the upscale, as published. Lower is cheaper: the
            cost of the groups' large maps goes with its square.
        component_groups: another grouping of landmarks into components for the fusion, see
            ``dic_plugin.landmarks.layouts.component_groups``.
        hg_from_scratch: True where the hourglass starts without trained weights, see FeedbackHourglass's from_scratch.
        use_checkpoint: True computes every step's recovery block and hourglass again in the backward pass instead of
            keeping their maps: training then needs less memory and more time, at the paper's settings 0.28 instead of
            0.79 GB for every further face (float32, on a CPU whose allocator hands freed memory back, see
            docs/performance.md). Results are the same.
    """
    mean: Tensor

    def __init__(self,
                 num_in_ch: int = 3,
                 num_out_ch: int = 3,
                 num_feat: int = 48,
                 num_groups: int = 6,
                 num_steps: int = 4,
                 upscale: int = 8,
                 hg_num_feat: int = 256,
                 num_keypoints: int = 68,
                 num_fusion_block: Optional[int] = 7,
                 detach_attention: bool = False,
                 projection_scale: Optional[int] = None,
                 component_groups: Optional[Grouping] = None,
                 hg_from_scratch: bool = False,
                 use_checkpoint: bool = False) -> None:
        super().__init__()
        for name, value in dict(num_in_ch=num_in_ch, num_out_ch=num_out_ch).items():
            if value != 3:
                raise ValueError(f'{name}={value}: expected 3, the network works on RGB with a published mean.')
        for name, value in dict(num_feat=num_feat, num_groups=num_groups, num_steps=num_steps).items():
            if value < 1:
                raise ValueError(f'{name}={value}: expected at least 1.')
        if upscale < HEATMAP_STRIDE or upscale % HEATMAP_STRIDE:
            raise ValueError(
                f'upscale={upscale}: expected 8, 4 or another multiple of {HEATMAP_STRIDE}, so that features '
                'and heatmaps meet at the same size.')
        projection_scale = upscale if projection_scale is None else projection_scale
        if projection_scale < 1:
            raise ValueError(f'projection_scale={projection_scale}: expected at least 1.')
        self.num_steps = num_steps
        self.upscale = upscale
        self.use_checkpoint = use_checkpoint
        shuffle = upscale // HEATMAP_STRIDE

        self.register_buffer('mean', torch.tensor(RGB_MEAN), persistent=False)
        self.conv_in = conv_prelu(num_in_ch, num_feat * shuffle**2, 3, padding=1)
        self.pixel_shuffle = nn.PixelShuffle(shuffle)
        self.first_block = ProjectionBlock(num_feat, num_feat, num_groups, projection_scale)
        if num_steps > 1:  # not with one step: DDP does not accept parameters that get no gradient
            fusion = None
            if num_fusion_block is not None:
                fusion = AttentiveFusion(num_feat, num_keypoints, num_fusion_block, detach_attention, component_groups)
            self.block = ProjectionBlock(2 * num_feat, num_feat, num_groups, projection_scale, fusion)
        self.out = deconv_prelu(num_feat, num_feat, 8, HEATMAP_STRIDE, 2)
        self.conv_out = nn.Conv2d(num_feat, num_out_ch, 3, 1, 1)
        init_kaiming(self)
        self.hourglass = FeedbackHourglass(num_out_ch, hg_num_feat, num_keypoints,
                                           hg_from_scratch)  # initialises itself

    def _run(self, module: nn.Module, *inputs: Optional[Tensor]) -> Any:
        if self.use_checkpoint and torch.is_grad_enabled():
            # the backward pass may run where another choice holds; a compiled network has none
            function = module if is_compiling() else with_present_choice(module)
            return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)  # nothing is random
        return module(*inputs)

    def forward(self, x: Tensor, return_steps: bool = False) -> Union[Tensor, DICOutput]:
        """Restore faces.

        Args:
            x: RGB in [0, 1], ``B,3,h,w``; h and w multiples of 64 / upscale (8 for x8), 16 in the paper.
            return_steps: True for every step's image and heatmaps. Without it hourglass passes that guide nothing, such
                as the last, are not run.

        Returns:
            the last step's SR image, ``B,3,upscale*h,upscale*w``, or DICOutput.

        Raises:
            ValueError: the input's shape is not the one above.
        """
        multiple = max(SIZE_MULTIPLE // self.upscale, 1)
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] % multiple or x.shape[3] % multiple:
            raise ValueError(
                f'lq has the shape {tuple(x.shape)}; expected B,3,h,w with h and w multiples of {multiple} '
                f'(upscale={self.upscale}), so that the hourglass can halve the SR image six times.')
        mean = self.mean.view(3, 1, 1)
        x = x - mean
        base = F.interpolate(x, scale_factor=float(self.upscale), mode='bilinear', align_corners=False)
        feat = self.pixel_shuffle(self.conv_in(x))

        images: List[Tensor] = []
        heatmaps: List[Tensor] = []
        hidden = feat  # replaced at the first step
        memory = self.first_block.groups.memory(feat)
        guided = self.num_steps > 1 and self.block.fusion is not None
        attention: Optional[Tensor] = None
        for step in range(self.num_steps):
            if step == 0:
                hidden = self._run(self.first_block, feat, None, None, memory)
            else:
                hidden = self._run(self.block, feat, hidden, heatmaps[-1] if guided else None, memory)
            sr = conv_act([self.out(hidden)], self.conv_out, residual=base)
            images.append(sr + mean)
            if return_steps or (guided and step < self.num_steps - 1):
                heatmap, attention = self._run(self.hourglass, sr, attention)
                heatmaps.append(heatmap)
        return DICOutput(images, heatmaps) if return_steps else images[-1]
