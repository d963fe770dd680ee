"""Convolution of several maps, activation and residual as one operation: act(conv(cat(maps))) + residual.

Most of the published code's time on a CPU does not go into its convolutions, but into joining up to six maps of 256x256
before each 1x1 convolution, into PReLU's passes, and into memory that is handed out and taken back for both. The native
operation writes none of them; it is used automatically wherever it can be (see conv_act). On a GPU a Triton kernel and
BasicSR's fused_act take its place (see gpu_conv). Everywhere else there is the plain formulation in torch's own
operations: under autocast, compiled, traced, exported or counted.
"""
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling
from torch.nn import functional as F

from dic_plugin.ops import gpu_conv, native_conv

Slope = Union[None, float, Tensor]
Convolution = Union[nn.Conv2d, nn.ConvTranspose2d]
_KINDS = (Tensor, nn.Parameter)  # others may be anything
_HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')

_native: ContextVar[bool] = ContextVar('native', default=True)


def native_is_available() -> bool:
    """Return whether the native operation was built and runs on this CPU (AVX2 or AVX-512)."""
    return native_conv.level() > 0


@contextmanager
def native(enabled: bool) -> Iterator[None]:
    """Use our operations wherever possible (True) or torch's alone (False, for comparisons) in a ``with`` statement.

    This concerns the native operation on CPUs, and Triton and fused_act on GPUs.
    """
    token = _native.set(enabled)
    try:
        yield
    finally:
        _native.reset(token)


def with_present_choice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function such that it keeps the present choice of ``native`` when it is called elsewhere."""
    enabled = _native.get()

    def call(*args: Any) -> Any:
        with native(enabled):
            return function(*args)

    return call


def lay_out_weights(network: nn.Module) -> nn.Module:
    """Bring the weights of convolutions into the order in memory in which the native operation reads them, in place.

    Only their strides change (kernel position, input, output channel from the outermost), not shapes, values or
    checkpoints. Without it the operation sorts them at every call, which for the paper's hourglass is a tenth of the
    time of one face.
    """
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            layer.weight.data = layer.weight.data.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
        elif isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
    return network


def conv_act(maps: Sequence[Tensor],
             layer: Convolution,
             slope: Slope = None,
             residual: Optional[Tensor] = None,
             out: Optional[Tensor] = None) -> Tensor:
    """Return act(layer(cat(maps))) + residual.

    Native where there is a library for this CPU, everything is float32 on the CPU, the layer is an ordinary one without
    hooks that takes these maps, and nobody looks on (torch.compile, tracing, export, dispatch modes, forward-mode
    differentiation); otherwise plain, which also says what is wrong with maps that the layer does not take. The two
    agree to the rounding of float32 sums, in outputs and in gradients, and the native result does not depend on the
    number of threads. Derivatives of gradients need ``native(False)``.

    Autocast to bfloat16 asks for speed. Without gradients it gets bfloat16 from a CPU with AMX, with sums in float32;
    from any other it gets the native operation in float32, which is faster there than torch's bfloat16, and exact. With
    gradients, and in other types, autocast is left to torch's operations.

    Args:
        maps: ``B,C_i,h,w`` each. A layer with groups takes one.
        layer: the convolution, with the sum of the maps' channels as input.
        slope: of the activation for negative values: a number (0 is a ReLU) or a PReLU's parameter ``1``. None: none.
        residual: added after the activation, of the result's shape.
        out: memory for the result, apart from the maps', channels-last, of its shape: a hint, used by the native
            operation where no gradient is recorded. Its former content is lost.

    Returns:
        ``B,N,h',w'``; native: channels-last.
    """
    dtype = _native_type(maps, layer, residual)
    if dtype is None:
        way = _gpu_way(maps, layer, slope)
        return (way or _torch_conv_act)(maps, layer, slope, residual)
    maps = [x if x.dtype == dtype else x.to(dtype) for x in maps]
    # a residual of another type is as exact as it is (an image's own values, say)
    if residual is not None and (residual.dtype != dtype or residual.shape != _out_shape(maps, layer)):
        return conv_act(maps, layer, slope, None, out) + residual
    parameter = slope if isinstance(slope, Tensor) else None
    value = 1. if slope is None else float(slope.detach() if isinstance(slope, Tensor) else slope)
    tensors = (layer.weight, layer.bias, residual, parameter, *maps)
    if not (torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)):
        return _forward(maps, layer, value, residual, out)
    if value < 0 or (parameter is not None and value == 0) or (slope is not None and residual is not None):
        # the backward pass takes the sign before the activation from the result
        return _torch_conv_act(maps, layer, slope, residual)
    return _ConvAct.apply(layer, value, *tensors)


def reuses_memory(x: Tensor) -> bool:
    """Return whether conv_act on a map like ``x`` would use ``out``: natively, and without recording gradients."""
    return not torch.is_grad_enabled() and _type_for(x) is not None


def _torch_conv_act(maps: Sequence[Tensor], layer: Convolution, slope: Slope, residual: Optional[Tensor]) -> Tensor:
    y = _call(layer, maps[0] if len(maps) == 1 else torch.cat(tuple(maps), 1))
    if isinstance(slope, Tensor):
        y = F.prelu(y, slope)
    elif slope is not None:
        y = F.leaky_relu(y, slope) if slope else F.relu(y)
    return y if residual is None else y + residual


def _call(layer: Convolution, x: Tensor) -> Tensor:
    """Return layer(x), also where torch's backward pass refuses the strides of lay_out_weights (small maps, CPU)."""
    weight = layer.weight
    _, channels, height, width = weight.shape
    # not is_contiguous(memory_format=torch.channels_last): it looks past dimensions of 1, the backward pass does not
    is_usual = weight.is_contiguous() or weight.stride() == (channels * height * width, 1, width * channels, channels)
    if is_usual or not (torch.is_grad_enabled() and weight.requires_grad and _is_ordinary(layer)):
        return layer(x)
    convolve = F.conv_transpose2d if isinstance(layer, nn.ConvTranspose2d) else F.conv2d
    return convolve(x, weight.contiguous(), layer.bias, layer.stride, _padding(layer), groups=layer.groups)


