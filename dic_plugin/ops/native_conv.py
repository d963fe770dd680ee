"""The compiled convolution of ``src/conv_act.cpp``, called on tensors.

It is built with the package where there is a C++ compiler, needs nothing of torch but memory addresses, and so survives
torch's updates. Without it, or on a CPU without AVX2, there is no level of it.
"""
import ctypes
import glob
import os.path as osp
import warnings
from functools import lru_cache
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor

VERSION = 3  # as in src/conv_problem.h
AVX2, AVX512, EMULATED_AMX, AMX = 1, 2, 3, 4  # levels, as in src/conv_act.cpp


class _Map(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), ('channels', ctypes.c_int64), ('stride', ctypes.c_int64)]


class _Problem(ctypes.Structure):
    """Mirrors ConvProblem of src/conv_problem.h, which explains the fields."""
    _fields_ = [  # type: ignore[assignment]
        ('maps', ctypes.POINTER(_Map)),
        *((name, ctypes.c_void_p if name in ('out', 'residual', 'weight', 'bias') else ctypes.c_int64)
          for name in ('num_maps', 'batch', 'height', 'width', 'out', 'out_stride', 'out_height', 'out_width',
                       'out_channels', 'residual', 'residual_stride', 'weight', 'weight_group', 'weight_out',
                       'weight_in', 'weight_y', 'weight_x', 'bias', 'kernel_height', 'kernel_width', 'step', 'padding',
                       'groups', 'transposed')),
        ('slope', ctypes.c_float),
        ('num_threads', ctypes.c_int64)
    ]  # yapf: disable


class _GradProblem(ctypes.Structure):
    """Mirrors GradProblem of src/conv_problem.h."""
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ('grad', 'out', 'before', 'bias_sum', 'slope_sum')),
        *((name, ctypes.c_int64) for name in ('pixels', 'channels', 'grad_stride', 'out_stride')),
        ('slope', ctypes.c_float),
        ('num_threads', ctypes.c_int64)
    ]  # yapf: disable


@lru_cache(maxsize=None)
def _library() -> Optional[ctypes.CDLL]:
    outdated = None
    for path in glob.glob(osp.join(glob.escape(osp.dirname(osp.abspath(__file__))), '_conv_act*.so')):
        try:
            library = ctypes.CDLL(path)
            library.conv_act_version.restype = ctypes.c_int
            version = library.conv_act_version()
        except (OSError, AttributeError):  # of another machine
            continue
        if version == ctypes.sizeof(_Problem) * 100 + VERSION:
            library.conv_act.restype = library.conv_act_grad.restype = None
            library.conv_act.argtypes = [ctypes.POINTER(_Problem), ctypes.c_int]
            library.conv_act_grad.argtypes = [ctypes.POINTER(_GradProblem), ctypes.c_int]
            library.conv_act_level.restype = library.conv_act_bf16_level.restype = ctypes.c_int
            return library
        outdated = path
    if outdated:
        warnings.warn(
            f'{outdated} was built from another version of its sources and is not used, which is several times '
            'slower on a CPU. Rebuild it: pip install --no-build-isolation -e .')
    return None


@lru_cache(maxsize=None)
def level() -> int:
    """Return how float32 is computed: AVX512 or AVX2; 0 if there is no library or the CPU has neither."""
    library = _library()
    return library.conv_act_level() if library else 0


@lru_cache(maxsize=None)
def bf16_level() -> int:
    """Return how bfloat16 is computed: AMX; 0 if the CPU has none, the system denies it, or its results are wrong.

    Without AMX a CPU with AVX-512 multiplies bfloat16 no faster than float32. There is EMULATED_AMX in the library, a
    hundred times slower, by which the tests try everything but the matrix unit itself; here it checks the unit once.
    """
    library = _library()
    if not library or library.conv_act_bf16_level() != AMX:
        return 0
    if agree(AMX, EMULATED_AMX):
        return AMX
    warnings.warn('This CPU\'s matrix unit (AMX) gives other results than its emulation and is not used.')
    return 0


def agree(level: int, other: int) -> bool:
    """Return whether two levels of bfloat16 agree but for the order of sums, with every tile and shape of rows."""
    generator = torch.Generator().manual_seed(0)
    for num_in_ch, num_out_ch, height in ((64, 64, 9), (48, 48, 20), (5, 7, 33)):
        shapes = (1, num_in_ch, height, 17), (1, num_out_ch, num_in_ch, 3, 3)
        # whatever the defaults are
        x, weight = (torch.randn(s, generator=generator, dtype=torch.float32, device='cpu') for s in shapes)
        x = x.bfloat16().to(memory_format=torch.channels_last)
        first, second = (
            convolve([x], weight, None, 1, 1, False,
                     x.new_empty(1, num_out_ch, height, 17).to(memory_format=torch.channels_last), 0.2, None,
                     way).float() for way in (level, other))
        if not torch.allclose(first, second, rtol=2**-7, atol=1e-3):
            return False
    return True


