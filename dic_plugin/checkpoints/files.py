"""Reading and writing of checkpoints: tensors only, mismatches named key by key, and never half a file."""
import json
import os
import re
from contextlib import ExitStack, nullcontext
from typing import Any, ContextManager, Dict, Iterable, Mapping, Optional

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from dic_plugin.utils.atomic_write import atomic_write

RECORD = 'dic_plugin'  # the key of the record of a training, in a checkpoint beside the tensors
STEPS = 'dic_plugin.num_steps'  # a tensor beside those of the network, for readers that see no metadata


class CheckpointError(ValueError):
    """A checkpoint cannot be read or does not belong to the network. The message names the file and the reason."""


class _NumpyNumber:
    """Placeholder for a NumPy number in a file: no code of NumPy runs, and the number is not kept."""

    def __init__(self, *_: Any) -> None:
        pass

    __setstate__ = __init__


_NUMPY_NUMBER = ('numpy.dtype', 'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar')


def _skip_numpy_numbers() -> ContextManager:
    """Accept NumPy numbers beside the tensors, where the published training code keeps its validation scores.

    torch before 2.7 cannot replace a name; it refuses such a file.
    """
    if TorchVersion(torch.__version__) < '2.7':
        return nullcontext()
    return torch.serialization.safe_globals([(_NumpyNumber, name) for name in _NUMPY_NUMBER])


def load_tensors(path: str) -> Any:
    """Return the content of a ``.pth`` file, read with ``weights_only=True``. NumPy numbers become placeholders.

    Of a ``.safetensors`` file that save_safetensors wrote, the content is ``params`` in float32 and the record; of
    another one, the tensors by name.

    Raises:
        CheckpointError: The file is missing, cut off, no checkpoint, or holds more than tensors and plain containers;
            the message then names what it holds. Nothing of it has been run.
    """
    if os.path.isdir(path):
        raise CheckpointError(f'{path}: {_describe_folder(path)}')
    if not os.path.isfile(path):
        raise CheckpointError(f'{path}: no such file; expected a checkpoint (.pth or .safetensors).')
    for beginning, what in _OTHER_FILES.items():
        with open(path, 'rb') as file:
            if file.read(256).lstrip().lower().startswith(beginning):
                raise CheckpointError(f'{path}: {what}')
    if path.endswith('.safetensors'):
        return _load_safetensors(path)
    try:
        with _skip_numpy_numbers():
            return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises a dozen types here
        reason = str(error)
    refused = re.search(r'GLOBAL (\S+)', reason)
    if refused:
        raise CheckpointError(
            f'{path}: cannot be read as a checkpoint of plain tensors; it also holds {refused[1]}. Only tensors, '
            'numbers and plain containers are loaded, since other objects can run code; none was run. Save the state '
            'dict alone where the file is trusted.')
    reason = reason.split('WeightsUnpickler error:')[-1].strip().split('\n')[0]
    raise CheckpointError(f'{path}: cannot be read as a checkpoint; it is cut off or no file of torch.save ({reason}).')


_OTHER_FILES = {
    b'version https://git-lfs': 'is a pointer of git-lfs, no weights; `git lfs pull` in its repository fetches them.',
    **dict.fromkeys((b'<!doctype', b'<html', b'<?xml'), 'is a saved web page; download the file that the page offers.'),
    **dict.fromkeys((b'\x04\x00\x00\x00\x01\x00\x00\x00', b'4\n1\n3\nv 1'),
                    'is a file of Torch7 (.t7), which PyTorch cannot read; load it there and save its tensors.'),
}  # yapf: disable


def _describe_folder(path: str) -> str:
    names = sorted(os.listdir(path))
    if any(os.path.isfile(os.path.join(path, name, 'data.pkl')) for name in ('', *names)):
        return ('is a folder: an unpacked checkpoint. Browsers and archive tools unpack .pth files; download it again, '
                'or pack it without compression (`zip -0 -r ../dic.pth .` in the folder).')
    weights = [name for name in names if name.endswith(('.pth', '.safetensors'))]
    return f'is a folder; expected a file{f", such as {weights[-1]} in it" if weights else ""}.'


def _load_safetensors(path: str) -> Dict[str, Any]:
    try:
        with safe_open(path, framework='pt') as file:
            params = {name: file.get_tensor(name) for name in file.keys()}
            record = (file.metadata() or {}).get(RECORD)
        if record is None:
            return params
        params.pop(STEPS, None)  # the record has it
        return {'params': {name: value.float() for name, value in params.items()}, RECORD: json.loads(record)}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f'{path}: cannot be read; it is cut off or no file of safetensors ({error}).') from error


