"""Dots of a grid are seen whatever the picture, and sharpness alone is no grid."""
import numpy as np
import pytest
from grid_dots import figures_of


@pytest.mark.parametrize('period', [2, 4, 8])
def test_a_grid_is_seen_and_noise_is_none(period):
    rng = np.random.RandomState(0)
    pictures = [rng.normal(128, 30, (112, 112)) for _ in range(20)]
    ratio, sharpness = figures_of(pictures, period)
    assert ratio == pytest.approx(1, abs=0.25)
    dots = np.zeros((112, 112))
    dots[::period, ::period] = 10 * period
    dotted, sharper = figures_of([picture + dots for picture in pictures], period)
    assert dotted > 4 and sharper > sharpness
    assert figures_of([picture * 0.1 for picture in pictures], period)[0] == pytest.approx(ratio)