def _native_type(maps: Sequence[Tensor], layer: Convolution, residual: Optional[Tensor]) -> Optional[torch.dtype]:
    """Return the type in which the native operation computes this, or None if it does not."""
    if not (_is_ordinary(layer) and _takes(layer, maps)):
        return None
    tensors = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    if any([x.dtype != torch.float32 for x in tensors]):
        return None
    tensors.extend(maps)
    if residual is not None:
        tensors.append(residual)
    return _type_for(*tensors)


def _gpu_way(maps: Sequence[Tensor], layer: Convolution, slope: Slope) -> Optional[Callable[..., Tensor]]:
    """Return the function that computes this on a GPU faster than torch's operations, or None."""
    if not gpu_conv.is_on_gpu(*maps, layer.weight) or is_compiling() or not _native.get() or _is_watched():
        return None
    if not (_is_ordinary(layer) and _takes(layer, maps)):
        return None
    return gpu_conv.way_for(maps, layer, slope)


def _type_for(*tensors: Tensor) -> Optional[torch.dtype]:
    # Lists where generators would read better: 300 calls for a face, in a small network a tenth of the time in Python.
    if is_compiling() or not _native.get() or not native_conv.level() or _is_watched():
        return None
    if not all([x.is_cpu and type(x) in _KINDS and x.numel() for x in tensors]):
        return None
    dtypes = {x.dtype for x in tensors}
    if not torch.is_autocast_enabled('cpu'):
        return torch.float32 if dtypes == {torch.float32} else None
    if not dtypes <= {torch.float32, torch.bfloat16
                      } or torch.get_autocast_dtype('cpu') != torch.bfloat16 or torch.is_grad_enabled():
        return None
    return torch.bfloat16 if native_conv.bf16_level() else torch.float32


