"""The network against figures measured on the published implementation (tests/data/golden.json, golden_hash.json)."""
import pytest
import torch

from dic_plugin.archs import DIC, LightCNNDiscriminator, LightCNNFeature, StackedHourglass
from dic_plugin.landmarks.heatmaps import component_maps
from dic_plugin.landmarks.layouts import component_groups
from dic_plugin.ops import native
from helpers.reference import (
    GOLDEN,
    GOLDEN_HASH,
    assert_digest,
    fill,
    fill_network,
    hash_uniform,
    published_shapes,
    wave_input,
)

RENAMED = {
    'num_features': 'num_feat', 'hg_num_feature': 'hg_num_feat', 'hg_num_keypoints': 'num_keypoints',
    'in_channels': 'num_in_ch', 'out_channels': 'num_out_ch', 'scale': 'upscale'
}  # yapf: disable
# eight published parameters whose gradient norms were recorded, in this project's names
GRADIENTS = {
    'conv_in.0.weight': 'conv_in.0.weight',
    'first_block.upBlocks.0.0.weight': 'first_block.groups.up.0.0.weight',
    'block.compress_in.0.weight': 'block.compress_in.0.weight',
    'block.upBlocks.1.0.weight': 'block.groups.up.1.0.weight',
    'block.fusion_block.resnet.0.res.0.weight': 'block.fusion.body.0.body.0.weight',
    'conv_out.0.weight': 'conv_out.weight',
    'HG.pre_conv_block.0.weight': 'hourglass.stem.0.weight',
    'HG.hg_conv_out.2.weight': 'hourglass.head.3.weight',
}


def build(entry):
    options = {RENAMED.get(key, key): value for key, value in entry['config'].items()}
    gain = None
    if 'gain' in entry:
        others, hourglass = entry['gain']

        def gain(key):
            return hourglass if key.startswith('hourglass.') else others

    network = fill_network(DIC(**options), gain)
    network.mean.zero_()  # the reference's inputs and outputs are mean-subtracted
    return network


def test_paper_network_has_the_published_tensors():
    published = published_shapes('DIC')
    ours = DIC().state_dict()
    assert [tuple(value.shape) for value in ours.values()] == list(published.values())
    assert sum(value.numel() for value in ours.values()) == GOLDEN['paper']['params']


@pytest.mark.parametrize('j, i, u', [(0, 0, -1), (0, 1, -0.1459284946322441), (1, 0, 0.536160035058856),
                                     (7, 123456, 0.29361730022355914)])  # yapf: disable
def test_hash(j, i, u):
    assert hash_uniform(j, i + 1)[i] == u


def check_steps(output, entry, rtol):
    for sr, heatmap, sr_digest, heatmap_digest in zip(*output, entry['sr'], entry['heatmap']):
        assert_digest(sr, sr_digest, rtol)
        assert_digest(heatmap, heatmap_digest, rtol)


@pytest.mark.parametrize('name', ['small', 'small_194'])
def test_outputs_of_a_sine(name):
    """By torch's operations: sums nearly cancel with these weights, so that the order of summation matters."""
    entry = GOLDEN[name]
    with torch.no_grad(), native(False):
        check_steps(build(entry)(wave_input(entry['input_shape']).float(), return_steps=True), entry, 1e-4)


@pytest.mark.parametrize('name', ['paper', 'small'])
def test_outputs_of_a_hash_in_float32(name):
    """By the native operation, where there is one."""
    entry = GOLDEN_HASH[name]
    with torch.no_grad():
        output = build(entry)(wave_input(entry['input_shape']).float(), return_steps=True)
    check_steps(output, entry, max(1e-4, 20 * entry['float32_error']))


@pytest.mark.parametrize('name', [pytest.param('paper', marks=pytest.mark.slow), 'small'])
def test_outputs_loss_and_gradients_in_float64(name):
    """In float64 gradients do not depend on the order of sums, and so not on the number of threads."""
    entry = GOLDEN_HASH[name]
    network = build(entry).double()
    output = network(wave_input(entry['input_shape']).float().double(), return_steps=True)
    check_steps(output, entry, 1e-6)
    gt = (0.5 * wave_input(list(output.sr[0].shape))).float().double()
    target = wave_input(list(output.heatmap[0].shape)).float().double()
    loss = sum((sr - gt).abs().mean() for sr in output.sr)
    loss = loss + 0.1 * sum((heatmap - target).square().mean() for heatmap in output.heatmap)
    loss.backward()
    assert loss.item() == pytest.approx(entry['training']['value'], rel=1e-6)
    parameters = dict(network.named_parameters())
    for published, norm in entry['training']['grad_l2'].items():
        assert parameters[GRADIENTS[published]].grad.norm().item() == pytest.approx(norm, rel=1e-6), published


@pytest.mark.parametrize('num_keypoints', [68, 194, 5])
def test_component_maps(num_keypoints):
    heatmap = 0.6 * wave_input([2, num_keypoints, 32, 32])
    maps = component_maps(heatmap, component_groups(num_keypoints))
    assert_digest(maps, GOLDEN['component_maps'][str(num_keypoints)])
    assert torch.equal(maps, component_maps(heatmap, component_groups(num_keypoints), detach=True))


def test_stacked_hourglass():
    """The evaluator, whose tensors have the published order and sizes."""
    entry = GOLDEN['stacked_hourglass']
    network = fill_network(StackedHourglass(num_feat=256, num_stacks=4, num_keypoints=68)).eval()
    published = published_shapes('StackedHourGlass_HG_68_CelebA')
    assert [tuple(value.shape) for value in network.state_dict().values()] == list(published.values())
    network.mean.zero_()
    with torch.no_grad():
        assert_digest(network(wave_input([2, 3, 128, 128]).float()), entry['output'])


@pytest.mark.parametrize('network, entry, published', [
    (LightCNNDiscriminator, 'lightcnn_discriminator', 'LightCNN_discriminator'),
    (LightCNNFeature, 'lightcnn_feature', 'LightCNN_feature'),
])
def test_light_cnn(network, entry, published):
    network = network()
    network.load_state_dict(fill(published_shapes(published)))  # the published names
    with torch.no_grad():
        assert_digest(network((0.5 + wave_input([2, 3, 128, 128])).float()), GOLDEN[entry]['output'])