def can_emulate_amx() -> bool:
    """Return whether this CPU can run the emulated matrix unit, which needs AVX512_BF16."""
    library = _library()
    return library is not None and library.conv_act_bf16_level() > 0


def has_pixel_rows(x: Tensor) -> bool:
    """Return whether the pixels of ``x`` (``B,C,h,w``) are at equal distances in memory, channels innermost."""
    batch, channels, height, width = x.shape
    stride = x.stride()
    return ((stride[1] == 1 or channels == 1) and stride[2] == width * stride[3]
            and (batch == 1 or stride[0] == height * stride[2]))


def pixel_rows(x: Tensor) -> Tensor:
    """Return ``x`` (``B,C,h,w``) itself if it has pixel rows; otherwise a channels-last copy."""
    if has_pixel_rows(x):
        return x
    # not .contiguous(): it is content with strides that are ambiguous where a dimension is 1
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def convolve(maps: Sequence[Tensor],
             weight: Tensor,
             bias: Optional[Tensor],
             stride: int,
             padding: int,
             transposed: bool,
             out: Tensor,
             slope: float = 1.,
             residual: Optional[Tensor] = None,
             way: Optional[int] = None) -> Tensor:
    """Fill ``out`` with act(conv(cat(maps)) + bias) + residual.

    Args:
        maps: ``B,C_i,h,w`` each on the CPU, all float32, or all bfloat16 where there is a level for it. With groups,
            one.
        weight: ``groups,N/groups,C/groups,kh,kw``, float32, with any strides, also if transposed.
        bias: ``N``, float32, or None.
        stride, padding, transposed: as in torch.
        out: ``B,N,h',w'``, channels-last, of the maps' type. Its size is taken as it is.
        slope: of the activation for negative values. 1 is no activation.
        residual: of the output's shape and type, or None.
        way: the level; default: the best for the type.
    """
    maps = [pixel_rows(x) for x in maps]
    if residual is not None:
        residual = pixel_rows(residual)
    batch, _, height, width = maps[0].shape
    problem = _Problem(
        maps=(_Map * len(maps))(*[_Map(x.data_ptr(), x.shape[1], x.stride(3)) for x in maps]),
        num_maps=len(maps),
        batch=batch,
        height=height,
        width=width,
        out=out.data_ptr(),
        out_stride=out.stride(3),
        out_height=out.shape[2],
        out_width=out.shape[3],
        out_channels=out.shape[1],
        residual=None if residual is None else residual.data_ptr(),
        residual_stride=0 if residual is None else residual.stride(3),
        weight=weight.data_ptr(),
        **dict(zip(('weight_group', 'weight_out', 'weight_in', 'weight_y', 'weight_x'), weight.stride())),
        bias=None if bias is None else bias.data_ptr(),
        kernel_height=weight.shape[3],
        kernel_width=weight.shape[4],
        step=stride,
        padding=padding,
        groups=weight.shape[0],
        transposed=transposed,
        slope=slope,
        num_threads=torch.get_num_threads())
    if way is None:
        way = bf16_level() if out.dtype == torch.bfloat16 else level()
    library = _library()
    assert library is not None, 'callers ask for the level first'
    library.conv_act(ctypes.byref(problem), way)
    return out


def before_activation(grad: Tensor, out: Tensor, slope: float) -> Tuple[Tensor, Tensor, Tensor]:
    """Return the gradient before an activation, in one pass with its sums.

    Args:
        grad: Gradient of the activation's result, ``B,N,h,w`` float32 with pixel rows.
        out: That result, likewise.
        slope: Of the activation for negative values, not negative.

    Returns:
        ``B,N,h,w``, channels-last; its sum over pixels ``N``, the bias's gradient; ``1``: the sum of ``grad`` times the
        negative part of ``out``, which is ``slope`` times the gradient of a PReLU's parameter.
    """
    before = torch.empty_like(grad, memory_format=torch.channels_last)
    bias_sum, slope_sum = grad.new_empty(grad.shape[1]), grad.new_empty(1)
    batch, channels, height, width = grad.shape
    problem = _GradProblem(
        grad=grad.data_ptr(),
        out=out.data_ptr(),
        before=before.data_ptr(),
        bias_sum=bias_sum.data_ptr(),
        slope_sum=slope_sum.data_ptr(),
        pixels=batch * height * width,
        channels=channels,
        grad_stride=grad.stride(3),
        out_stride=out.stride(3),
        slope=slope,
        num_threads=torch.get_num_threads())
    library = _library()
    assert library is not None, 'only the native forward pass leads here'
    library.conv_act_grad(ctypes.byref(problem), level())
    return before, bias_sum, slope_sum
