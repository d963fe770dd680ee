"""The network's behaviour beside its numbers (tests/test_golden.py has those)."""
import copy
import io
import warnings

import pytest
import torch
from basicsr.archs import build_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dic_plugin.archs import DIC, AttentiveFusion, DICOutput, FeedbackHourglass
from dic_plugin.export.onnx_file import FIRST_TORCH
from dic_plugin.landmarks.layouts import component_groups

SMALL = dict(num_feat=4, num_groups=2, num_steps=3, hg_num_feat=8, num_fusion_block=1, projection_scale=2)


def small(**options) -> DIC:
    torch.manual_seed(0)
    return DIC(**{**SMALL, **options})


def faces(batch=2, height=16, width=16) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('upscale, height, width', [(8, 16, 16), (8, 8, 24), (4, 16, 32), (16, 4, 4)])
def test_shapes(upscale, height, width):
    output = small(upscale=upscale)(faces(2, height, width), return_steps=True)
    assert isinstance(output, DICOutput)
    assert [sr.shape for sr in output.sr] == [(2, 3, upscale * height, upscale * width)] * 3
    assert [heatmap.shape for heatmap in output.heatmap] == [(2, 68, upscale * height // 4, upscale * width // 4)] * 3


@settings(max_examples=12)
@given(
    projection_scale=st.integers(1, 9),
    num_groups=st.integers(1, 3),
    num_steps=st.integers(1, 3),
    num_keypoints=st.sampled_from([5, 68, 194]))
def test_every_configuration_gives_an_image_and_gradients_everywhere(projection_scale, num_groups, num_steps,
                                                                     num_keypoints):
    network = small(
        projection_scale=projection_scale, num_groups=num_groups, num_steps=num_steps, num_keypoints=num_keypoints)
    output = network(faces(1, 8, 8), return_steps=True)
    assert output.sr[-1].shape == (1, 3, 64, 64)
    (sum(sr.square().mean() for sr in output.sr) + sum(heatmap.square().mean()
                                                       for heatmap in output.heatmap)).backward()
    # DDP needs every parameter to take part
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_the_last_image_is_what_forward_gives():
    network, x = small().eval(), faces()
    with torch.no_grad():
        assert torch.equal(network(x), network(x, return_steps=True).sr[-1])


@pytest.mark.parametrize('return_steps, passes', [(False, 2), (True, 3)])
def test_no_hourglass_pass_is_run_for_nothing(return_steps, passes):
    network, calls = small(), []
    network.hourglass.register_forward_hook(lambda *args: calls.append(1))
    with torch.no_grad():
        network(faces(), return_steps=return_steps)
    assert len(calls) == passes


@pytest.mark.parametrize('return_steps, passes', [(False, 0), (True, 3)])
def test_without_fusion_landmarks_are_found_but_guide_nothing(return_steps, passes):
    network, calls = small(num_fusion_block=None).eval(), []
    assert not [name for name, _ in network.named_parameters() if 'fusion' in name]
    network.hourglass.register_forward_hook(lambda *args: calls.append(1))
    with torch.no_grad():
        before = network(faces(), return_steps=return_steps)
        assert len(calls) == passes
        for parameter in network.hourglass.parameters():
            parameter.add_(0.1)
        after = network(faces(), return_steps=return_steps)
    if return_steps:
        assert torch.equal(before.sr[-1], after.sr[-1]) and not torch.equal(before.heatmap[-1], after.heatmap[-1])
    else:
        assert torch.equal(before, after)


def test_steps_differ_and_the_first_is_near_the_bilinear_image():
    network, x = small(), faces()
    nn.init.zeros_(network.conv_out.weight)
    images = network(x, return_steps=True).sr
    assert torch.allclose(images[0], nn.functional.interpolate(x, scale_factor=8, mode='bilinear'), atol=1e-6)
    images = small()(x, return_steps=True).sr
    assert not torch.allclose(images[0], images[1])


def test_no_state_between_calls():
    """Two different batches in turn give what each gives alone, also when sizes change."""
    network, first, second = small().eval(), faces(2), faces(1, 8, 16)
    alone = [copy.deepcopy(network)(x, return_steps=True) for x in (first, second)]
    for _ in range(2):
        for x, expected in zip((first, second), alone):
            output = network(x, return_steps=True)
            assert all(torch.equal(a, b) for a, b in zip(output.sr + output.heatmap, expected.sr + expected.heatmap))


def test_images_of_a_batch_do_not_mix():
    network, x = small().eval(), faces(3)
    with torch.no_grad():
        assert torch.allclose(network(x)[1:2], network(x[1:2]), atol=1e-5)


@pytest.mark.parametrize('detach', [False, True])
def test_detach_attention_cuts_the_gradient_into_the_heatmaps(detach):
    fusion = AttentiveFusion(4, num_keypoints=5, num_fusion_block=1, detach_attention=detach)
    heatmap = torch.rand(1, 5, 4, 4, requires_grad=True)
    fusion(torch.rand(1, 4, 4, 4), heatmap).sum().backward()
    assert (heatmap.grad is None) == detach


def test_attention_is_a_blend_led_by_the_component_that_is_there():
    fusion = AttentiveFusion(4, num_keypoints=68, num_fusion_block=1)
    heatmap = torch.zeros(1, 68, 4, 4)
    heatmap[0, 50, 1, 2] = 1  # a mouth point
    attention = fusion.attention(heatmap)
    assert torch.allclose(attention.sum(1), torch.ones(1, 4, 4))
    assert attention[0, :, 1, 2].argmax() == 3
    assert torch.allclose(attention[0, :, 0, 0], torch.full((5, ), 0.2))


def test_another_grouping_of_landmarks():
    network = small(num_keypoints=7, component_groups=[['0-2'], [3, 4], ['5-6']])
    assert network.block.fusion.body[0].body[0].groups == 3
    assert network(faces()).shape == (2, 3, 128, 128)


def test_hourglass_hands_on_what_the_next_pass_sees():
    hourglass = FeedbackHourglass(hg_num_feat=8, num_keypoints=5)
    x = faces(1, 64, 64)
    heatmap, hidden = hourglass(x)
    assert heatmap.shape == (1, 5, 16, 16) and hidden.shape == (1, 8, 16, 16)
    again, _ = hourglass(x, hidden)
    assert not torch.allclose(heatmap, again)


def test_from_scratch_tames_a_hourglass_without_norms():
    x = faces(1, 64, 64) - 0.5
    for from_scratch in (False, True):
        torch.manual_seed(0)
        hourglass, hidden, scales = FeedbackHourglass(hg_num_feat=32, from_scratch=from_scratch), None, []
        for _ in range(4):
            heatmap, hidden = hourglass(x, hidden)
            scales.append(hidden.std().item())
        if from_scratch:
            assert scales[-1] < 3 * scales[0]
            assert heatmap.abs().max().item() == 0
        else:  # what the option is for
            assert scales[-1] > 1000 * scales[0]


def test_initialisation_is_kaiming_with_zero_biases():
    torch.manual_seed(0)
    network = DIC(num_feat=32, num_groups=1, num_steps=2, hg_num_feat=64, num_fusion_block=1, projection_scale=2)
    for name, layer in network.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            fan_in = layer.weight[0].numel()
            assert layer.bias.abs().max() == 0
            assert layer.weight.std().item() == pytest.approx((2 / fan_in)**0.5, rel=0.15), name
        elif isinstance(layer, nn.PReLU):
            assert layer.weight.tolist() == [pytest.approx(0.2)]


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['eager', 'aot_eager'])
@pytest.mark.parametrize('return_steps', [False, True])
def test_compiles_without_graph_breaks(backend, return_steps):
    torch._dynamo.reset()
    network, x = small(num_steps=2).eval(), faces(1, 8, 8)
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    expected, actual = network(x, return_steps=return_steps), compiled(x, return_steps=return_steps)
    if return_steps:
        expected, actual = torch.cat(expected.sr), torch.cat(actual.sr)
    assert torch.allclose(expected, actual, atol=1e-5)


def test_traces():
    network, x = small().eval(), faces()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # the tracer warns of the check of the input's shape
        traced = torch.jit.trace(network, x)
        assert torch.allclose(traced(faces(3)), network(faces(3)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    torch.torch_version.TorchVersion(torch.__version__) < FIRST_TORCH, reason='the export to ONNX needs a newer torch')
def test_exports_to_onnx_with_any_batch_size():
    onnxruntime = pytest.importorskip('onnxruntime', reason='the ONNX test needs onnx, onnxscript and onnxruntime')
    network, file = small().eval(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            network, (faces(2), ), dynamo=True, dynamic_shapes=({
                0: torch.export.Dim('batch')
            }, ))
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=['CPUExecutionProvider'])
    for batch in (1, 3):
        x = faces(batch)
        sr, = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert torch.allclose(torch.from_numpy(sr), network(x), atol=1e-4)


def test_ddp_with_hooks_through_forward(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        network = small()
        wrapped = DistributedDataParallel(copy.deepcopy(network))
        for net in (network, wrapped):
            output = net(faces(), return_steps=True)
            sum(value.square().mean() for value in output.sr + output.heatmap).backward()
        for ours, theirs in zip(network.parameters(), wrapped.module.parameters()):
            assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize('name', ['DIC', 'FeedbackHourglass', 'AttentiveFusion'])
def test_registered(name):
    assert type(build_network(dict(type=name))).__name__ == name


@pytest.mark.parametrize('options, message', [
    (dict(num_in_ch=1), 'num_in_ch=1: expected 3'),
    (dict(num_groups=0), 'num_groups=0: expected at least 1'),
    (dict(upscale=2), 'upscale=2: expected 8, 4 or another multiple of 4'),
    (dict(projection_scale=0), 'projection_scale=0: expected at least 1'),
    (dict(hg_num_feat=12), 'hg_num_feat=12 must be a multiple of 8'),
    (dict(num_keypoints=98), 'num_keypoints=98 has no published grouping'),
    (dict(component_groups=[['0-68']]), r'component_groups\[0\] .* 0..67'),
    (dict(component_groups=[['0-x']]), "holds '0-x'; expected an index or a range"),
    (dict(component_groups=[]), 'component_groups is empty'),
])
def test_refuses_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


@pytest.mark.parametrize('shape', [(1, 3, 12, 16), (1, 1, 16, 16), (3, 16, 16)])
def test_refuses_inputs(shape):
    with pytest.raises(ValueError, match='expected B,3,h,w with h and w multiples of 8'):
        small()(torch.zeros(shape))


def test_refuses_heatmaps_of_another_size():
    with pytest.raises(ValueError, match='expected num_keypoints=5 maps of the size of the features'):
        AttentiveFusion(4, num_keypoints=5)(torch.zeros(1, 4, 8, 8), torch.zeros(1, 5, 4, 4))
    with pytest.raises(ValueError, match='multiples of 64'):
        FeedbackHourglass(hg_num_feat=8)(torch.zeros(1, 3, 64, 96))


@pytest.mark.parametrize('num_keypoints, counts', [(68, [6, 6, 9, 20, 27]), (194, [38, 38, 16, 55, 40]), (5, [1] * 5)])
def test_component_groups(num_keypoints, counts):
    groups = component_groups(num_keypoints)
    assert [len(group) for group in groups] == counts
    indices = sum(groups, [])
    assert len(set(indices)) == len(indices)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_gpu_gives_the_same():
    network, x = small().eval(), faces()
    with torch.no_grad():
        expected, actual = network(x), network.cuda()(x.cuda()).cpu()
    assert torch.allclose(actual, expected, atol=1e-3)
