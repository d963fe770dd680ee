"""Names of the tensors of this project's networks in published checkpoints.

Two sources are known: the paper's code (Maclory/Deep-Iterative-Collaboration) and OpenMMLab's re-implementation
(open-mmlab/mmagic, mmagic/models/editors/dic). Renaming goes one way, from this project's name to the source's.
"""
import re
from functools import partial
from typing import Callable, Sequence, Tuple

from dic_plugin.archs.feedback_hourglass_arch import DEPTH

Name = Callable[[str], str]
Rules = Sequence[Tuple[str, str]]  # (ours, theirs), applied in this order

_PUBLISHED = (
    (r'\.groups\.(up|down|uptran|downtran)\.', r'.\1Blocks.'),
    (r'\.fusion\.expand\.', '.fusion_block.conv_in.'),
    (r'\.fusion\.body\.(\d+)\.body\.', r'.fusion_block.resnet.\1.res.'),
    (r'^conv_out\.', 'conv_out.0.'),
)
_PUBLISHED_HOURGLASS = (
    (r'\.body\.', '.conv_block.'),
    (r'\.skip\.', '.skip_layer.'),
    (r'^stem\.', 'pre_conv_block.'),
    (r'^head\.0\.', 'hg_conv_out.0.'),
    (r'^head\.1\.', 'hg_conv_out.1.conv_block.0.'),
    (r'^head\.3\.', 'hg_conv_out.2.'),
    (r'^hourglass\.' + r'inner\.' * DEPTH, 'hg.res_center.'),
    # their levels count from the inside: 4 is the whole, 1 the innermost
    *((r'^hourglass\.' + r'inner\.' * depth + role, f'hg.res{DEPTH - depth}_{number}.') for depth in range(DEPTH)
      for number, role in enumerate((r'around\.', r'before\.', r'after\.'), 1)),
)
_PUBLISHED_STACKED_HOURGLASS = (
    (r'^stacks\.(\d+)\.hourglass\.', r'hg\1.hourglass.'),
    (r'^stacks\.(\d+)\.', r'hg\1_'),
    (r'\.body\.', '.conv_block.'),
    (r'\.skip\.', '.skip_layer.'),
    (r'^stem\.', 'pre_conv_block.'),
    (r'_residual\.', '_res1.'),
    (r'_linear\.', '_lin1.conv_block.'),
    (r'_predict\.', '_conv_pred.'),
    (r'_feat_back\.', '_conv1.'),
    (r'_heatmap_back\.', '_conv2.'),
    (r'hourglass\.' + r'inner\.' * DEPTH, 'res_center.'),
    *((r'hourglass\.' + r'inner\.' * depth + role, f'res{DEPTH - depth}_{number}.') for depth in range(DEPTH)
      for number, role in enumerate((r'around\.', r'before\.', r'after\.'), 1)),
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
    (r'\.body\.', '.conv_block.'),
    (r'\.skip\.', '.skip_layer.'),
    (r'^stem\.', 'pre_conv_block.'),
    (r'^compress_in\.', 'first_conv.'),
    (r'^head\.', 'last.'),
    (r'^hourglass\.', 'hg.'),
    (r'\.around\.', '.up1.'),
    (r'\.before\.', '.low1.'),
    (r'\binner\.', 'low2.'),
    (r'\.after\.', '.low3.'),
)
# the paper's LightCNN nests two layers in a group, OpenMMLab's has them in a row with the poolings
_OPENMMLAB_LIGHT_CNN = tuple(
    (rf'^features\.{group}\.{layer}\.', f'features.{number}.')
    for group, layer, number in ((2, 'conv_a', 2), (2, 'conv', 3), (4, 'conv_a', 5), (4, 'conv', 6), (6, 'conv_a', 8),
                                 (6, 'conv', 9), (7, 'conv_a', 10), (7, 'conv', 11)))


def _rename(rules: Rules, key: str) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def _rename_dic(rules: Rules, hourglass: str, hourglass_name: Name, key: str) -> str:
    if key.startswith('hourglass.'):
        return hourglass + hourglass_name(key[len('hourglass.'):])
    return _rename(rules, key)


def published_name(key: str) -> str:
    """Return the name in the paper's code of a tensor of this project's DIC.

    >>> published_name('first_block.groups.uptran.0.0.weight')
    'first_block.uptranBlocks.0.0.weight'
    """
    return _rename_dic(_PUBLISHED, 'HG.', published_hourglass_name, key)


def published_hourglass_name(key: str) -> str:
    """Return the name in the paper's code of a tensor of this project's FeedbackHourglass.

    >>> published_hourglass_name('hourglass.inner.inner.inner.around.body.0.bias')
    'hg.res1_1.conv_block.0.bias'
    """
    return _rename(_PUBLISHED_HOURGLASS, key)


def published_stacked_hourglass_name(key: str) -> str:
    """Return the name in the paper's code of a tensor of this project's StackedHourglass.

    >>> published_stacked_hourglass_name('stacks.2.hourglass.inner.after.body.4.running_mean')
    'hg2.res3_3.conv_block.4.running_mean'
    """
    return _rename(_PUBLISHED_STACKED_HOURGLASS, key)


def openmmlab_name(key: str) -> str:
    """Return OpenMMLab's name of a tensor of this project's DIC.

    >>> openmmlab_name('first_block.groups.uptran.0.0.weight')
    'first_block.lr_blocks.0.0.weight'
    """
    return _rename_dic(_OPENMMLAB, 'hour_glass.', partial(_rename, _OPENMMLAB_HOURGLASS), key)


def openmmlab_light_cnn_name(key: str) -> str:
    """Return OpenMMLab's name of a tensor of the paper's LightCNN.

    >>> openmmlab_light_cnn_name('features.4.conv_a.filter.weight')
    'features.5.filter.weight'
    """
    return _rename(_OPENMMLAB_LIGHT_CNN, key)
