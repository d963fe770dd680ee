"""Dots of a grid are seen whatever the picture, and sharpness alone is no grid."""
import sys

import numpy as np
import pytest
from grid_dots import figures_of, main
from PIL import Image


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


def test_command(tmp_path, monkeypatch, capsys):
    """Results have the suffixes of BasicSR's test loop; a dotted one is told from the original."""
    rng = np.random.RandomState(0)
    for folder in ('gt', 'sr'):
        (tmp_path / folder).mkdir()
    for name in 'abc':
        face = rng.randint(60, 200, (128, 128, 3)).astype(np.uint8)
        Image.fromarray(face).save(tmp_path / 'gt' / f'{name}.png')
        face[::4, ::4] += 50
        Image.fromarray(face).save(tmp_path / 'sr' / f'{name}_test.png')
    monkeypatch.setattr(sys, 'argv', ['grid_dots.py', '--gt', str(tmp_path / 'gt'), str(tmp_path / 'sr')])
    main()
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split('|')]
    assert cells[2] == '3' and float(cells[3]) > 3 * float(cells[4])
