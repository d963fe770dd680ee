"""Names of the tensors of this project's networks in published checkpoints.

Two sources are known: the paper's code (Maclory/Deep-Iterative-Collaboration) and OpenMMLab's re-implementation
(open-mmlab/mmagic, mmagic/models/editors/dic). Renaming goes one way, from this project's name to the source's.

>>> published_name('first_block.groups.uptran.0.0.weight')
'first_block.uptranBlocks.0.0.weight'
>>> published_stacked_hourglass_name('stacks.2.hourglass.inner.after.body.4.running_mean')
'hg2.res3_3.conv_block.4.running_mean'
"""
import re
from functools import partial
from typing import Callable, Sequence, Tuple

from dic_plugin.archs.feedback_hourglass_arch import DEPTH

Name = Callable[[str], str]
Rules = Sequence[Tuple[str, str]]  # (ours, theirs), applied in this order

_RESIDUAL = (
    (r'\.body\.', '.conv_block.'),
    (r'\.skip\.', '.skip_layer.'),
    (r'^stem\.', 'pre_conv_block.'),
)
_PUBLISHED_LEVELS = (
    (r'\bhourglass\.' + r'inner\.' * DEPTH, 'hourglass.res_center.'),
    # their levels count from the inside: 4 is the whole, 1 the innermost
    *((r'\bhourglass\.' + r'inner\.' * depth + role, f'hourglass.res{DEPTH - depth}_{number}.')
      for depth in range(DEPTH) for number, role in enumerate((r'around\.', r'before\.', r'after\.'), 1)),
)
_PUBLISHED = (
    (r'\.groups\.(up|down|uptran|downtran)\.', r'.\1Blocks.'),
    (r'\.fusion\.expand\.', '.fusion_block.conv_in.'),
    (r'\.fusion\.body\.(\d+)\.body\.', r'.fusion_block.resnet.\1.res.'),
    (r'^conv_out\.', 'conv_out.0.'),
)
_PUBLISHED_HOURGLASS = (
    *_RESIDUAL,
    (r'^head\.0\.', 'hg_conv_out.0.'),
    (r'^head\.1\.', 'hg_conv_out.1.conv_block.0.'),
    (r'^head\.3\.', 'hg_conv_out.2.'),
    *_PUBLISHED_LEVELS,
    (r'^hourglass\.', 'hg.'),
)
_PUBLISHED_STACKED_HOURGLASS = (
    *_RESIDUAL,
    *_PUBLISHED_LEVELS,
    (r'^stacks\.(\d+)\.hourglass\.', r'hg\1.'),
    (r'^stacks\.(\d+)\.', r'hg\1_'),
    (r'_residual\.', '_res1.'),
    (r'_linear\.', '_lin1.conv_block.'),
    (r'_predict\.', '_conv_pred.'),
    (r'_feat_back\.', '_conv1.'),
    (r'_heatmap_back\.', '_conv2.'),
)
_OPENMMLAB = (
    (r'(conv|compress)_in\.', 'conv_first.'),
    (r'compress_out\.', 'conv_last.'),
    (r'\.groups\.(up|down)\.', r'.\1_blocks.'),
    # named after the maps that they compress: low resolution ahead of going up, high resolution ahead of going down
    (r'\.groups\.uptran\.', '.lr_blocks.'),
    (r'\.groups\.downtran\.', '.hr_blocks.'),
    (r'\.fusion\.expand\.', '.fusion_block.conv_first.'),
    (r'\.fusion\.body\.(\d+)\.body\.', r'.fusion_block.body.\1.res.'),
    (r'^conv_out\.', 'conv_last.2.'),
    (r'^out\.', 'conv_last.'),
)
_OPENMMLAB_HOURGLASS = (
    *_RESIDUAL,
    (r'^compress_in\.', 'first_conv.'),
    (r'^head\.', 'last.'),
    (r'^hourglass\.', 'hg.'),
    (r'\.around\.', '.up1.'),
    (r'\.before\.', '.low1.'),
    (r'\binner\.', 'low2.'),
    (r'\.after\.', '.low3.'),
)
# the paper's LightCNN nests two layers in a group, OpenMMLab's has them in a row with the poolings
_OPENMMLAB_LIGHT_CNN = tuple((rf'^features\.{group}\.{layer}\.', f'features.{first + index}.')
                             for group, first in ((2, 2), (4, 5), (6, 8), (7, 10))
                             for index, layer in enumerate(('conv_a', 'conv')))


def _rename(rules: Rules, key: str) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def _rename_dic(rules: Rules, hourglass: str, hourglass_rules: Rules, key: str) -> str:
    part = key.removeprefix('hourglass.')
    return _rename(rules, key) if part == key else hourglass + _rename(hourglass_rules, part)


# from the name of a tensor in this project's network to its name in the source
published_name: Name = partial(_rename_dic, _PUBLISHED, 'HG.', _PUBLISHED_HOURGLASS)
published_hourglass_name: Name = partial(_rename, _PUBLISHED_HOURGLASS)
published_stacked_hourglass_name: Name = partial(_rename, _PUBLISHED_STACKED_HOURGLASS)
openmmlab_name: Name = partial(_rename_dic, _OPENMMLAB, 'hour_glass.', _OPENMMLAB_HOURGLASS)
openmmlab_light_cnn_name: Name = partial(_rename, _OPENMMLAB_LIGHT_CNN)
