"""Which way a convolution takes on a GPU, with stand-ins for what only a GPU has."""
import copy
import sys
from types import SimpleNamespace

import pytest
import torch
from basicsr.ops.fused_act import fused_act
from torch import nn
from torch.nn import functional as F

from dic_plugin.ops import conv_act, gpu_conv, native, native_conv, triton_conv
from helpers.native_cases import rand, small_network


def fused_bias_act(x, bias, out, act, grad, slope, scale):
    """What BasicSR's CUDA extension computes for its leaky ReLU (act 3) and its gradient."""
    assert act == 3 and (grad or x.is_contiguous())  # it copies others
    if bias.numel():
        x = x + bias.view(-1, *[1] * (x.dim() - 2))
    return scale * torch.where((out if grad else x) > 0, x, slope * x)


class Ways:
    """Counts the calls of both ways, of which either may be missing."""

    def __init__(self, monkeypatch):
        self.triton = self.fused = 0
        monkeypatch.setattr(gpu_conv, 'is_on_gpu', lambda *tensors: True)
        monkeypatch.setattr(native_conv, 'level', lambda: 0)
        monkeypatch.setattr(triton_conv, 'is_available', lambda: True)
        monkeypatch.setattr(triton_conv, 'conv1x1_act', self._triton)
        monkeypatch.setattr(fused_act, 'fused_act_ext', SimpleNamespace(fused_bias_act=self._fused), raising=False)

    def _triton(self, maps, weight, bias, slope, residual):
        self.triton += 1
        y = F.conv2d(torch.cat(maps, 1), weight, None if bias is None else bias.to(weight.dtype))
        if slope is not None:
            y = F.prelu(y, slope.to(y.dtype)) if isinstance(slope, torch.Tensor) else F.leaky_relu(y, slope)
        return y if residual is None else y + residual

    def _fused(self, *args):
        self.fused += 1
        return fused_bias_act(*args)


@pytest.fixture
def ways(monkeypatch):
    return Ways(monkeypatch)


def compare(ways, maps, layer, slope, residual=None, dtype=torch.float32):
    """Check against torch's own operations, gradients as well; return the numbers of calls."""
    results = []
    for enabled in (True, False):
        inputs = [x.detach().requires_grad_() for x in (*maps, *([] if residual is None else [residual]))]
        taken = copy.deepcopy(layer)
        with native(enabled), torch.autocast('cuda', dtype, enabled=dtype != torch.float32):
            out = conv_act(inputs[:len(maps)], taken, slope, None if residual is None else inputs[-1])
        out.sum().backward()
        results.append([out, *(x.grad for x in (*inputs, *taken.parameters()))])
        if enabled:
            calls = ways.triton, ways.fused
    for ours, plain in zip(*results):
        assert ours.dtype == plain.dtype
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
    assert (ways.triton, ways.fused) == calls  # native(False) turned them off
    return calls


@pytest.mark.parametrize('maps, layer, slope, expected', [
    ([4, 4], nn.Conv2d(8, 6, 1), 0.2, (1, 0)),
    ([4, 4], nn.Conv2d(8, 6, 1), nn.PReLU().weight, (1, 0)),
    ([4, 4], nn.Conv2d(8, 6, 3, padding=1), 0.2, (0, 2)),
    ([8], nn.Conv2d(8, 6, 1), 0.2, (0, 2)),
    ([8], nn.Conv2d(8, 6, 3, 2, 1, groups=2), 0., (0, 2)),
    ([8], nn.ConvTranspose2d(8, 6, 4, 2, 1), 0.2, (0, 2)),
    ([8], nn.Conv2d(8, 6, 1), None, (0, 0)),
    ([8], nn.Conv2d(8, 6, 1), -0.2, (0, 0)),
    ([8], nn.Conv2d(8, 6, 1), nn.PReLU().weight, (0, 0)),
    ([8], nn.Conv2d(8, 6, 1, bias=False), 0.2, (0, 0)),
    ([4, 4], nn.Conv2d(8, 6, 3, dilation=2), 0.2, (0, 0)),
])
def test_way_of_a_layer(ways, maps, layer, slope, expected):
    calls = compare(ways, [rand(2, num, 8, 8) for num in maps], layer, slope)
    assert calls == expected  # forward and backward of fused_act


def test_residual(ways):
    maps, layer = [rand(2, 4, 8, 8), rand(2, 4, 8, 8)], nn.Conv2d(8, 6, 1)
    assert compare(ways, maps, layer, 0.2, rand(2, 6, 8, 8)) == (1, 0)
    assert compare(ways, maps[:1] * 2, layer, 0.2, rand(1, 6, 1, 1)) == (2, 0)  # broadcast


def test_without_triton(ways, monkeypatch):
    monkeypatch.setattr(triton_conv, 'is_available', lambda: False)
    assert compare(ways, [rand(2, 4, 8, 8)] * 2, nn.Conv2d(8, 6, 1), 0.2) == (0, 0)


def test_without_the_extension(ways, monkeypatch):
    monkeypatch.delattr(fused_act, 'fused_act_ext')
    assert not gpu_conv.has_fused_act()
    assert compare(ways, [rand(2, 8, 8, 8)], nn.Conv2d(8, 6, 3), 0.2) == (0, 0)
    assert compare(ways, [rand(2, 4, 8, 8)] * 2, nn.Conv2d(8, 6, 1), 0.2) == (1, 0)


def test_channels_last_is_left_to_torch(ways):
    x = rand(2, 8, 8, 8).to(memory_format=torch.channels_last)
    assert compare(ways, [x], nn.Conv2d(8, 6, 3), 0.2) == (0, 0)


def test_double_precision_is_left_to_torch(ways):
    maps = [rand(2, 4, 8, 8).double()] * 2
    assert compare(ways, maps, nn.Conv2d(8, 6, 1).double(), 0.2) == (0, 0)


def test_compiled_is_left_to_torch(ways, monkeypatch):
    monkeypatch.setattr(sys.modules['dic_plugin.ops.conv_act'], 'is_compiling', lambda: True)
    assert compare(ways, [rand(2, 4, 8, 8)] * 2, nn.Conv2d(8, 6, 1), 0.2) == (0, 0)


def test_network_with_fixed_slopes_is_the_same(ways):
    network, x = small_network().eval(), torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        with native(False):
            expected = network(x, return_steps=True)
        out = gpu_conv.fix_slopes(network)(x, return_steps=True)
    assert not any(isinstance(layer, nn.PReLU) for layer in network.modules())
    assert ways.triton > 0 and ways.fused > 0
    for ours, plain in zip((*out.sr, *out.heatmap), (*expected.sr, *expected.heatmap)):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