def _find_signs() -> Optional[Tuple[Callable[[], int], Callable[[], Any]]]:
    """Look up the private names by which torch shows that its operations are observed.

    Returns:
        Functions that return the number of dispatch modes and the innermost functorch transform (or None). None if this
        version of torch lacks one of the names that the native operation depends on.
    """
    try:
        signs = torch._C._len_torch_dispatch_stack, torch._C._functorch.peek_interpreter_stack
        forward_ad._current_level
    except AttributeError:
        return None
    return signs


_SIGNS = _find_signs()  # once: they are called before every convolution


def _is_watched() -> bool:
    """Return whether torch's own operations must run because something observes them, or may do so unnoticed."""
    if _SIGNS is None:
        return True
    num_dispatch_modes, functorch_transform = _SIGNS
    return (torch.jit.is_tracing() or num_dispatch_modes() > 0 or functorch_transform() is not None
            or forward_ad._current_level >= 0)


def _is_ordinary(layer: Convolution) -> bool:
    """Return whether the layer is a convolution that the native operation computes."""
    transposed = type(layer) is nn.ConvTranspose2d
    return ((transposed or type(layer) is nn.Conv2d) and isinstance(layer.padding, tuple)
            and layer.padding[0] == layer.padding[1] and layer.stride[0] == layer.stride[1] and layer.dilation == (1, 1)
            and layer.padding_mode == 'zeros' and layer.output_padding == (0, 0)
            and not (transposed and layer.groups > 1) and not has_hooks(layer))


def has_hooks(layer: nn.Module) -> bool:
    """Return whether something wants to be called with the layer's inputs, outputs or gradients.

    The names are private: where a version of torch lacks one, every layer counts as having hooks.
    """
    return any([getattr(layer, name, True) for name in _HOOKS])


def _takes(layer: Convolution, maps: Sequence[Tensor]) -> bool:
    """Return whether the layer accepts maps of these shapes and its output is not empty."""
    shapes = [tuple(x.shape) for x in maps]
    if any([len(shape) != 4 for shape in shapes]) or (layer.groups > 1 and len(maps) > 1):
        return False
    num_in_ch = 0
    for batch, num_ch, height, width in shapes:
        num_in_ch += num_ch
        if (batch, height, width) != (shapes[0][0], *shapes[0][2:]):
            return False
    return num_in_ch == layer.in_channels and min(_out_shape(maps, layer)) > 0


def _padding(layer: Convolution) -> int:
    """Return the padding of an ordinary layer, which is the same on all sides."""
    return int(layer.padding[0])


def _out_shape(maps: Sequence[Tensor], layer: Convolution) -> Tuple[int, ...]:
    stride, padding, (kernel_height, kernel_width) = layer.stride[0], _padding(layer), layer.kernel_size
    batch, _, height, width = maps[0].shape
    if isinstance(layer, nn.ConvTranspose2d):
        height = (height - 1) * stride - 2 * padding + kernel_height
        width = (width - 1) * stride - 2 * padding + kernel_width
    else:
        height = (height + 2 * padding - kernel_height) // stride + 1
        width = (width + 2 * padding - kernel_width) // stride + 1
    return batch, layer.out_channels, height, width


def _grouped(weight: Tensor, layer: Convolution) -> Tensor:
    """Return a view of the weight, ``groups,out,in,kh,kw``."""
    grouped = weight[None] if layer.groups == 1 else weight.unflatten(0, (layer.groups, -1))
    return grouped.transpose(1, 2) if isinstance(layer, nn.ConvTranspose2d) else grouped


