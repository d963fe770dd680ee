"""The options ``amp``, ``channels_last`` and ``compile`` of every training model, see FaceModel."""
from typing import Any, Dict, Mapping, Optional

import torch
from torch import nn
from torch.optim import Optimizer

from dic_plugin.ops import ConvSequential, lay_out_weights, native_is_available
from dic_plugin.utils.option_values import OptionError, choice, flag

SPEED_KEYS = {'amp': choice('bf16', 'fp16'), 'channels_last': flag, 'compile': flag}
DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def check_speed_options(opt: Mapping[str, Any]) -> None:
    """Raise OptionError if this machine or its torch lacks what an option asks for."""
    amp, compiles = opt.get('amp'), opt.get('compile')
    if amp == 'fp16' and opt['num_gpu'] == 0:
        raise OptionError('amp is fp16, which is for GPUs, and num_gpu is 0; expected bf16 on a CPU.')
    if amp == 'bf16' and opt['num_gpu'] != 0 and not _gpu_has_bf16():
        raise OptionError(f'amp is bf16, which {torch.cuda.get_device_name()} cannot compute; expected fp16.')
    if (amp or compiles) and opt['num_gpu'] > 1 and not opt.get('dist'):
        # The threads of DataParallel start with autocast's default type and call the compiled network of the first GPU.
        raise OptionError(f'{"amp" if amp else "compile"} is {amp or "true"}, but num_gpu is {opt["num_gpu"]} without '
                          'a distributed launch; expected num_gpu: 1, or a launch by torchrun with '
                          '--launcher pytorch.')


def _gpu_has_bf16() -> bool:
    # torch.cuda.is_bf16_supported() also counts GPUs before Ampere, which emulate it in float32.
    return not torch.version.cuda or torch.cuda.get_device_capability()[0] >= 8


def uses_channels_last(opt: Mapping[str, Any], device: torch.device) -> bool:
    """Return the option ``channels_last``, by default true on a CPU only."""
    given = opt.get('channels_last')
    # On a CPU it reduced the time of a training step of options/train_DIC.yml to 0.7; GPUs were not measured.
    return device.type == 'cpu' if given is None else given


def lay_out(net: nn.Module, opt: Mapping[str, Any], device: torch.device, by_torch: bool) -> None:
    """Bring weights into the memory order that is fastest to read, in place, unless ``channels_last`` is false.

    Args:
        net: The network.
        opt: The options of the run.
        device: Where the network will run.
        by_torch: Whether torch's own operations will run it: compiled, or with gradients under autocast.
    """
    if not uses_channels_last(opt, device):
        return
    net.to(memory_format=torch.channels_last)
    runs_native = device.type == 'cpu' and not by_torch and native_is_available()
    if runs_native and any(isinstance(module, ConvSequential) for module in net.modules()):
        lay_out_weights(net)


def float32(outputs: Any) -> Any:
    """Return a tensor, or lists and (named) tuples of tensors at any depth, as float32."""
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    parts = [float32(part) for part in outputs]
    return type(outputs)(*parts) if hasattr(outputs, '_fields') else type(outputs)(parts)


def grad_scaler(optimizer: Optimizer, amp: Optional[str], device_type: str) -> torch.amp.GradScaler:
    """Return a gradient scaler, enabled for fp16, whose state is saved and loaded with the optimizer's.

    The state dict of the optimizer gets the keys ``amp`` and ``grad_scaler``, which other loaders ignore.
    """
    scaler = torch.amp.GradScaler(device_type, enabled=amp == 'fp16')

    def save(_: Optimizer, state: Dict[str, Any]) -> None:
        if amp:
            state.update(amp=amp, grad_scaler=scaler.state_dict())

    def load(_: Optimizer, state: Dict[str, Any]) -> None:
        if scaler.is_enabled() and state.get('grad_scaler'):
            scaler.load_state_dict(state['grad_scaler'])

    optimizer.register_state_dict_post_hook(save)
    optimizer.register_load_state_dict_pre_hook(load)
    return scaler


def move_amp_state(state: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a training state with its scalers in the optimizers; older versions kept them among the schedulers."""
    schedulers = [each for each in state['schedulers'] if 'amp' not in each]
    optimizers = state['optimizers']
    for old in (each for each in state['schedulers'] if 'amp' in each):
        optimizers = [{**each, 'amp': old['amp'], 'grad_scaler': scaler}
                      for each, scaler in zip(optimizers, old['scalers'])]  # yapf: disable
    return {**state, 'optimizers': optimizers, 'schedulers': schedulers}
