"""The native convolution against torch's own operations, in outputs and in gradients."""
import copy
import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from dic_plugin.ops import (
    ConvSequential,
    conv_act,
    lay_out_weights,
    native,
    native_conv,
    native_is_available,
    reuses_memory,
)
from helpers.native_cases import needs_native, rand, small_network

LEVELS = [level for level in (1, 2) if level <= native_conv.level()]


@st.composite
def problems(draw):
    """Maps, layer, slope, residual and memory order of one call."""
    torch.manual_seed(draw(st.integers(0, 99)))
    batch, height, width = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    out_ch = draw(st.sampled_from([1, 3, 5, 16, 17, 24, 33, 48, 64, 68]))
    groups, transposed = 1, draw(st.booleans())
    if not transposed and draw(st.booleans()):
        groups = draw(st.sampled_from([2, 3]))
        in_channels, out_ch = [groups * draw(st.integers(1, 5))], groups * draw(st.sampled_from([1, 7, 16, 48]))
    else:
        in_channels = draw(st.lists(st.integers(1, 20), min_size=1, max_size=3))
    stride = draw(st.integers(1, 3))
    kernel = draw(st.integers(stride, 5))
    padding = draw(st.integers(0, (kernel - 1) // 2))
    if not transposed:
        height, width = max(height, kernel), max(width, kernel)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(sum(in_channels), out_ch, kernel, stride, padding, groups=groups, bias=draw(st.booleans()))
    if draw(st.booleans()):
        lay_out_weights(layer)
    maps = [torch.randn(batch, num_ch, height, width) for num_ch in in_channels]
    if draw(st.booleans()):
        maps = [x.to(memory_format=torch.channels_last) for x in maps]
    slope = draw(
        st.sampled_from([None, 0., 0.2,
                         nn.Parameter(torch.tensor([0.3])),
                         nn.Parameter(torch.tensor([-0.1]))]))
    with torch.no_grad():
        shape = layer(torch.cat(maps, 1)).shape
    residual = torch.randn(shape) if draw(st.booleans()) else None
    return maps, layer, slope, residual


def run(maps, layer, slope, residual, is_native):
    """Result and gradients of everything."""
    maps = [x.clone().requires_grad_() for x in maps]
    if not is_native:  # torch's own backward pass for small maps refuses weights that are not contiguous
        layer = copy.deepcopy(layer)
        layer.weight.data = layer.weight.data.contiguous()
    residual = None if residual is None else residual.clone().requires_grad_()
    leaves = [*maps, *layer.parameters()] + [x for x in (residual, slope) if isinstance(x, torch.Tensor)]
    with native(is_native):
        out = conv_act(maps, layer, slope, residual)
        # squared: a result within rounding of zero, on either side of the activation's bend, passes no gradient on
        return [out.detach(), *torch.autograd.grad((out.square() * rand(*out.shape)).sum(), leaves)]


def assert_equal(actual, expected):
    """To rounding: a result is a sum of up to 7,000 terms, a gradient of a parameter of up to 30,000."""
    for a, b, tolerance in zip(actual, expected, [1e-5] + [1e-4] * len(actual)):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * max(b.abs().max().item(), 1)


@needs_native
@settings(max_examples=150)
@given(problem=problems(), level=st.sampled_from(LEVELS or [0]))
def test_native_and_plain_are_equal_in_outputs_and_gradients(problem, level):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_conv, 'level', lambda: level)
        actual = run(*problem, True)
    expected = run(*problem, False)
    assert_equal(actual, expected)


@needs_native
@pytest.mark.parametrize('level', LEVELS)
@pytest.mark.parametrize('layer', [
    lambda: nn.ConvTranspose2d(48, 48, 12, 8, 2), lambda: nn.Conv2d(48, 48, 12, 8, 2),
    lambda: nn.Conv2d(240, 240, 3, 1, 1, groups=5), lambda: nn.Conv2d(3, 64, 7, 2, 3),
    lambda: nn.Conv2d(128, 256, 3, 1, 1), lambda: nn.Conv2d(48, 3, 3, 1, 1)
])
def test_the_layers_of_the_paper(monkeypatch, layer, level):
    torch.manual_seed(0)
    layer = layer()
    monkeypatch.setattr(native_conv, 'level', lambda: level)
    problem = [rand(2, layer.in_channels, 17, 13)], layer, 0.2, None
    assert_equal(run(*problem, True), run(*problem, False))


@pytest.fixture
def amx(monkeypatch):
    """Matrix units to compute bfloat16 with; where the CPU has none, one in plain C++ in the native operation's."""
    if not native_conv.can_emulate_amx():
        pytest.skip('the native bfloat16 operation needs a C++ compiler at installation and AVX512_BF16')
    if not native_conv.bf16_level():
        monkeypatch.setattr(native_conv, 'bf16_level', lambda: native_conv.EMULATED_AMX)


def rounded(layer):
    """The same with weights of bfloat16's precision."""
    layer = copy.deepcopy(layer)
    layer.weight.data = layer.weight.data.bfloat16().float().contiguous()
    return layer


def assert_equal_in_bfloat16(actual, expected):
    assert actual.dtype == torch.bfloat16 and actual.shape == expected.shape
    # one rounding of the result, which has 8 bits; sums near zero are as exact as their terms
    assert (actual.float() - expected).abs().max() <= 2**-8 * expected.abs().max() + 1e-6
    assert ((actual.float() - expected).abs() <= 2**-8 * expected.abs() + 1e-5 * max(expected.abs().max(), 1)).all()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=problems(), in_bfloat16=st.booleans())
