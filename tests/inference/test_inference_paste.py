"""Restored faces in their photograph: nothing else changes."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dic_plugin.inference.paste import MAX_PIXELS, enlarge_photograph, feather, paste_face, paste_factor

sides = st.integers(1, 40)


@given(st.integers(1, 4), st.integers(-30, 50), st.integers(-30, 40), sides)
def test_outside_the_square_the_photograph_is_only_enlarged(factor, x0, y0, side):
    photo = np.random.RandomState(side).randint(0, 256, (40, 50, 3), np.uint8)
    plain = enlarge_photograph(photo, factor)
    canvas = plain.copy()
    paste_face(canvas, np.full((32, 32, 3), 77, np.uint8), (x0, y0, x0 + side, y0 + side), factor)
    inside = np.zeros(canvas.shape[:2], bool)
    inside[max(y0 * factor, 0):max((y0 + side) * factor, 0), max(x0 * factor, 0):max((x0 + side) * factor, 0)] = True
    np.testing.assert_array_equal(canvas[~inside], plain[~inside])


def test_inside_the_face_is_the_restored_one():
    photo = np.random.RandomState(0).randint(0, 256, (60, 60, 3), np.uint8)
    face = np.random.RandomState(1).randint(0, 256, (128, 128, 3), np.uint8)
    canvas = enlarge_photograph(photo, 4)
    paste_face(canvas, face, (10, 12, 42, 44), 4)
    np.testing.assert_array_equal(canvas[48 + 20:48 + 108, 40 + 20:40 + 108], face[20:108, 20:108])
    assert (canvas[48:50, 40:168] != face[:2]).any()  # fades in


def test_a_face_like_the_photograph_changes_nothing():
    canvas = np.full((50, 50, 3), 99, np.uint8)
    paste_face(canvas, np.full((20, 20, 3), 99, np.uint8), (-5, 10, 25, 40), 1)
    assert (canvas == 99).all()


@given(st.integers(1, 500))
def test_feather_is_even_all_around(side):
    mask = feather(side)
    assert mask.shape == (side, side) and mask.min() >= 0 and mask.max() <= 1
    for other in (mask.T, mask[::-1], mask[:, ::-1]):
        np.testing.assert_array_equal(mask, other)
    if side > 20:
        assert mask[0].max() < 0.2 and mask[side // 2, side // 2] == 1


@given(st.lists(st.integers(1, 2000), min_size=1), st.integers(1, 20000), st.integers(1, 20000))
def test_factor_keeps_what_was_restored_and_fits(face_sides, width, height):
    factor = paste_factor(face_sides, 128, 8, width, height)
    assert 1 <= factor <= 8
    assert factor == 1 or width * height * factor**2 <= MAX_PIXELS
    if width * height * 64 <= MAX_PIXELS and min(face_sides) >= 16:
        assert min(face_sides) * factor >= 128
        assert factor == 1 or min(face_sides) * (factor - 1) < 128
