"""Published checkpoints of DIC, DICGAN and their companions, recognised and brought into this project's names.

The network's options are read off the file's shapes, the network is built without memory, and each of its tensors is
looked up under the name that the file must give it (``published_names``). So every tensor is accounted for, whatever
the configuration, and errors speak in the file's own names.
"""
import re
from collections import Counter
from functools import partial
from math import isqrt
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from dic_plugin.archs import DIC, FeedbackHourglass, LightCNNDiscriminator, LightCNNFeature, StackedHourglass
from dic_plugin.checkpoints.files import CheckpointError, check_shapes, is_state_dict, strip_module
from dic_plugin.checkpoints.published_names import (
    Name,
    openmmlab_light_cnn_name,
    openmmlab_name,
    published_hourglass_name,
    published_name,
    published_stacked_hourglass_name,
)
from dic_plugin.landmarks.heatmaps import HEATMAP_STRIDE
from dic_plugin.landmarks.layouts import component_groups

Params = Mapping[str, Tensor]
Shapes = Dict[str, Tuple[int, ...]]


class Converted(NamedTuple):
    """A published checkpoint in this project's terms.

    Attributes:
        kind: 'DIC', 'FeedbackHourglass', 'LightCNN_discriminator', 'LightCNN_feature' or 'StackedHourglass'.
        params: the state dict. DIC and the hourglasses have the names of this project's architectures; LightCNN keeps
            those of the paper's code.
        options: arguments of the architecture that the weights need; empty for the networks that have no options.
        notes: options that the weights need but do not tell, in words.
        discriminator: the state dict of a DICGAN's discriminator if it was asked for and is there.
    """
    kind: str
    params: Dict[str, Tensor]
    options: Dict[str, Any]
    notes: List[str]
    discriminator: Optional[Dict[str, Tensor]] = None


# ---------------------------------------------------------------- options and tensors, from the names and shapes found
def _size(params: Params, name: Name, default: int, *keys: str, axis: int = 0) -> int:
    """Return a size of the configuration: the most frequent one of a few tensors that have it, so that one damaged or
    missing tensor is reported as such and not taken for another configuration."""
    tensors = [params[name(key)] for key in keys if name(key) in params]
    sizes = Counter(tensor.shape[axis] for tensor in tensors if tensor.dim() > axis)
    return sizes.most_common(1)[0][0] if sizes else default


def _count(params: Params, default: int, *first_names: str) -> int:
    """Return the number of numbered layers, given how the names of the first (number 0) begin."""
    numbers = [
        int(match.group(1)) for first in first_names
        for match in (re.match(re.escape(first).replace('0', r'(\d{1,3})', 1), key) for key in params) if match
    ]
    return max(numbers) + 1 if numbers else default


def _shapes(network: Callable[[], nn.Module]) -> Shapes:
    with torch.device('meta'):  # shapes without memory or initialisation
        return {key: value.shape for key, value in network().state_dict().items()}


Description = Tuple[Dict[str, Any], Shapes, List[str]]


