"""Published checkpoints of DIC, DICGAN and their companions, recognised and brought into this project's names.

The network's options are read from the shapes in the file, the network is built without memory, and each of its tensors
is looked up under the name that the file must give it (``published_names``). So every tensor is accounted for, whatever
the configuration, and errors use the file's own names.
"""
import re
from collections import Counter
from functools import partial
from math import isqrt
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from dic_plugin.archs import DIC, FeedbackHourglass, LightCNNDiscriminator, LightCNNFeature, StackedHourglass
from dic_plugin.checkpoints import published_names as names
from dic_plugin.checkpoints.files import CheckpointError, check_shapes, some_keys, state_dict_in
from dic_plugin.checkpoints.rivals import RIVALS, convert_rival
from dic_plugin.landmarks.heatmaps import HEATMAP_STRIDE
from dic_plugin.landmarks.layouts import component_groups

Params = Mapping[str, Tensor]
Description = Tuple[Dict[str, Any], Callable[[], nn.Module], List[str]]  # options, network, notes as in Checkpoint
Describe = Callable[[Params, names.Name], Description]


class Checkpoint(NamedTuple):
    """A network's parameters and what a file shows about them."""
    kind: str  # DIC, FeedbackHourglass, StackedHourglass, LightCNN_discriminator, LightCNN_feature, one of RIVALS
    params: Dict[str, Tensor]  # in the names of this project's networks; LightCNN keeps those of the paper's code
    options: Dict[str, Any]  # arguments of the network that the weights need
    notes: List[str]  # assumptions, and options that the weights need but that their shapes do not show
    discriminator: Optional[Dict[str, Tensor]] = None  # of a DICGAN, if it was asked for
    input_size: int = 16  # side of the faces that a DIC was trained on, in pixels
    trained_on: Optional[Tuple[str, str]] = None  # name and type of the training set, if recorded
    margin: Optional[float] = None  # of its crops, see FaceAnnotations.margin, if recorded
    about: Optional[Dict[str, Any]] = None  # `licence` and `figures` of weights that were handed over, if recorded


# ---------------------------------------------------------------- options and networks, from the names and shapes found
def _size(params: Params, name: names.Name, default: int, *keys: str, axis: int = 0) -> int:
    """Return the most frequent size of a few tensors, so that one damaged or missing tensor is reported as such and not
    taken for another configuration."""
    tensors = [params[name(key)] for key in keys if name(key) in params]
    sizes = Counter(tensor.shape[axis] for tensor in tensors if tensor.dim() > axis)
    return sizes.most_common(1)[0][0] if sizes else default


def _count(params: Params, default: int, *first_names: str) -> int:
    """Return the number of numbered layers; ``first_names``: how names in the first layer (number 0) begin."""
    numbers = [
        int(match[1]) for first in first_names
        for match in (re.match(re.escape(first).replace('0', r'(\d{1,3})', 1), key) for key in params) if match
    ]
    return max(numbers, default=default - 1) + 1


