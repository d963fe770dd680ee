"""DIC's use_checkpoint: same numbers, recomputed steps."""
import pytest
import torch

from dic_plugin.archs import DIC
from dic_plugin.ops import native
from helpers.tiny_training import TINY, batch, build, options, step, weights


def passes_of(network):
    """Counts the passes of the hourglass and of both blocks."""
    counts = []
    for module in (network.hourglass, network.first_block, network.block):
        module.register_forward_pre_hook(lambda *args: counts.append(1))
    return counts


def total(output):
    return sum(value.square().mean() for value in output.sr + output.heatmap)


@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('num_fusion_block', [1, None])
@pytest.mark.parametrize('is_native', [False, True])
def test_checkpointing_changes_no_number(is_native, num_fusion_block, amp):
    torch.manual_seed(0)
    networks = [
        DIC(**{
            **TINY, 'num_fusion_block': num_fusion_block
        }, use_checkpoint=use, hg_from_scratch=True) for use in (False, True)
    ]
    networks[1].load_state_dict(networks[0].state_dict())
    outputs, gradients, passes = [], [], []
    x = batch()['lq']
    with native(is_native):
        for network in networks:
            counts = passes_of(network)
            with torch.autocast('cpu', torch.bfloat16, enabled=amp):
                output = network(x, return_steps=True)
            total(output).backward()
            outputs.append(output.sr + output.heatmap)
            gradients.append([param.grad for param in network.parameters()])
            passes.append(len(counts))
    assert all(torch.allclose(*pair, rtol=0, atol=1e-6) for pair in zip(*outputs))
    assert all(torch.allclose(*pair, rtol=1e-6, atol=1e-6) for pair in zip(*gradients))
    assert passes == [4, 8]  # everything twice


@pytest.mark.parametrize('is_native', [False, True])
def test_backward_pass_under_another_choice_of_operations(is_native):
    """The steps are computed again by the operations that computed them first."""
    network = DIC(**TINY, use_checkpoint=True, hg_from_scratch=True)
    with native(is_native):
        output = network(batch()['lq'], return_steps=True)
    with native(not is_native):
        total(output).backward()
    assert all(param.grad is not None for param in network.conv_in.parameters())


def test_checkpointing_recomputes_nothing_without_gradients():
    network = DIC(**TINY, use_checkpoint=True)
    counts = passes_of(network)
    with torch.no_grad():
        network(batch()['lq'], return_steps=True)
    assert len(counts) == 4


@pytest.mark.slow
def test_checkpointing_compiles_without_graph_breaks():
    torch._dynamo.reset()
    torch.manual_seed(0)
    network, x = DIC(**TINY, use_checkpoint=True, hg_from_scratch=True), batch()['lq']
    expected = network(x)
    compiled = torch.compile(network, backend='eager', fullgraph=True)
    assert torch.allclose(compiled(x), expected, atol=1e-5)


def test_checkpointed_training_is_the_same(tmp_path):
    """Over the release of the hourglass."""
    trained = []
    for use in (False, True):
        model = build(options(tmp_path, network=dict(use_checkpoint=use), train=dict(release_hourglass_iter=1)))
        step(model, [1, 2, 3])
        trained.append(weights(model))
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(*trained))