def _describe_dic(params: Params, name: Name) -> Description:
    """Return options, tensors and notes; options whose tensors are missing are those of the paper."""
    num_feat = _size(params, name, 48, 'first_block.compress_in.0.bias', 'block.compress_in.0.bias', 'out.0.bias')
    num_shuffled = _size(params, name, 4 * num_feat, 'conv_in.0.bias', 'conv_in.0.weight')
    upscale = HEATMAP_STRIDE * max(isqrt(num_shuffled // max(num_feat, 1)), 1)
    projections = [f'{block}.groups.{way}.0.' for block in ('first_block', 'block') for way in ('up', 'down')]
    hourglass, _, _ = _describe_hourglass(params, lambda key: name(f'hourglass.{key}'))
    options = dict(
        num_feat=num_feat,
        num_groups=_count(params, 6, *map(name, projections)),
        upscale=upscale,
        **hourglass,
        num_fusion_block=_count(params, 7, name('block.fusion.body.0.body.')))
    kernel_size = _size(params, name, upscale + 4, *(f'{layer}0.weight' for layer in projections), axis=2)
    if kernel_size != upscale + 4:
        options['projection_scale'] = kernel_size - 4

    num_experts = _size(params, name, 5 * num_feat, 'block.fusion.expand.0.bias', 'block.fusion.expand.0.weight')
    num_components = num_experts // max(num_feat, 1)
    try:
        published_groups = len(component_groups(options['num_keypoints'])) == num_components
    except ValueError:
        published_groups = False
    if published_groups:
        return options, _shapes(lambda: DIC(**options)), []
    # which landmarks form a group changes no shape
    shapes = _shapes(lambda: DIC(**options, component_groups=[[0]] * num_components))
    return options, shapes, [
        f'component_groups has to be given as well: the weights have {num_components} groups of the '
        f'{options["num_keypoints"]} landmarks and do not tell which.'
    ]


def dic_options(params: Params) -> Tuple[Dict[str, Any], List[str]]:
    """Return the arguments of DIC for a state dict in this project's names, and notes as in Converted.

    What its shapes do not tell is left out: ``num_steps`` and, where the notes say so, ``component_groups``.

    Raises:
        ValueError, RuntimeError: no DIC has such shapes.
    """
    options, _, notes = _describe_dic(params, str)
    return options, notes


def _describe_hourglass(params: Params, name: Name) -> Description:
    options: Dict[str, Any] = dict(
        hg_num_feat=_size(params, name, 256, 'head.1.bias', 'head.1.weight', 'head.0.body.3.bias'),
        num_keypoints=_size(params, name, 68, 'head.3.bias', 'head.3.weight'))
    return options, _shapes(lambda: FeedbackHourglass(**options)), []


def _describe_light_cnn(classifier: bool, params: Params, name: Name) -> Description:
    return {}, _shapes(LightCNNDiscriminator if classifier else LightCNNFeature), []


def _describe_stacked_hourglass(params: Params, name: Name) -> Description:
    options = dict(
        num_feat=_size(params, name, 256, 'stacks.0.linear.0.bias', 'stacks.0.linear.1.bias'),
        num_stacks=_count(params, 4, 'hg0.'),
        num_keypoints=_size(params, name, 68, 'stacks.0.predict.bias', 'stacks.0.predict.weight'))
    return options, _shapes(lambda: StackedHourglass(**options)), []


# ---------------------------------------------------------------- recognition and conversion
_EXPECTED = ("DIC or DICGAN (of the paper's code or OpenMMLab), the feedback hourglass, LightCNN (discriminator or "
             'features) or the stacked hourglass')


def _recognise(params: Params, prefix: str) -> Optional[Tuple[str, Name, Callable[[Params, Name], Description]]]:
    """Return the kind of the network, its names and how to describe it; None if no name is a published network's."""

    def has(*beginnings: str) -> bool:
        return any(key.startswith(tuple(prefix + beginning for beginning in beginnings)) for key in params)

    if has('conv_first.', 'hour_glass.'):
        return 'DIC', openmmlab_name, _describe_dic
    if has('first_block.', 'block.', 'HG.'):
        return 'DIC', published_name, _describe_dic
    if has('hg.', 'hg_conv_out.'):
        return 'FeedbackHourglass', published_hourglass_name, _describe_hourglass
    if has('hg0.', 'hg0_'):
        return 'StackedHourglass', published_stacked_hourglass_name, _describe_stacked_hourglass
    if has('features.'):
        name = openmmlab_light_cnn_name if has('features.3.') else str
        classifier = has('classifier.')
        kind = 'LightCNN_discriminator' if classifier else 'LightCNN_feature'
        return kind, name, partial(_describe_light_cnn, classifier)
    return None


def _convert_network(params: Params, prefix: str, path: str, only: Optional[str] = None) -> Converted:
    """Convert one network's state dict, whose names all begin with ``prefix``; ``only``: the kind it has to be."""
    recognised = _recognise(params, prefix)
    if recognised is None or only not in (None, recognised[0]):
        found = 'no published network has these names' if recognised is None else f'these are names of {recognised[0]}'
        raise CheckpointError(f'{path}: {found}: {_some(params)}; expected {only or _EXPECTED}.')
    kind, name, describe = recognised

    def prefixed(key: str) -> str:
        return prefix + name(key)

    try:
        options, shapes, notes = describe(params, prefixed)
    except (ValueError, RuntimeError) as error:  # RuntimeError: sizes beyond what torch can count
        raise CheckpointError(f'{path}: looks like {kind}, but no {kind} has such shapes: {error}') from None
    check_shapes(params, {
        prefixed(key): torch.Size(shape)
        for key, shape in shapes.items()
    }, path, f'a published {kind}')
    return Converted(kind, {key: params[prefixed(key)].detach() for key in shapes}, options, notes)


def _some(content: Mapping[Any, Any]) -> str:
    return ', '.join([str(key) for key in list(content)[:3]] + ['...'] * (len(content) > 3)) or 'nothing'


def _state_dict(content: Mapping[str, Any], key: str, path: str) -> Params:
    if not is_state_dict(content[key]):
        raise CheckpointError(f'{path}: `{key}` holds no state dict; expected names and tensors.')
    return strip_module(content[key])


def _find_networks(content: Any, path: str) -> Tuple[Params, str, Params, str]:
    """Return the network's state dict and its names' prefix, and those of the discriminator, empty if there is none."""
    if isinstance(content, Mapping) and ('params' in content or 'params_ema' in content):
        raise CheckpointError(f"{path}: has `params`, so it is in BasicSR's format already.")
    if isinstance(content, Mapping) and 'netG' in content:
        return _state_dict(content, 'netG',
                           path), '', _state_dict(content, 'netD', path) if 'netD' in content else {}, ''
    if isinstance(content, Mapping) and 'state_dict' in content:
        params = _state_dict(content, 'state_dict', path)
    elif is_state_dict(content):
        params = strip_module(content)
    else:
        found = _some(content) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f'{path}: is no checkpoint known here, it holds {found}; expected {_EXPECTED}, bare or under '
            '`state_dict` or `netG`.')
    if not any(key.startswith('generator.') for key in params):
        return params, '', {}, ''
    # OpenMMLab's whole model; with its feature loss it also keeps the frozen LightCNN that it was given
    discriminator = {key: value for key, value in params.items() if key.startswith('discriminator.')}
    generator = {key: value for key, value in params.items() if not key.startswith(('discriminator.', 'feature_loss.'))}
    return generator, 'generator.', discriminator, 'discriminator.'


def convert(content: Any, path: str = 'checkpoint', discriminator: bool = False) -> Converted:
    """Bring what a published checkpoint holds into this project's names.

    Args:
        content: what ``load_tensors`` gives.
        path: how errors call it.
        discriminator: True to convert the discriminator of a DICGAN, too. Else it is not looked into.

    Raises:
        CheckpointError: no published network is recognised, or its tensors are not exactly those that the network has;
            names the first missing, surplus or wrongly shaped ones as the file calls them. Also if a discriminator is
            asked for and there is none.
    """
    params, prefix, critic, critic_prefix = _find_networks(content, path)
    converted = _convert_network(params, prefix, path)
    if not discriminator:
        return converted
    if not critic:
        raise CheckpointError(f'{path}: there is no discriminator beside {converted.kind}.')
    critic = _convert_network(critic, critic_prefix, path, 'LightCNN_discriminator').params
    return converted._replace(discriminator=critic)


def option_lines(converted: Converted) -> List[str]:
    """Return the lines of ``network_g`` in an option file that the weights need; none for networks without options."""
    lines = [f'  {key}: {value}' for key, value in converted.options.items()]
    if converted.kind == 'DIC':
        lines = ['  type: DIC', *lines, '  num_steps: 4  # cannot be seen in the weights; 4 as published']
    return ['network_g:', *lines] if lines else []
