"""Reading and writing checkpoints: tensors only, a mismatch named key by key, never half a file."""
import os
import re
from contextlib import ExitStack, nullcontext
from typing import Any, ContextManager, Dict, Mapping, Optional

import torch
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from dic_plugin.utils.atomic_write import atomic_write


class CheckpointError(ValueError):
    """A checkpoint cannot be read or does not belong to the network. The message names the file and the reason."""


class _NumpyNumber:
    """Stands in for a NumPy number while a file is read: no code of NumPy runs, and the number is not kept."""

    def __init__(self, *args: Any) -> None:
        """Ignore the arguments of the NumPy function that it replaces."""

    def __setstate__(self, state: Any) -> None:
        """Ignore the arguments of the NumPy function that it replaces."""


_NUMPY_NUMBER = ('numpy.dtype', 'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar')


def _skip_numpy_numbers() -> ContextManager:
    """Accept files that hold NumPy numbers beside their tensors.

    The published training code keeps its validation scores so. torch before 2.7 cannot be told what stands in for a
    name; there such a file is refused.
    """
    if TorchVersion(torch.__version__) < '2.7':
        return nullcontext()
    return torch.serialization.safe_globals([(_NumpyNumber, name) for name in _NUMPY_NUMBER])


def load_tensors(path: str) -> Any:
    """Return the content of a ``.pth`` file, read with ``weights_only=True``. NumPy numbers in it become placeholders.

    Raises:
        CheckpointError: the file is missing, cut off, no checkpoint, or needs more than tensors and plain containers;
            what it needs is then named, and nothing of it has been run.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f'{path}: no such file; expected a checkpoint (.pth).')
    try:
        with _skip_numpy_numbers():
            return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises a dozen types here
        reason = str(error)
    refused = re.search(r'GLOBAL (\S+)', reason)
    if refused:
        raise CheckpointError(
            f'{path}: cannot be read as a checkpoint of plain tensors; it also holds {refused.group(1)}. Only tensors, '
            'numbers and plain containers are loaded, since other objects can run code; none was run. Save the state '
            'dict alone where the file is trusted.')
    reason = reason.split('WeightsUnpickler error:')[-1].strip().split('\n')[0]
    raise CheckpointError(f'{path}: cannot be read as a checkpoint; it is cut off or no file of torch.save ({reason}).')


def load_params(path: str, param_key: Optional[str] = 'params') -> Dict[str, Tensor]:
    """Return the state dict in a checkpoint of BasicSR.

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
                'are converted by dic-convert.')
        content = content[param_key]
    if not is_state_dict(content):
        raise CheckpointError(f'{path}: {param_key or "the file"} holds no state dict; expected names and tensors.')
    return strip_module(content)


def is_state_dict(content: Any) -> bool:
    """Return whether this is a non-empty mapping from names to tensors."""
    return isinstance(content, Mapping) and len(content) > 0 and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())


def strip_module(params: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Return the state dict without the ``module.`` that DataParallel puts before every name."""
    prefix = 'module.' if all(key.startswith('module.') for key in params) else ''
    return {key[len(prefix):]: value for key, value in params.items()}


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


def save_params(files: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write state dicts (values) as checkpoints of BasicSR (keys: paths): all of them whole, or none.

    Raises:
        OSError, RuntimeError: a file cannot be written. Files that were there before are then unchanged.
    """
    with ExitStack() as stack:  # none takes its place before the last is written
        for path, params in files.items():
            with open(stack.enter_context(atomic_write(path)), 'wb') as file:
                torch.save({'params': dict(params)}, file)
