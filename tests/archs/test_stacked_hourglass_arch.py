"""StackedHourglass: shapes, the stacks' order, gradients, published names, and what is refused."""
import pytest
import torch

from dic_plugin.archs import StackedHourglass
from dic_plugin.checkpoints.published_names import published_stacked_hourglass_name
from helpers.reference import published_shapes

TINY = dict(num_feat=8, num_stacks=2, num_keypoints=5)


def network(**options):
    torch.manual_seed(0)
    net = StackedHourglass(**{**TINY, **options})
    for stack in net.stacks:  # which are zero before training
        torch.nn.init.normal_(stack.predict.weight)
    return net


def test_untrained_heatmaps_are_zero():
    assert not any(heatmap.any() for heatmap in StackedHourglass(**TINY)(torch.rand(2, 3, 64, 64), return_stacks=True))


@pytest.mark.parametrize('height, width', [(64, 64), (128, 64)])
def test_heatmaps_have_a_quarter_of_the_size(height, width):
    net, x = network(num_stacks=3).eval(), torch.rand(2, 3, height, width)
    with torch.no_grad():
        heatmaps = net(x, return_stacks=True)
        assert [tuple(heatmap.shape) for heatmap in heatmaps] == [(2, 5, height // 4, width // 4)] * 3
        assert torch.equal(net(x), heatmaps[-1])
        shorter = network(num_stacks=2).eval()
        # an earlier stack does not know how many follow
        shorter.load_state_dict({key: value for key, value in net.state_dict().items() if key in shorter.state_dict()})
        assert torch.equal(shorter(x), heatmaps[1])


def test_every_parameter_is_trained_and_none_of_the_last_stack_is_idle():
    net = network()
    sum(heatmap.square().mean() for heatmap in net(torch.rand(2, 3, 64, 64), return_stacks=True)).backward()
    # a bias ahead of a batch norm cannot matter, but it gets its (zero) gradient, as DDP demands
    assert all(param.grad is not None for param in net.parameters())
    assert not any(name.startswith('stacks.1.') and '_back' in name for name, _ in net.named_parameters())


def test_later_stacks_see_earlier_heatmaps():
    net, x = network().eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = net(x, return_stacks=True)
        net.stacks[0].predict.bias += 1
        after = net(x, return_stacks=True)
    assert torch.allclose(after[0], before[0] + 1, atol=1e-5)
    assert not torch.allclose(after[1], before[1])


def test_the_mean_is_subtracted_and_not_saved():
    net, x = network().eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = net(x)
        net.mean.zero_()
        assert torch.equal(net(x - torch.tensor([0.509, 0.424, 0.378]).view(3, 1, 1)), expected)
    assert 'mean' not in net.state_dict()


def test_names_map_one_to_one_to_the_published_ones():
    with torch.device('meta'):
        ours = StackedHourglass().state_dict()
    names = {published_stacked_hourglass_name(key): tuple(value.shape) for key, value in ours.items()}
    assert list(names.items()) == list(published_shapes('StackedHourGlass_HG_68_CelebA').items())


@pytest.mark.parametrize('options, message', [
    (dict(num_feat=6), 'num_feat=6: expected a multiple of 4'),
    (dict(num_stacks=0), 'num_stacks=0: expected at least 1'),
    (dict(num_keypoints=0), 'num_keypoints=0: expected at least 1'),
])
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match='64x96; expected height and width to be multiples of 64'):
        network()(torch.rand(1, 3, 64, 96))
