"""Cases in which torch's own operations run instead of the native convolution."""
import sys

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from dic_plugin.ops import ConvSequential, conv_act, native, native_conv
from helpers.native_cases import needs_native, rand, small_network

conv_act_module = sys.modules['dic_plugin.ops.conv_act']  # the package's attribute of that name is the function


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_types_are_plain(dtype):
    layer, x = nn.Conv2d(3, 8, 1).to(dtype), rand(1, 3, 4, 4).to(dtype)
    assert conv_act([x], layer).dtype == dtype


@needs_native
@pytest.mark.parametrize('layer', [
    nn.Conv2d(4, 4, 3, dilation=2),
    nn.Conv2d(4, 4, 3, padding='same'),
    nn.Conv2d(4, 4, 3, padding=1, padding_mode='reflect'),
    nn.Conv2d(4, 4, 3, stride=(1, 2)),
    nn.ConvTranspose2d(4, 4, 3, 2, output_padding=1),
    nn.ConvTranspose2d(4, 4, 3, 2, groups=2)
])
def test_other_layers_are_plain(layer):
    x = rand(1, 4, 9, 9)
    assert torch.equal(conv_act([x], layer), layer(x))


@needs_native
def test_whoever_looks_on_sees_torchs_operations():
    network, x = small_network().eval(), torch.rand(1, 3, 8, 8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    assert counter.get_total_flops() > 1e6
    seen = []
    handle = network.conv_out.register_forward_hook(lambda *args: seen.append(1))
    with torch.no_grad():
        network(x)
    handle.remove()
    assert len(seen) == network.num_steps
    with torch.autocast('cpu', torch.bfloat16):
        assert conv_act([rand(1, 3, 4, 4)], nn.Conv2d(3, 8, 1)).dtype == torch.bfloat16
    batched = torch.func.vmap(lambda y: conv_act([y], network.conv_out))(rand(2, 1, 12, 4, 4))
    assert batched.shape == (2, 1, 3, 4, 4)


@needs_native
@pytest.mark.parametrize('owner, name', [
    (torch._C, '_len_torch_dispatch_stack'),
    (torch._C._functorch, 'peek_interpreter_stack'),
    (forward_ad, '_current_level'),
])
def test_plain_torch_is_used_where_it_lacks_a_private_name(monkeypatch, owner, name):
    layer, x = nn.Conv2d(3, 8, 1), rand(1, 3, 4, 4)
    assert conv_act_module._type_for(x) is torch.float32
    with monkeypatch.context() as without:
        without.delattr(owner, name)
        signs = conv_act_module._find_signs()
    monkeypatch.setattr(conv_act_module, '_SIGNS', signs)
    assert conv_act_module._type_for(x) is None
    assert torch.equal(conv_act([x], layer), layer(x))


@needs_native
def test_plain_torch_is_used_where_a_table_of_hooks_is_missing(monkeypatch):
    layer, x = nn.Conv2d(3, 8, 1), rand(1, 3, 4, 4)
    assert conv_act_module._native_type([x], layer, None) is torch.float32
    monkeypatch.setattr(conv_act_module, '_HOOKS', (*conv_act_module._HOOKS, '_name_of_no_torch'))
    assert conv_act_module._native_type([x], layer, None) is None


@needs_native
@pytest.mark.parametrize('maps, layer', [
    ([rand(1, 5, 8, 8)], nn.Conv2d(3, 8, 1)),
    ([rand(1, 1, 8, 8)], nn.Conv2d(64, 8, 3)),
    ([rand(1, 3, 8, 8), rand(1, 3, 4, 4)], nn.Conv2d(6, 8, 1)),
    ([rand(2, 3, 8, 8), rand(1, 3, 8, 8)], nn.Conv2d(6, 8, 1)),
    ([rand(1, 3, 2, 2)], nn.Conv2d(3, 8, 5, 2)),
    ([rand(3, 3)], nn.Conv2d(3, 8, 1)),
])
def test_maps_that_do_not_fit_are_torchs_error(maps, layer):
    with pytest.raises((RuntimeError, IndexError)) as plain, native(False):
        conv_act(maps, layer)
    for needs_gradients in (True, False):
        with pytest.raises(plain.type) as ours, torch.set_grad_enabled(needs_gradients):
            conv_act(maps, layer)
        assert str(ours.value) == str(plain.value)


@needs_native
def test_a_residual_is_broadcast_as_in_torch():
    layer, x, residual = nn.Conv2d(3, 8, 1), rand(1, 3, 4, 4), rand(1, 8, 1, 1)
    for needs_gradients in (True, False):
        with torch.set_grad_enabled(needs_gradients):
            assert torch.allclose(
                conv_act([x], layer, 0.2, residual), nn.functional.leaky_relu(layer(x), 0.2) + residual, atol=1e-6)
            with pytest.raises(RuntimeError):
                conv_act([x], layer, residual=rand(1, 8, 3, 3))


@needs_native
@pytest.mark.parametrize('memory', [
    torch.zeros(1, 8, 4, 4),
    torch.zeros(1, 4, 4, 7).permute(0, 3, 1, 2),
    torch.zeros(1, 4, 3, 8).permute(0, 3, 1, 2),
    torch.zeros(1, 4, 4, 8, dtype=torch.float64).permute(0, 3, 1, 2)
])
def test_memory_that_does_not_fit_is_left_alone(memory):
    layer, x = nn.Conv2d(3, 8, 1), rand(1, 3, 4, 4)
    with torch.no_grad():
        assert torch.allclose(conv_act([x], layer, out=memory), layer(x), atol=1e-6)
    assert not memory.any()


@needs_native
def test_torchs_defaults_change_nothing():
    network, x = small_network().eval(), torch.rand(1, 3, 8, 8)
    expected = network(x)
    gradients = torch.autograd.grad(expected.sum(), network.conv_out.parameters())
    with torch.device('meta'):
        actual = network(x)
        assert torch.equal(actual, expected)
        for a, b in zip(torch.autograd.grad(actual.sum(), network.conv_out.parameters()), gradients):
            assert torch.allclose(a, b, rtol=1e-4)
    if native_conv.can_emulate_amx():
        torch.set_default_dtype(torch.float64)
        try:
            assert native_conv.agree(native_conv.EMULATED_AMX, native_conv.EMULATED_AMX)
        finally:
            torch.set_default_dtype(torch.float32)


@needs_native
@pytest.mark.parametrize('index', [0, 1])
@pytest.mark.parametrize('register', ['register_full_backward_hook', 'register_full_backward_pre_hook'])
def test_hooks_on_gradients_are_called(index, register):
    layers, seen = ConvSequential(nn.Conv2d(3, 8, 1), nn.PReLU()), []
    getattr(layers[index], register)(lambda *args: seen.append(args))
    layers(rand(1, 3, 4, 4).requires_grad_()).sum().backward()
    assert len(seen) == 1


@needs_native
def test_forward_mode_differentiation():
    layer, x, direction = nn.Conv2d(3, 8, 1).requires_grad_(False), rand(1, 3, 4, 4), rand(1, 3, 4, 4, seed=1)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, direction)
        tangent = torch.autograd.forward_ad.unpack_dual(conv_act([dual], layer)).tangent
    layer.bias = None
    assert torch.allclose(tangent, layer(direction), atol=1e-6)
