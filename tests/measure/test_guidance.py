"""Guidance is exchanged before the fusion and nowhere else."""
import sys

import cv2
import numpy as np
import pytest
from guidance import GUIDANCE, main

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.synthetic import draw_face
from helpers.inference_weights import save_weights


def measured(tmp_path, monkeypatch, capsys, **options):
    """Return the cells of the printed table by row, for three drawn faces and a network that nobody has trained."""
    faces = [draw_face(1, index, 128) for index in range(3)]
    (tmp_path / 'gt').mkdir()
    for name, (face, _) in zip('abc', faces):
        cv2.imwrite(str(tmp_path / f'gt/{name}.png'), face)
    FaceAnnotations(np.array(list('abc')), np.float32([points for _, points in faces]),
                    'ibug68').save(str(tmp_path / 'gt.npz'))
    weights = save_weights(tmp_path / 'net.pth', **options)
    monkeypatch.setattr(sys, 'argv', ['guidance.py', '--gt', str(tmp_path / 'gt'), '--annotations',
                                      str(tmp_path / 'gt.npz'), '-w', weights])  # yapf: disable
    main()
    rows = [line.strip('| ').split(' | ') for line in capsys.readouterr().out.splitlines()[2:]]
    return {name: cells for name, *cells in rows}


def test_only_what_guides_makes_a_difference(tmp_path, monkeypatch, capsys):
    rows = measured(tmp_path, monkeypatch, capsys)
    assert list(rows) == list(GUIDANCE)
    differences = [cells[1] for cells in rows.values()]
    assert differences[0] == '+0.000 [+0.000, +0.000]' and len(set(differences)) > 1


def test_a_network_without_guidance_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match='nothing guides this network'):
        measured(tmp_path, monkeypatch, capsys, num_fusion_block=None)