def test_bfloat16_is_the_rounding_of_float32(amx, problem, in_bfloat16):
    maps, layer, slope, residual = problem
    short = [x.bfloat16() for x in maps]
    residual = None if residual is None else residual.bfloat16()
    with torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16):
            actual = conv_act(short if in_bfloat16 else maps, layer, slope, residual)
        with native(False):
            expected = conv_act([x.float() for x in short], rounded(layer), slope,
                                None if residual is None else residual.float())
    assert_equal_in_bfloat16(actual, expected)


@pytest.mark.parametrize('layer', [
    lambda: nn.ConvTranspose2d(48, 48, 12, 8, 2), lambda: nn.Conv2d(48, 48, 12, 8, 2),
    lambda: nn.Conv2d(240, 240, 3, 1, 1, groups=5), lambda: nn.Conv2d(3, 64, 7, 2, 3),
    lambda: nn.Conv2d(128, 256, 3, 1, 1), lambda: nn.Conv2d(33, 20, 1)
])
@pytest.mark.parametrize('laid_out', [False, True])
def test_the_layers_of_the_paper_in_bfloat16(amx, layer, laid_out):
    torch.manual_seed(0)
    layer = lay_out_weights(layer()) if laid_out else layer()
    x = rand(2, layer.in_channels, 25, 41).bfloat16()
    with torch.no_grad():
        expected = torch.nn.functional.leaky_relu(rounded(layer)(x.float()), 0.2)
        with torch.autocast('cpu', torch.bfloat16):
            assert_equal_in_bfloat16(conv_act([x], layer, 0.2), expected)


def test_a_matrix_unit_that_miscounts_is_not_used(monkeypatch):
    if not native_conv.can_emulate_amx():
        pytest.skip('the emulated matrix unit needs a C++ compiler at installation and AVX512_BF16')
    assert native_conv.agree(native_conv.EMULATED_AMX, native_conv.EMULATED_AMX)
    convolve = native_conv.convolve
    wrong = lambda *args: convolve(*args[:-1], native_conv.EMULATED_AMX) * (1 + (args[-1] == native_conv.AMX))  # noqa
    monkeypatch.setattr(native_conv, 'convolve', wrong)
    monkeypatch.setattr(native_conv._library(), 'conv_act_bf16_level', lambda: native_conv.AMX)
    with pytest.warns(UserWarning, match='matrix unit'):
        assert native_conv.bf16_level.__wrapped__() == 0


