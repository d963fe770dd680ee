"""Which of two faster ways a GPU has for a convolution with activation: a Triton kernel or BasicSR's fused_act.

Not measured on a GPU yet: ``scripts/measure/speed.py --device cuda`` compares both with torch's own operations.
"""
from typing import Any, Callable, Optional, Sequence, Union

import torch
from basicsr.ops.fused_act import fused_act, fused_leaky_relu
from torch import Tensor, nn
from torch.nn import functional as F

from dic_plugin.ops import triton_conv

Convolution = Union[nn.Conv2d, nn.ConvTranspose2d]
_TYPES = (torch.float32, torch.float16, torch.bfloat16)


def is_on_gpu(*tensors: Tensor) -> bool:
    """Return whether all tensors are on a CUDA device."""
    return all([x.is_cuda for x in tensors])


def has_fused_act() -> bool:
    """Return whether BasicSR's CUDA extension was built (``BASICSR_EXT=True``)."""
    return hasattr(fused_act, 'fused_act_ext')


def way_for(maps: Sequence[Tensor], layer: Convolution, slope: Any) -> Optional[Callable[..., Tensor]]:
    """Return a function like ``conv_act`` for an ordinary layer on a GPU, or None where torch's operations serve best.

    Several maps into a 1x1 convolution go to Triton, where it is installed: nothing is concatenated. Of the others,
    those with a bias and an activation of known slope go to fused_act, where it was built: one pass over the result
    instead of two. It knows float32 and float16 and NCHW only. A PReLU's slope is known where ``fix_slopes`` made it
    so: reading it from the GPU for every call would wait for the GPU every time.
    """
    dtype = _type_of(maps[0])
    if dtype not in _TYPES or not all([x.dtype in _TYPES for x in (*maps, layer.weight)]):
        return None
    is_1x1 = (
        type(layer) is nn.Conv2d and layer.kernel_size == (1, 1) and layer.stride == (1, 1) and layer.padding == (0, 0)
        and layer.groups == 1)
    if len(maps) > 1 and is_1x1:
        return _by_triton if triton_conv.is_available() else None
    # the extension's backward pass takes the sign before the activation from the result
    has_known_slope = layer.bias is not None and isinstance(slope, float) and slope >= 0
    if has_known_slope and dtype != torch.bfloat16 and all([x.is_contiguous() for x in maps]) and has_fused_act():
        return _by_fused_act
    return None


def fix_slopes(network: nn.Module) -> nn.Module:
    """Replace every PReLU of one parameter by the LeakyReLU of its present slope, in place, for inference."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.PReLU and layer.num_parameters == 1:
                setattr(parent, name, nn.LeakyReLU(float(layer.weight)))
    return network


def _type_of(x: Tensor) -> torch.dtype:
    """Return the type in which a convolution of ``x`` is computed."""
    return torch.get_autocast_dtype('cuda') if torch.is_autocast_enabled('cuda') else x.dtype


def _by_triton(maps: Sequence[Tensor], layer: nn.Conv2d, slope: Any, residual: Optional[Tensor]) -> Tensor:
    dtype = _type_of(maps[0])
    apart = None  # what torch's rules of types or shapes decide
    if residual is not None and (residual.dtype != dtype or residual.shape[1:]
                                 != (layer.out_channels, *maps[0].shape[2:]) or len(residual) != len(maps[0])):
        residual, apart = None, residual
    y = triton_conv.conv1x1_act([x.to(dtype) for x in maps], layer.weight.to(dtype), layer.bias, slope, residual)
    return y if apart is None else y + apart


def _by_fused_act(maps: Sequence[Tensor], layer: Convolution, slope: float, residual: Optional[Tensor]) -> Tensor:
    x = maps[0] if len(maps) == 1 else torch.cat(tuple(maps), 1)
    convolve: Any = F.conv_transpose2d if isinstance(layer, nn.ConvTranspose2d) else F.conv2d
    y = convolve(x, layer.weight, None, layer.stride, layer.padding, groups=layer.groups)
    assert layer.bias is not None, 'way_for looked'
    y = fused_leaky_relu(y.contiguous(), layer.bias.to(y.dtype), slope, 1.)
    return y if residual is None else y + residual
