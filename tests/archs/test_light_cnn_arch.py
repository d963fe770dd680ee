"""LightCNN: sizes, the mean, and refusals; its figures are in test_golden.py."""
import pytest
import torch
from basicsr.archs import build_network

from dic_plugin.archs import DIC, LightCNNDiscriminator, LightCNNFeature
from dic_plugin.archs.light_cnn_arch import MaxFeatureMap
from dic_plugin.checkpoints.published import convert


def test_max_feature_map_hands_on_the_greater_of_two_partners():
    layer = torch.nn.Linear(1, 4, bias=False)
    layer.weight.data = torch.tensor([[1.], [2.], [3.], [-4.]])
    module = MaxFeatureMap(layer)
    assert module(torch.tensor([[1.], [-1.]])).tolist() == [[3., 2.], [-1., 4.]]


@pytest.mark.parametrize('input_size, num_cells', [(16, 1), (17, 4), (64, 16), (128, 64)])
def test_discriminator_of_other_sizes(input_size, num_cells):
    network = LightCNNDiscriminator(input_size, num_feat=3)
    assert network.classifier[0].filter.in_features == 8 * num_cells
    assert network(torch.rand(2, 3, input_size, input_size)).shape == (2, 1)


@pytest.mark.parametrize('shape', [(1, 3, 128, 128), (1, 3, 64, 128), (1, 1, 64, 64), (3, 64, 64)])
def test_discriminator_refuses_another_size(shape):
    with pytest.raises(ValueError, match=r'was given the shape \(.*\); expected'):
        LightCNNDiscriminator(64, num_feat=3)(torch.zeros(shape))


@pytest.mark.parametrize('options, message', [
    (dict(num_feat=16), 'num_feat=16: expected a multiple of 3'),
    (dict(num_feat=0), 'num_feat=0'),
    (dict(input_size=0), 'input_size=0'),
])
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LightCNNDiscriminator(**options)


def test_every_image_is_judged_alone():
    network = LightCNNDiscriminator(32, num_feat=3)
    first, second = torch.rand(2, 1, 3, 32, 32)
    together = network(torch.cat((first, second)))
    assert torch.allclose(together, torch.cat((network(first), network(second))), atol=1e-6)
    assert together[0] != together[1]


@pytest.mark.parametrize('height, width', [(128, 128), (40, 96), (5, 16)])
def test_features_of_any_size(height, width):
    features = LightCNNFeature()(torch.rand(1, 3, height, width))
    assert features.shape == (1, 128, -(-height // 16), -(-width // 16))
    with pytest.raises(ValueError, match=r'expected RGB images'):
        LightCNNFeature()(torch.rand(1, 1, height, width))


def test_mean_is_that_of_dic_and_not_saved():
    plain, shifted = LightCNNFeature(), LightCNNFeature(subtract_mean=True)
    shifted.load_state_dict(plain.state_dict())  # strictly: the published files hold no mean
    image = torch.rand(1, 3, 32, 32)
    mean = DIC(num_feat=4, num_groups=1, num_steps=1, hg_num_feat=8).mean.view(3, 1, 1)
    assert torch.equal(shifted(image), plain(image - mean))
    assert not torch.equal(shifted(image), plain(image))


def test_converted_weights_fit_and_the_registry_builds():
    torch.manual_seed(0)
    network = build_network(dict(type='LightCNNDiscriminator', subtract_mean=True))
    converted = convert(network.state_dict())
    assert converted.kind == 'LightCNN_discriminator'
    network.load_state_dict(converted.params)
    feature = build_network(dict(type='LightCNNFeature'))
    feature.load_state_dict(convert(feature.state_dict()).params)
