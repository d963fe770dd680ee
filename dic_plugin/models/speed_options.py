"""The options ``amp``, ``channels_last`` and ``compile`` of every training model: checks, mixed precision, layout.

What they do is told in FaceModel's docstring.
"""
from contextlib import nullcontext
from typing import Any, ContextManager, Dict, List, Mapping, Optional

import torch
from basicsr.utils import get_root_logger
from torch import nn
from torch.optim import Optimizer

from dic_plugin.ops import ConvSequential, lay_out_weights, native_is_available
from dic_plugin.utils.option_values import OptionError, choice, flag

SPEED_KEYS = {'amp': choice('bf16', 'fp16'), 'channels_last': flag, 'compile': flag}
DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def check_speed_options(opt: Mapping[str, Any]) -> None:
    """Refuse what is unknown and what this machine or its torch cannot do.

    Raises:
        OptionError: names the option.
    """
    amp, compiles = opt.get('amp'), opt.get('compile')
    if amp == 'fp16' and opt['num_gpu'] == 0:
        raise OptionError('amp is fp16, which is for GPUs, and num_gpu is 0; expected bf16 on a CPU.')
    if amp == 'bf16' and opt['num_gpu'] != 0 and not _gpu_has_bf16():
        raise OptionError(f'amp is bf16, which {torch.cuda.get_device_name()} cannot compute; expected fp16.')
    if (amp or compiles) and opt['num_gpu'] > 1 and not opt.get('dist'):
        # DataParallel's threads start with autocast's default type and call the first GPU's compiled network
        raise OptionError(f'{"amp" if amp else "compile"} is {amp or "true"}, but num_gpu is {opt["num_gpu"]} without '
                          'a distributed launch; expected num_gpu: 1, or a launch by torchrun with '
                          '--launcher pytorch.')


def _gpu_has_bf16() -> bool:
    # torch.cuda.is_bf16_supported() counts GPUs before Ampere, on which it takes a detour by float32
    return not torch.version.cuda or torch.cuda.get_device_capability()[0] >= 8


def uses_channels_last(opt: Mapping[str, Any], device: torch.device) -> bool:
    """The option ``channels_last``, by default true on a CPU only."""
    given = opt.get('channels_last')
    # On a CPU a training step of options/train_DIC.yml took 0.7 of the time so; GPUs were not measured.
    return device.type == 'cpu' if given is None else given


def lay_out(net: nn.Module, opt: Mapping[str, Any], device: torch.device, by_torch: bool) -> nn.Module:
    """Bring the weights into the order in memory that is fastest to read, in place; ``channels_last: false`` does not.

    Args:
        net: the network.
        opt: the options of the run.
        device: where the network will run.
        by_torch: whether torch's own operations will run it, compiled or with gradients under autocast.
    """
    if not uses_channels_last(opt, device):
        return net
    net.to(memory_format=torch.channels_last)
    runs_native = device.type == 'cpu' and not by_torch and native_is_available()
    if runs_native and any(isinstance(module, ConvSequential) for module in net.modules()):
        lay_out_weights(net)
    return net


def float32(outputs: Any) -> Any:
    """The same with float32 tensors: of a tensor, or of lists and (named) tuples of such at any depth."""
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    parts = [float32(part) for part in outputs]
    return type(outputs)(*parts) if hasattr(outputs, '_fields') else type(outputs)(parts)


class MixedPrecision:
    """The option ``amp``: autocast of forward passes and, for fp16, gradients scaled so that they do not vanish.

    Every optimizer has a gradient scaler of its own: where the discriminator's gradients overflow, only its step is
    left out and only its scale lowered. Without fp16 the scalers do nothing.

    BasicSR saves and resumes schedulers, so this is offered to it as one.

    Args:
        name: 'bf16', 'fp16', or None for float32.
        device_type: 'cpu' or 'cuda'.
    """

    def __init__(self, name: Optional[str], device_type: str) -> None:
        self.name = name
        self.device_type = device_type
        self.scalers: Dict[int, Any] = {}  # by the optimizer's id, in the order of the optimizers

    def autocast(self) -> ContextManager:
        """Inside, networks run in the type asked for."""
        return torch.autocast(self.device_type, DTYPES[self.name]) if self.name else nullcontext()

    def add_scalers(self, optimizers: List[Optimizer]) -> None:
        """Provide for these optimizers."""
        for optimizer in optimizers:
            self.scalers[id(optimizer)] = torch.amp.GradScaler(self.device_type, enabled=self.name == 'fp16')

    def backward(self, loss: torch.Tensor, optimizer: Optimizer) -> None:
        """Gradients of a loss on the optimizer's parameters, scaled by its scaler."""
        self.scalers[id(optimizer)].scale(loss).backward()

    def optimize(self, optimizer: Optimizer) -> None:
        """The optimizer's step with unscaled gradients; in fp16 left out where one of them is not finite."""
        scaler = self.scalers[id(optimizer)]
        scaler.step(optimizer)
        scaler.update()

    # ------------------------------------------------------------- as one of BasicSR's schedulers
    def step(self) -> None:
        """Nothing: a scheduler's is called before every iteration."""

    def state_dict(self) -> Dict[str, Any]:
        """What a resumed training needs, of plain values."""
        return dict(amp=self.name, scalers=[scaler.state_dict() for scaler in self.scalers.values()])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, of the same ``amp``."""
        for scaler, saved in zip(self.scalers.values(), state['scalers']):
            scaler.load_state_dict(saved)

    def adapt(self, resume_state: Mapping[str, Any]) -> Dict[str, Any]:
        """A training state, saved under any ``amp``, as BasicSR resumes it under this one; a change is logged.

        Weights and optimizers' states are of float32 under any, so nothing but the scale of gradients starts anew.
        """
        schedulers = [state for state in resume_state['schedulers'] if 'amp' not in state]
        saved = next((state for state in resume_state['schedulers'] if 'amp' in state), dict(amp=None))
        if saved['amp'] != self.name:
            get_root_logger().warning(f'The training to resume ran with amp: {saved["amp"] or "~"}; it goes on with '
                                      f'amp: {self.name or "~"}. Its weights and optimizers fit.')
            saved = self.state_dict()
        return {**resume_state, 'schedulers': schedulers + ([saved] if self.name else [])}
