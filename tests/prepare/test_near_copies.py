"""Copies of a picture, resized or stored again, are near; other pictures are not."""
import cv2
import numpy as np
import pytest

from dic_plugin.prepare.near_copies import NEAR, fingerprint, near_pairs
from dic_plugin.synthetic import draw_face

FACES = [draw_face(0, index)[0] for index in range(12)]


def distance(first, second):
    return int(np.unpackbits(fingerprint(first) ^ fingerprint(second)).sum())


def stored(img, scale, quality):
    small = cv2.resize(img, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize('scale, quality', [(1, 60), (0.5, 95), (0.7, 80), (1.6, 90)])
def test_copies_are_near(scale, quality):
    assert all(distance(face, stored(face, scale, quality)) <= NEAR for face in FACES)


def test_others_are_not():
    assert min(distance(first, second) for i, first in enumerate(FACES) for second in FACES[:i]) > NEAR


def test_pairs_are_those_of_all_distances(monkeypatch):
    monkeypatch.setattr('dic_plugin.prepare.near_copies.ROWS', 3)
    first = [fingerprint(face) for face in FACES]
    second = [fingerprint(stored(face, 0.7, 90)) for face in FACES[::-1]]
    expected = [(i, j) for i, one in enumerate(first) for j, other in enumerate(second)
                if np.unpackbits(one ^ other).sum() <= NEAR]
    assert sorted(near_pairs(first, second)) == sorted(expected) and len(expected) >= len(FACES)
    assert list(near_pairs([], second)) == list(near_pairs(first, [])) == []
