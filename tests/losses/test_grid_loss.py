"""GridLoss: it sees a pattern that is repeated from cell to cell, and nothing else."""
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dic_plugin.losses import GridLoss

PATTERN = torch.tensor([[1., -1.], [-1., 1.]]).repeat(2, 2)  # of a cell of 4x4 pixels, mean 0


@given(height=st.sampled_from([16, 35, 128]), width=st.sampled_from([16, 40]), weight=st.floats(0.1, 10))
def test_of_a_repeated_pattern_it_is_the_mean_absolute_value(height, width, weight):
    gt = torch.rand(2, 3, height, width)
    pattern = PATTERN.repeat(height // 4 + 1, width // 4 + 1)[:height, :width]
    loss = GridLoss(weight)(gt + 0.1 * pattern, gt)
    assert loss.item() == pytest.approx(0.1 * weight, rel=1e-3)


@pytest.mark.parametrize('error', [torch.full((16, 16), 0.3), torch.kron(torch.randn(4, 4), torch.ones(4, 4))])
def test_brightness_of_whole_cells_is_no_pattern(error):
    gt = torch.rand(1, 3, 16, 16)
    assert GridLoss()(gt + error, gt).item() == pytest.approx(0, abs=1e-6)


def test_of_noise_remains_what_averaging_over_the_cells_of_a_window_leaves():
    noise = torch.randn(8, 3, 128, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for window in (2, 4, 8):
        expected = (2 / torch.pi)**0.5 / window * (15 / 16)**0.5
        assert GridLoss(window=window)(noise, 0 * noise).item() == pytest.approx(expected, rel=0.02)


def test_patterns_of_opposite_sign_in_two_windows_both_count():
    gt = torch.rand(1, 1, 16, 32)
    sign = torch.tensor([1., -1.]).repeat_interleave(16)
    assert GridLoss()(gt + 0.1 * sign * PATTERN.repeat(4, 8), gt).item() == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize('arguments', [dict(period=1), dict(window=1)])
def test_cells_and_windows_have_two_or_more(arguments):
    with pytest.raises(ValueError, match='expected at least 2'):
        GridLoss(**arguments)


@pytest.mark.parametrize('shapes', [((1, 3, 16, 16), (1, 3, 32, 32)), ((1, 3, 8, 16), (1, 3, 8, 16))])
def test_wrong_shapes_are_named(shapes):
    with pytest.raises(ValueError, match=r'expected one shape of at least 16x16'):
        GridLoss()(*(torch.zeros(shape) for shape in shapes))
