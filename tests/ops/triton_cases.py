"""The Triton kernel against torch's own operations. test_triton_conv.py runs this file with Triton's interpreter."""
import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch.nn import functional as F

from dic_plugin.ops import triton_conv

TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
LAYOUTS = ('contiguous', 'channels_last', 'every second', 'expanded')


def map_of(layout, batch, channels, height, width, dtype):
    if layout == 'every second':
        x = torch.randn(batch, channels, 2 * height, 2 * width)[:, :, ::2, ::2]
    elif layout == 'expanded':
        x = torch.randn(1, channels, height, width).expand(batch, -1, -1, -1)
    else:
        x = torch.randn(batch, channels, height, width)
    return x.to(dtype, memory_format=torch.channels_last) if layout == 'channels_last' else x.to(dtype)


def plain(maps, weight, bias, slope, residual):
    y = F.conv2d(torch.cat(maps, 1), weight, bias)
    if slope is not None:
        y = F.prelu(y, slope) if isinstance(slope, torch.Tensor) else F.leaky_relu(y, slope)
    return y if residual is None else y + residual


def check(channels, num_out, batch, height, width, layout, dtype, slope, has_bias, has_residual):
    maps = [map_of(layout, batch, num, height, width, dtype) for num in channels]
    weight = torch.randn(num_out, sum(channels), 1, 1, dtype=dtype) / sum(channels)**0.5
    bias = torch.randn(num_out, dtype=dtype) if has_bias else None
    residual = map_of(layout, batch, num_out, height, width, dtype) if has_residual else None
    slope = torch.tensor([slope[0]], dtype=dtype) if isinstance(slope, tuple) else slope
    inputs = [x for x in (*maps, weight, bias, residual, slope) if isinstance(x, torch.Tensor)]
    results = []
    for function, as_type in ((triton_conv.conv1x1_act, dtype), (plain, torch.float32), (plain, dtype)):
        leaves = {id(x): x.detach().to(as_type).requires_grad_() for x in inputs}
        at = lambda x: leaves[id(x)] if isinstance(x, torch.Tensor) else x  # noqa: E731
        out = function([at(x) for x in maps], at(weight), at(bias), at(slope), at(residual))
        torch.manual_seed(1)
        grads = torch.autograd.grad(out, [at(x) for x in inputs], torch.randn(out.shape).to(dtype).to(as_type))
        results.append((out, *grads))
    for ours, exact, torchs in zip(*results):
        assert ours.dtype == dtype and ours.shape == exact.shape
        error, torchs_error = ((x.float() - exact).abs().max().item() for x in (ours, torchs))
        # sums that cancel out are as inexact in torch
        assert error <= TOLERANCE[dtype] * max(1, exact.abs().max().item()) + 2 * torchs_error


@settings(max_examples=60, deadline=None)
@given(
    channels=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    num_out=st.integers(1, 70),
    batch=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    layout=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(sorted(TOLERANCE, key=str)),
    slope=st.sampled_from([None, 0.2, 0., (0.25, ), (-0.5, )]),
    has_bias=st.booleans(),
    has_residual=st.booleans())
def test_agrees_with_torch(**case):
    torch.manual_seed(0)
    check(**case)


@pytest.mark.parametrize('dtype', TOLERANCE)
def test_agrees_at_the_paper_s_size(dtype):
    torch.manual_seed(0)
    check([48] * 6, 48, 1, 16, 16, 'contiguous', dtype, (0.2, ), True, False)


def test_result_has_the_first_map_s_memory_order():
    maps = [map_of('channels_last', 2, 5, 3, 4, torch.float32), torch.randn(2, 3, 3, 4)]
    out = triton_conv.convolve(maps, torch.randn(7, 8))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert triton_conv.convolve(maps[::-1], torch.randn(7, 8)).is_contiguous()


def test_keeps_the_maps_and_no_copy_of_them():
    maps = [torch.randn(1, 5, 4, 4, requires_grad=True) for _ in range(2)]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.data_ptr()), lambda x: x):
        triton_conv.conv1x1_act(maps, torch.randn(6, 10, 1, 1), None, 0.2, None)
    assert {x.data_ptr() for x in maps} <= set(kept) and len(kept) == 3  # and the weight
