"""1x1 convolution of several maps, activation and residual on a GPU, as one Triton kernel, with gradients.

It reads the maps where they are: torch's own operations would join them first, for every 1x1 convolution of the
projection groups, and would keep the copies for the gradients. Without gradients recorded nothing but the result is
written. Triton comes with torch on Linux; with ``TRITON_INTERPRET=1`` the kernel runs on the CPU, as in the tests.
"""
import importlib.util
from functools import lru_cache
from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PIXELS, CHANNELS_IN, MAX_CHANNELS_OUT = 64, 16, 64  # of a tile; not tuned: no GPU was at hand


@lru_cache(maxsize=None)
def is_available() -> bool:
    """Return whether Triton is installed and can be handed lists of maps (3.3 and later)."""
    if importlib.util.find_spec('triton') is None:
        return False
    import triton
    return tuple(int(part) for part in triton.__version__.split('.')[:2]) >= (3, 3)


def conv1x1_act(maps: Sequence[Tensor], weight: Tensor, bias: Optional[Tensor], slope: Any,
                residual: Optional[Tensor]) -> Tensor:
    """Return act(conv(cat(maps)) + bias) + residual, differentiable once.

    Args:
        maps: ``B,C_i,h,w`` each, of one type: float32, float16 or bfloat16; any strides. Sums are in float32, in TF32
            where torch allows it to cuDNN.
        weight: ``N,C,1,1``, C the sum of the C_i; of the maps' type.
        bias: ``N`` or None; of any of the types.
        slope: of the activation for negative values: a number, a PReLU's parameter ``1``, or None for no activation.
        residual: ``B,N,h,w`` or None; of any of the types.

    Returns:
        ``B,N,h,w`` of the maps' type, in the memory order of the first map.
    """
    number, parameter = (None, slope) if isinstance(slope, Tensor) else (slope, None)
    return _Conv1x1Act.apply(number, weight, bias, residual, parameter, *maps)


def convolve(maps: Sequence[Tensor],
             weight: Tensor,
             bias: Optional[Tensor] = None,
             slope: Any = None,
             residual: Optional[Tensor] = None) -> Tensor:
    """The same without gradients; ``weight``: ``N,C`` with any strides."""
    from dic_plugin.ops.triton_kernel import conv1x1_kernel
    maps = [_with_one_pixel_stride(x) for x in maps]
    batch, _, height, width = maps[0].shape
    num_out = weight.shape[0]
    memory_format = torch.channels_last if _is_channels_last(maps[0]) else torch.contiguous_format
    out = torch.empty((batch, num_out, height, width),
                      dtype=maps[0].dtype,
                      device=maps[0].device,
                      memory_format=memory_format)
    residual = None if residual is None else _with_one_pixel_stride(residual)
    block_out = min(MAX_CHANNELS_OUT, max(16, 1 << (num_out - 1).bit_length()))
    pixels = height * width
    grid = (-(-pixels // PIXELS), batch, -(-num_out // block_out))
    tf32 = maps[0].dtype == torch.float32 and torch.backends.cudnn.allow_tf32
    conv1x1_kernel[grid](
        tuple(maps),
        tuple(x.shape[1] for x in maps),
        tuple(_strides(x) for x in maps),
        weight,
        weight.stride(),
        bias,
        slope if isinstance(slope, Tensor) else None,
        0. if slope is None or isinstance(slope, Tensor) else float(slope),
        residual,
        _strides(residual) if residual is not None else (0, 0, 0),
        out,
        _strides(out),
        num_out,
        pixels,
        HAS_ACTIVATION=slope is not None,
        PRECISION='tf32' if tf32 else 'ieee',
        WIDEN=maps[0].dtype == torch.bfloat16 and not maps[0].is_cuda,  # the interpreter multiplies no bfloat16
        PIXELS=PIXELS,
        CHANNELS_IN=CHANNELS_IN,
        CHANNELS_OUT=block_out)
    return out


def _with_one_pixel_stride(x: Tensor) -> Tensor:
    """Return ``x`` (``B,C,h,w``), or a copy if its pixels are not at equal distances in memory."""
    height, width = x.shape[2:]
    return x if height == 1 or width == 1 or x.stride(2) == width * x.stride(3) else x.contiguous()


def _strides(x: Tensor) -> Tuple[int, int, int]:
    """Return the distances in memory of images, channels and pixels."""
    batch, channel, row, pixel = x.stride()
    return batch, channel, row if x.shape[3] == 1 else pixel


def _is_channels_last(x: Tensor) -> bool:
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


class _Conv1x1Act(torch.autograd.Function):
    """Kept for the gradients: the maps, which the next layers keep as well. What is before the activation is computed
    again, which is right for any slope and reads no more than the gradient of the weight does."""

    @staticmethod
    def forward(ctx: Any, slope: Optional[float], weight: Tensor, bias: Optional[Tensor], residual: Optional[Tensor],
                parameter: Optional[Tensor], *maps: Tensor) -> Tensor:
        ctx.slope = slope
        ctx.save_for_backward(weight, bias, parameter, *maps)
        return convolve(maps, weight[:, :, 0, 0], bias, slope if parameter is None else parameter, residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        weight, bias, parameter, *maps = ctx.saved_tensors
        _, needs_weight, needs_bias, needs_residual, _, *needs_maps = ctx.needs_input_grad
        grad_residual = grad if needs_residual else None
        grad_parameter = None
        if ctx.slope is not None or parameter is not None:
            before = convolve(maps, weight[:, :, 0, 0], bias)
            if parameter is not None:
                grad_parameter = torch.sum(grad * before.clamp(max=0), dtype=torch.float32).reshape(1)
                grad_parameter = grad_parameter.to(parameter.dtype)
            slope = ctx.slope if parameter is None else parameter
            grad = torch.where(before > 0, grad, (grad * slope).to(grad.dtype))  # at 0 as torch does
        turned = weight[:, :, 0, 0].t().split([x.shape[1] for x in maps])
        grad_maps: List[Optional[Tensor]] = [
            convolve([grad], part) if needed else None for part, needed in zip(turned, needs_maps)
        ]
        grad_weight = grad_bias = None
        if needs_weight:
            rows = grad.flatten(2)
            grad_weight = torch.cat([(rows @ x.flatten(2).mT).sum(0) for x in maps], 1)[:, :, None, None]
        if needs_bias:
            grad_bias = grad.sum((0, 2, 3)).to(bias.dtype)
        return (None, grad_weight, grad_bias, grad_residual, grad_parameter, *grad_maps)