def _forward(maps: Sequence[Tensor], layer: Convolution, slope: float, residual: Optional[Tensor],
             out: Optional[Tensor]) -> Tensor:
    shape = _out_shape(maps, layer)
    if out is None or out.dtype != maps[0].dtype or out.shape != shape or not native_conv.has_pixel_rows(out):
        out = _channels_last(shape, maps[0])
    return native_conv.convolve(maps, _grouped(layer.weight, layer), layer.bias, layer.stride[0], _padding(layer),
                                isinstance(layer, nn.ConvTranspose2d), out, slope, residual)


def _channels_last(shape: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


class _ConvAct(torch.autograd.Function):
    """The native operation with its gradients. Kept for them: maps and result, which the next layer keeps as well."""

    @staticmethod
    def forward(ctx: Any, layer: Convolution, slope: float, weight: Tensor, bias: Optional[Tensor],
                residual: Optional[Tensor], parameter: Optional[Tensor], *maps: Tensor) -> Tensor:
        out = _forward(maps, layer, slope, residual, None)
        ctx.layer, ctx.slope = layer, slope
        ctx.save_for_backward(weight, out if slope != 1 or parameter is not None else None, *maps)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        layer, slope = ctx.layer, ctx.slope
        weight, out, *maps = ctx.saved_tensors
        _, _, needs_weight, needs_bias, needs_residual, needs_parameter, *needs_maps = ctx.needs_input_grad
        grad = native_conv.pixel_rows(grad)
        grad_residual = grad if needs_residual else None
        grad_bias = grad_parameter = None
        if out is not None:
            grad, grad_bias, slope_sum = native_conv.before_activation(grad, native_conv.pixel_rows(out), slope)
            grad_parameter = slope_sum / slope if needs_parameter else None
        elif needs_bias:
            grad_bias = grad.sum((0, 2, 3))
        grad_maps = _grad_maps(grad, weight, layer, maps, needs_maps)
        grad_weight = _grad_weight(grad, weight, layer, maps) if needs_weight else None
        return (None, None, grad_weight, grad_bias if needs_bias else None, grad_residual, grad_parameter, *grad_maps)


def _grad_maps(grad: Tensor, weight: Tensor, layer: Convolution, maps: Sequence[Tensor],
               needed: Sequence[bool]) -> List[Optional[Tensor]]:
    """Return the gradients of the maps: the transposed convolution of the output's gradient."""
    turned = _grouped(weight, layer).transpose(1, 2)
    transposed = not isinstance(layer, nn.ConvTranspose2d)
    grads: List[Optional[Tensor]] = []
    first = 0
    for x, is_needed in zip(maps, needed):
        num_ch = x.shape[1] // layer.groups
        if is_needed:
            grads.append(
                native_conv.convolve([grad], turned[:, first:first + num_ch], None, layer.stride[0], _padding(layer),
                                     transposed, _channels_last(x.shape, x)))
        else:
            grads.append(None)
        first += num_ch
    return grads


def _grad_weight(grad: Tensor, weight: Tensor, layer: Convolution, maps: Sequence[Tensor]) -> Tensor:
    if layer.kernel_size == (1, 1) and layer.stride == (1, 1) and layer.padding == (0, 0) and layer.groups == 1:
        rows = grad.permute(0, 2, 3, 1).reshape(-1, grad.shape[1]).t()
        parts = [rows @ x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in maps]
        grad_weight = torch.cat(parts, 1)[:, :, None, None]
        return grad_weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else grad_weight
    x = maps[0] if len(maps) == 1 else torch.cat(tuple(maps), 1)
    # only its shape counts, but torch refuses the strides of lay_out_weights
    weight = torch.empty_like(weight, memory_format=torch.contiguous_format)
    return torch.ops.aten.convolution_backward(grad, x, weight, None, layer.stride, layer.padding, layer.dilation,
                                               isinstance(layer, nn.ConvTranspose2d), layer.output_padding,
                                               layer.groups, [False, True, False])[1]