def load_params(path: str, param_key: Optional[str] = 'params') -> Dict[str, Tensor]:
    """Return the state dict in a checkpoint of BasicSR.

    Args:
        path: The file.
        param_key: 'params', 'params_ema' (which falls back to 'params', as in BasicSR), or None for a bare state dict.

    Raises:
        CheckpointError: As load_tensors, or there is no state dict under this key.
    """
    content = load_tensors(path)
    if param_key is None:
        return state_dict_in(content, path)
    for key in (param_key, 'params'):
        if isinstance(content, Mapping) and key in content:
            return state_dict_in(content[key], path, f'`{key}`')
    raise CheckpointError(f'{path}: has no {param_key!r}; expected a checkpoint of BasicSR. Published checkpoints are '
                          'converted by dic-convert.')


def state_dict_in(content: Any,
                  path: str,
                  where: str = 'the file',
                  expected: str = 'names and tensors') -> Dict[str, Tensor]:
    """Return the state dict that a part of a file is, in float32.

    Names lose the ``module.`` of DataParallel and the ``_orig_mod.`` of torch.compile before them.

    Raises:
        CheckpointError: It is no state dict.
    """
    if not isinstance(content, Mapping) or not content or not all(
            isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        found = some_keys(content) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(f'{path}: {where} holds no state dict but {found}; expected {expected}.')
    for prefix in ('module.', '_orig_mod.') * 2:  # in either order
        if all(key.startswith(prefix) for key in content):
            content = {key[len(prefix):]: value for key, value in content.items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in content.items()}


def some_keys(keys: Iterable[Any]) -> str:
    """Return the first three keys, for a message."""
    every = list(map(str, keys))
    return ', '.join(every[:3] + ['...'] * (len(every) > 3)) or 'nothing'


def check_shapes(params: Mapping[str, Tensor], expected: Mapping[str, torch.Size], path: str, what: str) -> None:
    """Compare names and shapes.

    Raises:
        CheckpointError: Names the first three missing, surplus and wrongly shaped keys.
    """
    wrong = {
        'missing': [key for key in expected if key not in params],
        'surplus': [key for key in params if key not in expected],
        'of another shape': [
            f'{key} {tuple(params[key].shape)} instead of {tuple(shape)}' for key, shape in expected.items()
            if key in params and tuple(params[key].shape) != tuple(shape)
        ]
    }
    found = [f'{len(keys)} {kind}: {some_keys(keys)}' for kind, keys in wrong.items() if keys]
    if found:
        raise CheckpointError(f'{path}: does not hold the parameters of {what}; {"; ".join(found)}.')


def load_into(network: nn.Module, params: Mapping[str, Tensor], path: str) -> None:
    """Load a state dict strictly.

    Raises:
        CheckpointError: As check_shapes. The network is then unchanged.
    """
    expected = {key: value.shape for key, value in network.state_dict().items()}
    check_shapes(params, expected, path, f'this {type(network).__name__} (see its options in the option file)')
    network.load_state_dict(params)


def save_params(files: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write state dicts (values) as checkpoints of BasicSR (keys: paths): all of them whole, or none.

    Raises:
        OSError, RuntimeError: A file cannot be written. Existing files are then unchanged.
    """
    with ExitStack() as stack:  # none takes its place before the last is written
        for path, params in files.items():
            with open(stack.enter_context(atomic_write(path)), 'wb') as file:
                torch.save({'params': dict(params)}, file)


def save_safetensors(path: str, params: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write weights to hand over: in float16, with the record of their training as JSON in the file's metadata.

    The number of steps is also a tensor of its own: programs that read tensors alone need it (dic_plugin.spandrel).

    Raises:
        OSError, RuntimeError: The file cannot be written. An existing one is then unchanged.
        ValueError: A weight is too large for float16; names it.
    """
    half = {name: value.detach().cpu().half().contiguous() for name, value in params.items()}
    lost = [name for name, value in half.items() if not torch.isfinite(value).all()]
    if lost:
        raise ValueError(f'{lost[0]} holds values that float16 cannot (above 65,504, NaN or infinite).')
    steps = (record.get('network') or {}).get('num_steps')
    if steps is not None:
        half[STEPS] = torch.tensor(steps)
    with atomic_write(path) as temporary, open(temporary,
                                               'wb') as file:  # save_file's would be readable by its owner only
        file.write(save(half, {RECORD: json.dumps(record)}))