def test_what_lies_beside_a_map_does_not_reach_the_sums(amx):
    whole = torch.full((1, 24, 5, 7), float('nan'), dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    whole[:, 4:9] = rand(1, 5, 5, 7).bfloat16()
    layer = nn.Conv2d(5, 20, 3, 1, 1)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert native_conv.pixel_rows(whole[:, 4:9]).data_ptr() == whole[:, 4:9].data_ptr()
        assert conv_act([whole[:, 4:9]], layer).isfinite().all()


def test_the_network_in_bfloat16(amx):
    network, x = lay_out_weights(small_network()).eval(), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = network(x, return_steps=True)
        with torch.autocast('cpu', torch.bfloat16):
            actual = network(x, return_steps=True)
            assert network.hourglass.stem[0].weight.dtype == torch.float32
            assert reuses_memory(x) and network.first_block(rand(1, 12, 8, 8)).dtype == torch.bfloat16
    for a, b in zip(actual.sr + actual.heatmap, expected.sr + expected.heatmap):
        assert 1e-6 < (a - b).norm() / b.norm() < 0.02
    assert all(image.dtype == torch.float32 for image in actual.sr)  # the base that is added keeps its precision


@needs_native
def test_autocast_without_matrix_units_is_native_float32(monkeypatch):
    monkeypatch.setattr(native_conv, 'bf16_level', lambda: 0)
    network, x = small_network().eval(), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        expected = network(x)
        with torch.autocast('cpu', torch.bfloat16):
            assert (network(x) - expected).abs().max() < 1e-5
            half = conv_act([rand(1, 3, 4, 4).bfloat16()], nn.Conv2d(3, 8, 1), residual=rand(1, 8, 4, 4).bfloat16())
            assert half.dtype == torch.float32
    with torch.autocast('cpu', torch.bfloat16):  # training is torch's own
        assert conv_act([rand(1, 3, 4, 4)], nn.Conv2d(3, 8, 1)).dtype == torch.bfloat16


@needs_native
def test_a_slice_of_the_channels_is_read_in_place():
    whole = rand(2, 24, 5, 7).to(memory_format=torch.channels_last)
    shown, handed_on = whole.split(12, 1)
    assert native_conv.pixel_rows(handed_on) is handed_on
    layer = nn.Conv2d(24, 20, 3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(conv_act([handed_on, shown], layer), layer(torch.cat((handed_on, shown), 1)), atol=1e-5)


@needs_native
def test_neither_threads_nor_batch_change_a_bit():
    layer, x = nn.Conv2d(20, 48, 3, 1, 1), rand(5, 20, 9, 9)
    threads, results = torch.get_num_threads(), []
    with torch.no_grad():
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(conv_act([x], layer, 0.2))
        torch.set_num_threads(threads)
        results.append(torch.cat([conv_act([face], layer, 0.2) for face in x.split(1)]))
    assert all(torch.equal(results[0], other) for other in results)


@needs_native
def test_the_result_fills_the_memory_that_is_given():
    layer, x = nn.Conv2d(3, 8, 1), rand(1, 3, 4, 4)
    memory = torch.empty(1, 4, 4, 8).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert conv_act([x], layer, out=memory).data_ptr() == memory.data_ptr()
        assert torch.allclose(memory, layer(x), atol=1e-6)
    # what gradients need is never overwritten
    assert conv_act([x], layer, out=memory).data_ptr() != memory.data_ptr()
    assert not reuses_memory(x)


@needs_native
@pytest.mark.parametrize('batch, height, width', [(1, 16, 16), (3, 8, 24)])
def test_network_and_its_gradients(batch, height, width):
    x = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    results = []
    for is_native in (True, False):
        network = small_network()
        with native(is_native):
            steps = network(x, return_steps=True)
            sum(value.square().mean() for value in steps.sr + steps.heatmap).backward()
            with torch.no_grad():
                image = network(x)
        results.append(([*steps.sr, *steps.heatmap, image], [p.grad for p in network.parameters()]))
    for (outputs, gradients), (plain_outputs, plain_gradients) in [results]:
        for a, b in zip(outputs, plain_outputs):
            assert (a - b).norm() <= 1e-5 * b.norm()
        # inside, values within rounding of zero may fall on either side of an activation's bend
        for a, b in zip(gradients, plain_gradients):
            assert (a - b).norm() <= 1e-3 * b.norm() + 1e-7


@needs_native
def test_weights_laid_out_change_nothing_but_strides():
    network, x = small_network(), torch.rand(1, 3, 8, 8)
    laid_out = lay_out_weights(copy.deepcopy(network))
    for (name, a), b in zip(network.state_dict().items(), laid_out.state_dict().values()):
        assert torch.equal(a, b), name
    weight = laid_out.first_block.groups.up[0][0].weight
    assert weight.permute(2, 3, 0, 1).is_contiguous()
    with torch.no_grad():
        assert torch.equal(network(x), laid_out(x))
    laid_out.load_state_dict(network.state_dict())
    assert laid_out.first_block.groups.up[0][0].weight.stride() == weight.stride()


@pytest.mark.parametrize('layer', [nn.Conv2d(4, 6, 3, 1, 1), nn.ConvTranspose2d(4, 6, 3, 2)])
def test_weights_laid_out_can_be_trained_in_the_plain_way(layer):
    x, gradients = rand(1, 4, 5, 5), []
    for lay_out in (lambda same: same, lay_out_weights):
        with native(False):
            gradients.append(torch.autograd.grad(conv_act([x], lay_out(layer), 0.2).square().sum(), layer.parameters()))
    assert all(torch.allclose(a, b, rtol=1e-4) for a, b in zip(*gradients))


@pytest.mark.parametrize('num_in_ch, kernel_size', [(1, 2), (1, 1), (3, 2)])
def test_weights_laid_out_with_dimensions_of_one_can_be_trained_in_the_plain_way(num_in_ch, kernel_size):
    """Torch calls such weights channels-last, and then its backward pass refuses them for small channels-last maps."""
    layer = lay_out_weights(nn.ConvTranspose2d(num_in_ch, 3, kernel_size))
    x = rand(1, num_in_ch, 1, 2).to(memory_format=torch.channels_last).requires_grad_()
    with native(False):
        gradient, = torch.autograd.grad(conv_act([x], layer).square().sum(), layer.weight)
    layer.weight.data = layer.weight.data.clone(memory_format=torch.contiguous_format)
    expected, = torch.autograd.grad(layer(x.contiguous()).square().sum(), layer.weight)
    assert torch.allclose(gradient, expected, rtol=1e-4)


def test_sequence_fuses_what_it_can():
    layers = nn.Conv2d(3, 8, 3, 1, 1), nn.PReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6,
                                                                              1), nn.LeakyReLU(0.1), nn.Conv2d(6, 4, 1)
    x, residual = rand(2, 3, 8, 8), rand(2, 4, 4, 4)
    actual = ConvSequential(*layers)(x[:, :1], x[:, 1:], residual=residual)
    assert torch.allclose(actual, nn.Sequential(*layers)(x) + residual, atol=1e-5)
    assert list(ConvSequential(*layers).state_dict()) == list(nn.Sequential(*layers).state_dict())


def test_a_library_of_other_sources_is_not_used(monkeypatch):
    if not native_is_available():
        pytest.skip('there is no library')
    monkeypatch.setattr(native_conv, 'VERSION', native_conv.VERSION + 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert native_conv._library.__wrapped__() is None
    assert 'pip install --no-build-isolation -e .' in str(caught[0].message)


def test_without_a_library_everything_is_plain(monkeypatch):
    monkeypatch.setattr(native_conv, 'level', lambda: 0)
    assert not native_is_available()
    network, x = small_network(), torch.rand(1, 3, 8, 8)
    with torch.no_grad(), native(False):
        expected = network(x)
    with torch.no_grad():
        assert torch.equal(network(x), expected)
