"""Reading checkpoints: tensors only, and a mismatch named key by key."""
import os
from typing import Any, Dict, Mapping, Optional

import torch
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A checkpoint cannot be read or does not belong to the network. The message names the file and the reason."""


def load_tensors(path: str) -> Any:
    """What a ``.pth`` file holds, read with ``weights_only=True``.

    Raises:
        CheckpointError: the file is missing, cut off, no checkpoint, or needs more than tensors and plain containers.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f'{path}: no such file; expected a checkpoint (.pth).')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises a dozen types here
        reason = str(error).strip().split('\n')[0]
        raise CheckpointError(
            f'{path}: cannot be read as a checkpoint of plain tensors; it is cut off, no checkpoint, or '
            f'holds other objects, which are never unpickled ({type(error).__name__}: {reason})') from None


def load_params(path: str, param_key: Optional[str] = 'params') -> Dict[str, Tensor]:
    """The state dict in a checkpoint of BasicSR.

    Args:
        path: the file.
        param_key: 'params', 'params_ema' (which falls back to 'params', as in BasicSR), or None for a bare state dict.

    Raises:
        CheckpointError: as load_tensors, or there is no such key.
    """
    content = load_tensors(path)
    if param_key is not None:
        if isinstance(content, Mapping) and param_key not in content and 'params' in content:
            param_key = 'params'
        if not isinstance(content, Mapping) or param_key not in content:
            raise CheckpointError(
                f'{path}: has no {param_key!r}; expected a checkpoint of BasicSR. Published checkpoints '
                'are converted by scripts/convert_checkpoint.py.')
        content = content[param_key]
    if not is_state_dict(content):
        raise CheckpointError(f'{path}: {param_key or "the file"} holds no state dict; expected names and tensors.')
    return strip_module(content)


def is_state_dict(content: Any) -> bool:
    """Whether this is a non-empty mapping from names to tensors."""
    return isinstance(content, Mapping) and len(content) > 0 and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())


def strip_module(params: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """The same without the ``module.`` that DataParallel puts before every name."""
    return {key[len('module.'):] if key.startswith('module.') else key: value for key, value in params.items()}


def check_shapes(params: Mapping[str, Tensor], expected: Mapping[str, torch.Size], path: str, what: str) -> None:
    """Compare names and shapes.

    Raises:
        CheckpointError: names the first missing, surplus and wrongly shaped keys, three of each.
    """
    missing = [key for key in expected if key not in params]
    surplus = [key for key in params if key not in expected]
    shaped = [
        f'{key} {tuple(params[key].shape)} instead of {tuple(shape)}' for key, shape in expected.items()
        if key in params and tuple(params[key].shape) != tuple(shape)
    ]
    found = [
        f'{len(keys)} {kind}: {", ".join(keys[:3])}' + (', ...' if len(keys) > 3 else '')
        for kind, keys in (('missing', missing), ('surplus', surplus), ('of another shape', shaped)) if keys
    ]
    if found:
        raise CheckpointError(f'{path}: does not hold the parameters of {what}; {"; ".join(found)}.')


def load_into(network: nn.Module, params: Mapping[str, Tensor], path: str) -> None:
    """Load a state dict strictly.

    Raises:
        CheckpointError: as check_shapes. The network is then unchanged.
    """
    expected = {key: value.shape for key, value in network.state_dict().items()}
    check_shapes(params, expected, path, f'this {type(network).__name__} (see its options in the option file)')
    network.load_state_dict(params)