def _describe_dic(params: Params, name: names.Name) -> Description:
    """Describe a DIC; options whose tensors are missing are those of the paper."""
    num_feat = _size(params, name, 48, 'first_block.compress_in.0.bias', 'block.compress_in.0.bias', 'out.0.bias')
    num_shuffled = _size(params, name, 4 * num_feat, 'conv_in.0.bias', 'conv_in.0.weight')
    upscale = HEATMAP_STRIDE * max(isqrt(num_shuffled // max(num_feat, 1)), 1)
    projections = [f'{block}.groups.{way}.0.' for block in ('first_block', 'block') for way in ('up', 'down')]
    options = dict(
        num_feat=num_feat,
        num_groups=_count(params, 6, *map(name, projections)),
        upscale=upscale,
        **_describe_hourglass(params, lambda key: name(f'hourglass.{key}'))[0],
        num_fusion_block=_count(params, 7, name('block.fusion.body.0.body.')))
    kernel_size = _size(params, name, upscale + 4, *(f'{layer}0.weight' for layer in projections), axis=2)
    if kernel_size != upscale + 4:
        options['projection_scale'] = kernel_size - 4
    num_experts = _size(params, name, 5 * num_feat, 'block.fusion.expand.0.bias', 'block.fusion.expand.0.weight')
    num_components = num_experts // max(num_feat, 1)
    try:
        if len(component_groups(options['num_keypoints'])) == num_components:
            return options, partial(DIC, **options), []
    except ValueError:  # no published layout
        pass
    # which landmarks form a group changes no shape
    return options, partial(
        DIC, **options, component_groups=[[0]] * num_components), [
            f'component_groups has to be given as well: the weights have {num_components} groups of the '
            f'{options["num_keypoints"]} landmarks and do not show which.'
        ]


def _describe_hourglass(params: Params, name: names.Name) -> Description:
    options: Dict[str, Any] = dict(
        hg_num_feat=_size(params, name, 256, 'head.1.bias', 'head.1.weight', 'head.0.body.3.bias'),
        num_keypoints=_size(params, name, 68, 'head.3.bias', 'head.3.weight'))
    return options, partial(FeedbackHourglass, **options), []


def _describe_stacked_hourglass(params: Params, name: names.Name) -> Description:
    options: Dict[str, Any] = dict(
        num_feat=_size(params, name, 256, 'stacks.0.linear.0.bias', 'stacks.0.linear.1.bias'),
        num_stacks=_count(params, 4, 'hg0.'),
        num_keypoints=_size(params, name, 68, 'stacks.0.predict.bias', 'stacks.0.predict.weight'))
    return options, partial(StackedHourglass, **options), []


# ---------------------------------------------------------------- recognition and conversion
_EXPECTED = ("DIC or DICGAN (of the paper's code or OpenMMLab), the feedback hourglass, LightCNN (discriminator or "
             'features) or the stacked hourglass')
_OPENMMLAB_PARTS = ('generator.', 'discriminator.', 'feature_loss.')  # the last: a frozen LightCNN


def _recognise(params: Params, prefix: str) -> Tuple[str, names.Name, Describe]:
    """Return the kind of the network, its names and how to describe it; '' if no name is a published network's."""

    def has(*beginnings: str) -> bool:
        return any(key.startswith(tuple(prefix + beginning for beginning in beginnings)) for key in params)

    if has('conv_first.', 'hour_glass.'):
        return 'DIC', names.openmmlab_name, _describe_dic
    if has('first_block.', 'block.', 'HG.'):
        return 'DIC', names.published_name, _describe_dic
    if has('hg.', 'hg_conv_out.'):
        return 'FeedbackHourglass', names.published_hourglass_name, _describe_hourglass
    if has('hg0.', 'hg0_'):
        return 'StackedHourglass', names.published_stacked_hourglass_name, _describe_stacked_hourglass
    if has('features.'):
        name = names.openmmlab_light_cnn_name if has('features.3.') else str
        if has('classifier.'):
            return 'LightCNN_discriminator', name, lambda *_: ({}, LightCNNDiscriminator, [])
        return 'LightCNN_feature', name, lambda *_: ({}, LightCNNFeature, [])
    return '', str, lambda *_: ({}, nn.Identity, [])


def _shapes(kind: str, describe: Describe, params: Params, name: names.Name,
            path: str) -> Tuple[Dict[str, Any], Dict[str, torch.Size], List[str]]:
    """Return options, shapes of all tensors, and notes."""
    options, network, notes = describe(params, name)
    try:
        with torch.device('meta'):  # without memory or initialisation
            return options, {key: value.shape for key, value in network().state_dict().items()}, notes
    except (ValueError, RuntimeError) as error:  # RuntimeError: sizes beyond what torch can count
        raise CheckpointError(f'{path}: looks like {kind}, but no {kind} has such shapes: {error}') from None


def _convert_network(params: Params, path: str, only: Optional[str] = None) -> Checkpoint:
    """Convert one network's state dict; ``only``: the kind it has to be."""
    prefix = next((part for part in _OPENMMLAB_PARTS if any(key.startswith(part) for key in params)), '')
    kind, name, describe = _recognise(params, prefix)
    if only not in (None, kind) or not kind:
        found = f'these are names of {kind}' if kind else 'no published network has these names'
        raise CheckpointError(f'{path}: {found}: {some_keys(params)}; expected {only or _EXPECTED}.')

    def prefixed(key: str) -> str:
        return prefix + name(key)

    options, shapes, notes = _shapes(kind, describe, params, prefixed, path)
    check_shapes(params, {prefixed(key): shape for key, shape in shapes.items()}, path, f'a published {kind}')
    return Checkpoint(kind, {key: params[prefixed(key)].detach() for key in shapes}, options, notes)


def is_own_dic(content: Any) -> bool:
    """Return whether this is a state dict with this project's names of a DIC, also behind a wrapper's prefix."""
    return isinstance(content, Mapping) and any(
        str(key).endswith('first_block.compress_in.0.weight') for key in content) and any('hourglass.head.' in str(key)
                                                                                          for key in content)


def own_dic(params: Dict[str, Tensor], path: str) -> Checkpoint:
    """Return the DIC of a state dict in this project's names.

    What its shapes do not show is left out of the options: ``num_steps`` and, where the notes say so,
    ``component_groups``.

    Raises:
        CheckpointError: No DIC has such names or shapes.
    """
    if 'first_block.compress_in.0.weight' not in params:
        raise CheckpointError(f'{path}: holds no DIC (no first_block.compress_in.0.weight), but {some_keys(params)}; '
                              "expected the weights of a DIC or of a DICGAN's generator (net_g).")
    options, _, notes = _shapes('DIC', _describe_dic, params, str, path)
    if not any(key.startswith('block.') for key in params):
        options['num_steps'] = 1
    if not any(key.startswith('block.fusion.') for key in params):
        options['num_fusion_block'], notes = None, []  # nothing is grouped
    return Checkpoint('DIC', params, options, notes)


def _find_networks(content: Any, path: str) -> Tuple[Params, Params]:
    """Return the network's state dict and that of the discriminator beside it, which is empty if there is none."""
    keys = content if isinstance(content, Mapping) else {}
    if 'params' in keys or 'params_ema' in keys:
        raise CheckpointError(f"{path}: has `params`, so it is in BasicSR's format already.")
    parts = {
        key: state_dict_in(keys[key], path, f'`{key}`')
        for key in ('netG', 'netD', 'state_dict', 'model_state_dict') if key in keys
    }
    if 'netG' in parts:
        return parts['netG'], parts.get('netD', {})
    params = parts.get('state_dict') or parts.get('model_state_dict') or state_dict_in(
        content, path, expected=f'{_EXPECTED}, bare or under `state_dict` or `netG`')
    if not any(key.startswith('generator.') for key in params):
        return params, {}
    critic = {key: value for key, value in params.items() if key.startswith('discriminator.')}
    return {key: value for key, value in params.items() if not key.startswith(_OPENMMLAB_PARTS[1:])}, critic


def convert(content: Any, path: str = 'checkpoint', discriminator: bool = False) -> Checkpoint:
    """Bring the content of a published checkpoint into this project's names.

    Args:
        content: As ``load_tensors`` returns it.
        path: Its name in errors.
        discriminator: Also convert the discriminator of a DICGAN, which is ignored otherwise.

    Raises:
        CheckpointError: No published network is recognised, or its tensors are not exactly those of the network; names
            the first missing, surplus or wrongly shaped ones as the file does. Also if there is no discriminator though
            it is asked for.
    """
    params, critic = _find_networks(content, path)
    rival = convert_rival(params, path)
    converted = Checkpoint(*rival, notes=[]) if rival else _convert_network(params, path)
    if not discriminator:
        return converted
    if not critic:
        raise CheckpointError(f'{path}: there is no discriminator beside {converted.kind}.')
    return converted._replace(discriminator=_convert_network(critic, path, 'LightCNN_discriminator').params)


def option_lines(converted: Checkpoint) -> List[str]:
    """Return the lines of ``network_g`` in an option file that the weights need; none for networks without options."""
    lines = [f'  {key}: {value}' for key, value in converted.options.items()]
    if converted.kind in RIVALS:
        lines = [f'  type: {converted.kind}', *lines]
    if converted.kind == 'DIC':
        lines = ['  type: DIC', *lines, '  num_steps: 4  # cannot be seen in the weights; 4 as published']
    return ['network_g:', *lines] if lines else []
