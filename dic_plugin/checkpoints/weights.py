"""The weights of a DIC and the record of its training, in a training's checkpoint or a published one.

The record stands beside the tensors in plain values, under a key that BasicSR's loading ignores and that
``weights_only=True`` accepts.
"""
import os
from typing import Any, Dict, Mapping, Optional, Tuple

import torch

from dic_plugin.archs import DIC
from dic_plugin.checkpoints.files import RECORD, STEPS, CheckpointError, load_into, load_tensors, state_dict_in
from dic_plugin.checkpoints.published import Checkpoint, convert, is_own_dic, own_dic
from dic_plugin.utils.option_values import builtin
from dic_plugin.version import __version__

# The compact DIC that is shipped; what it is and what it cannot do stands in the README.md beside it.
SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), 'weights', 'DIC_photos.safetensors')
GT_SIZE = 128  # side of a network's results, in every recipe unless it says otherwise
PUBLISHED_STEPS = 4
MOST_MARGIN = 10
RECORDED = ('network', 'trained_on', 'input_size', 'margin')
ABOUT = ('licence', 'figures')


def training_record(opt: Mapping[str, Any], network: str, margin: Optional[float] = None) -> Dict[str, Any]:
    """Return the record of a training.

    Args:
        opt: The options of the training.
        network: One of its networks, such as 'network_g'.
        margin: Of the crops, see FaceAnnotations.margin.

    Returns:
        ``version`` of the plugin; ``network``, its options; ``trained_on``, name and type of the training set;
        ``input_size``, side of the low-quality images; ``margin``, if given.
    """
    dataset = (opt.get('datasets') or {}).get('train') or {}
    record = dict(
        version=__version__,
        network=builtin(opt.get(network) or {}),
        trained_on=[str(dataset.get(key, '')) for key in ('name', 'type')],
        input_size=int(dataset.get('gt_size') or GT_SIZE) // int(opt.get('scale', 1)))
    return record if margin is None else dict(record, margin=margin)


def read_weights(path: str) -> Checkpoint:
    """Read the weights of a DIC or of a DICGAN's generator.

    Args:
        path: A checkpoint of BasicSR, whose ``params_ema`` is preferred; a state dict of a DIC of this project, bare or
            under ``state_dict``, in any floating-point type; safetensors; or a published one, which is converted.

    Raises:
        CheckpointError: The file cannot be read or holds no DIC; names the file and the reason.
    """
    return weights_in(load_tensors(path), path)


def weights_in(content: Any, path: str) -> Checkpoint:
    """Return the weights in the content of a file, see read_weights; ``path`` is its name in errors."""
    record: Any = None
    given = content if isinstance(content, Mapping) else {}
    if 'optimizers' in given and 'schedulers' in given:
        raise CheckpointError(
            f'{path}: is a training state, with which a training goes on (--auto_resume); expected its '
            'weights, models/net_g_*.pth beside its folder.')
    key = next((key for key in ('params_ema', 'params', 'state_dict') if key in given), None)
    if key in ('params', 'params_ema') or is_own_dic(given if key is None else given[key]):
        read = own_dic(state_dict_in(given if key is None else given[key], path, f'`{key}`'), path)
        record = given.get(RECORD)
    else:
        read = convert(content, path)
        if read.kind != 'DIC':
            raise CheckpointError(f'{path}: is a published {read.kind}; expected a DIC or DICGAN (DIC_CelebA.pth).')
    # another project may use the key for anything
    known, trained_on, size, margin = map((record if isinstance(record, Mapping) else {}).get, RECORDED)
    known = known if isinstance(known, Mapping) else {}
    options, notes = dict(read.options), []
    steps = known.get('num_steps', read.params.pop(STEPS, None))
    if read.notes:  # the components, which no shape shows
        if not known.get('component_groups'):
            raise CheckpointError(f'{path}: {read.notes[0]}')
        options['component_groups'] = known['component_groups']
    if 'num_steps' not in options:
        options['num_steps'] = PUBLISHED_STEPS if steps is None else int(steps)
        if steps is None:
            notes.append(f'{path} does not record its number of steps; taken to be {PUBLISHED_STEPS}, as published.')
    return read._replace(
        options=options,
        notes=notes,
        input_size=size if isinstance(size, int) and size > 0 else GT_SIZE // options['upscale'],
        trained_on=_pair(trained_on),
        margin=float(margin) if isinstance(margin, (int, float)) and 0 <= margin <= MOST_MARGIN else None,
        about={key: record[key]
               for key in ABOUT if key in record} if isinstance(record, Mapping) else None)


def weights_record(weights: Checkpoint) -> Dict[str, Any]:
    """Return the record of weights that were read, as training_record makes it."""
    record = dict(version=__version__, network=builtin(dict(weights.options)), input_size=weights.input_size)
    if weights.trained_on:
        record['trained_on'] = list(weights.trained_on)
    if weights.margin is not None:
        record['margin'] = weights.margin
    return {**record, **(weights.about or {})}


def _pair(value: Any) -> Optional[Tuple[str, str]]:
    return (str(value[0]), str(value[1])) if isinstance(value, list) and len(value) == 2 else None


def build_network(weights: Checkpoint, path: str) -> DIC:
    """Return the network with its weights, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: The weights are not exactly those of the network, or not finite; names the tensors.
    """
    try:
        network = DIC(**weights.options)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f'{path}: holds no DIC that can be built: {error}') from error
    load_into(network, weights.params, path)
    for name, values in network.state_dict().items():
        if not torch.isfinite(values).all():  # its faces would be black, without an error
            raise CheckpointError(f'{path}: {name} holds NaN or infinite values; expected finite ones. If the training '
                                  'diverged, take an earlier checkpoint.')
    return network.eval().requires_grad_(False)
