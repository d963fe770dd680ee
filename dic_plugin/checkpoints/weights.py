"""The weights of a DIC and what network they are of, read from a training's checkpoint or from a published one."""
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from dic_plugin.archs import DIC
from dic_plugin.checkpoints.files import CheckpointError, is_state_dict, load_into, load_tensors, strip_module
from dic_plugin.checkpoints.published import convert, dic_options
from dic_plugin.checkpoints.training_record import GT_SIZE, RECORD

PUBLISHED_STEPS = 4


class Weights(NamedTuple):
    """Weights of DIC and what is known about them.

    Attributes:
        params: the state dict.
        options: arguments of ``DIC``.
        input_size: side of the faces that they were trained on, in pixels.
        trained_on: names and types of the training set, such as ``('celeba', 'FaceLandmarkDataset')``; None where the
            file does not say.
        notes: what had to be assumed, in words.
    """
    params: Dict[str, Tensor]
    options: Dict[str, Any]
    input_size: int
    trained_on: Optional[Tuple[str, str]]
    notes: List[str]


def read_weights(path: str) -> Weights:
    """Read the weights of a DIC or of a DICGAN's generator.

    Args:
        path: a checkpoint of BasicSR (``params_ema`` is taken where there is one) or a published one (of the paper's
            code or OpenMMLab), which is converted in memory.

    Raises:
        CheckpointError: the file cannot be read or holds no DIC; names the file and the reason.
    """
    content = load_tensors(path)
    if not isinstance(content, Mapping) or not ('params' in content or 'params_ema' in content):
        converted = convert(content, path)
        if converted.kind != 'DIC':
            raise CheckpointError(
                f'{path}: is a published {converted.kind}; expected a DIC or DICGAN (DIC_CelebA.pth).')
        params, options, unknown, record = converted.params, converted.options, converted.notes, {}
    else:
        params = content.get('params_ema', content.get('params'))
        if not is_state_dict(params):
            raise CheckpointError(f'{path}: `params` holds no state dict; expected names and tensors.')
        params, record = strip_module(params), _record(content)
        options, unknown = _options(params, path)
    known = record.get('network', {})
    notes = []
    if unknown:  # which landmarks form a component: no shape tells
        if not known.get('component_groups'):
            raise CheckpointError(f'{path}: {unknown[0]}')
        options['component_groups'] = known['component_groups']
    if 'num_steps' not in options:
        options['num_steps'] = known.get('num_steps', PUBLISHED_STEPS)
        if 'num_steps' not in known:
            notes.append(f'{path} does not record its number of steps; taken to be {PUBLISHED_STEPS}, as published.')
    input_size = record.get('input_size') or GT_SIZE // options['upscale']
    return Weights(params, options, input_size, record.get('trained_on'), notes)


def build_network(weights: Weights, path: str) -> DIC:
    """Return the network with its weights, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the weights are not exactly those of the network, or not finite; names the tensors.
    """
    try:
        network = DIC(**weights.options)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f'{path}: holds no DIC that can be built: {error}') from error
    load_into(network, weights.params, path)
    for name, values in network.state_dict().items():
        if not torch.isfinite(values).all():  # its faces would be black, and nothing else would tell
            raise CheckpointError(f'{path}: {name} holds NaN or infinite values; expected finite ones. If the training '
                                  'diverged, take an earlier checkpoint.')
    return network.eval().requires_grad_(False)


def _record(content: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the valid parts of the training record; an empty dict for files of other projects."""
    record = content.get(RECORD)
    if not isinstance(record, Mapping):
        return {}
    network, trained_on, size = (record.get(key) for key in ('network', 'trained_on', 'input_size'))
    return dict(
        network=network if isinstance(network, Mapping) else {},
        trained_on=tuple(map(str, trained_on)) if isinstance(trained_on, list) and len(trained_on) == 2 else None,
        input_size=size if isinstance(size, int) and size > 0 else None)


def _options(params: Mapping[str, Tensor], path: str) -> Tuple[Dict[str, Any], List[str]]:
    """Return the arguments of DIC that follow from shapes, and notes about those that do not."""
    if 'first_block.compress_in.0.weight' not in params:
        raise CheckpointError(f'{path}: holds no DIC (no first_block.compress_in.0.weight), but '
                              f'{", ".join(list(params)[:3])}, ...; expected the weights of a DIC or of a DICGAN\'s '
                              'generator (net_g).')
    try:
        options, unknown = dic_options(params)
    except (ValueError, RuntimeError) as error:  # RuntimeError: sizes beyond what torch can count
        raise CheckpointError(f'{path}: looks like DIC, but no DIC has such shapes: {error}') from None
    if not any(key.startswith('block.') for key in params):
        options['num_steps'] = 1
    if not any(key.startswith('block.fusion.') for key in params):
        options['num_fusion_block'] = None  # nothing is grouped
        unknown = []
    return options, unknown
