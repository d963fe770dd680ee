"""Pixels and landmarks move together, and come back; lq is what Pillow makes of gt."""
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from dic_plugin.data.degradation import make_lq
from dic_plugin.data.geometry import (
    aspect_crop_box,
    crop_resize,
    flip_horizontal,
    rotate,
    rotate_quarter_turns,
    zoom_box,
)
from dic_plugin.landmarks.layouts import flip_permutation

WIDTH, HEIGHT = 60, 44
IDENTITY = np.arange(1)
few = settings(max_examples=30)
dots = st.tuples(st.integers(8, WIDTH - 9), st.integers(8, HEIGHT - 9))


def dot_image(x, y, width=WIDTH, height=HEIGHT):
    """A bright round spot about (x, y) on black."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    spot = 255 * np.exp(-((columns - x)**2 + (rows - y)**2) / 8)
    return np.repeat(spot[:, :, None], 3, axis=2).round().astype(np.uint8)


def brightest(img):
    """Centre of brightness, (x, y)."""
    weights = img[:, :, 0].astype(np.float64)
    return np.array([(weights.sum(axis=0) * np.arange(img.shape[1])).sum(),
                     (weights.sum(axis=1) * np.arange(img.shape[0])).sum()]) / weights.sum()


def random_face(num_keypoints=5, seed=0):
    rng = np.random.RandomState(seed)
    landmarks = (rng.rand(num_keypoints, 2) * (WIDTH - 1, HEIGHT - 1)).astype(np.float32)
    return rng.randint(0, 256, (HEIGHT, WIDTH, 3), np.uint8), landmarks


@few
@given(dots)
def test_flip_keeps_dot_at_landmark(dot):
    img, landmarks = flip_horizontal(dot_image(*dot), np.float32([dot]), IDENTITY)
    np.testing.assert_allclose(brightest(img), landmarks[0], atol=1e-3)


@few
@given(dots, st.integers(-5, 5))
def test_turn_keeps_dot_at_landmark(dot, turns):
    img, landmarks = rotate_quarter_turns(dot_image(*dot), np.float32([dot]), turns)
    np.testing.assert_allclose(brightest(img), landmarks[0], atol=1e-3)


@few
@given(dots, st.floats(0.5, 2), st.integers(30, 90), st.integers(30, 90))
def test_distortion_keeps_dot_at_landmark(dot, ratio, width, height):
    """Sub-pixel: half-pixel mistakes in the convention show."""
    extent = np.float32([dot, np.subtract(dot, 8), np.add(dot, 8)])  # so that the spot is not cut
    box = aspect_crop_box(WIDTH, HEIGHT, extent, ratio)
    img, landmarks = crop_resize(dot_image(*dot), extent, box, (width, height))
    assert img.shape == (height, width, 3)
    np.testing.assert_allclose(brightest(img), landmarks[0], atol=0.15)


@few
@given(st.tuples(st.integers(22, 38), st.integers(16, 28)), st.floats(-180, 180))
def test_rotation_keeps_dot_at_landmark(dot, degrees):
    img, landmarks = rotate(dot_image(*dot), np.float32([dot]), degrees)
    assert img.shape == (HEIGHT, WIDTH, 3)
    visible = img.astype(int) * (np.hypot(*np.indices(img.shape[:2])[::-1] - landmarks[0][:, None, None]) < 8)[...,
                                                                                                               None]
    np.testing.assert_allclose(brightest(visible), landmarks[0], atol=0.15)


def test_rotation_is_clockwise():
    np.testing.assert_allclose(rotate(*random_face(), 90)[1], _quarter_turn(random_face()[1]), atol=1e-4)


def _quarter_turn(landmarks):
    """Clockwise about the centre, by hand: what is right of it comes below it."""
    centre = np.array([WIDTH - 1, HEIGHT - 1]) / 2
    return np.stack([-(landmarks - centre)[:, 1], (landmarks - centre)[:, 0]], axis=1) + centre


@few
@given(st.floats(1, 4), st.tuples(st.floats(0, 1), st.floats(0, 1)), st.lists(dots, max_size=3))
def test_zoom_box_holds_all_landmarks_and_lies_inside(zoom, place, points):
    landmarks = np.float32(points) if points else None
    x0, y0, x1, y1 = zoom_box(WIDTH, HEIGHT, landmarks, zoom, place)
    assert 0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT
    if points:
        assert (landmarks >= [x0, y0]).all() and (landmarks < [x1, y1]).all()
    else:
        assert (x1 - x0, y1 - y0) == (max(round(WIDTH / zoom), 1), max(round(HEIGHT / zoom), 1))


@pytest.mark.parametrize('num_keypoints', [5, 68])
def test_flip_twice_is_identity(num_keypoints):
    img, landmarks = random_face(num_keypoints)
    face = (img, landmarks)
    for _ in range(2):
        face = flip_horizontal(*face, flip_permutation(num_keypoints))
    np.testing.assert_array_equal(face[0], img)
    np.testing.assert_allclose(face[1], landmarks, atol=1e-5)


def test_four_quarter_turns_are_identity():
    img, landmarks = random_face()
    face = (img, landmarks)
    for turn in range(4):
        face = rotate_quarter_turns(*face, 1)
        assert face[0].shape == ((WIDTH, HEIGHT, 3) if turn % 2 == 0 else (HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(face[0], img)
    np.testing.assert_allclose(face[1], landmarks, atol=1e-5)


@few
@given(st.integers(0, 7), st.integers(0, 7))
def test_quarter_turns_add_up(first, second):
    img, landmarks = random_face()
    one_by_one = rotate_quarter_turns(*rotate_quarter_turns(img, landmarks, first), second)
    at_once = rotate_quarter_turns(img, landmarks, first + second)
    np.testing.assert_array_equal(one_by_one[0], at_once[0])
    np.testing.assert_allclose(one_by_one[1], at_once[1], atol=1e-5)


def test_quarter_turn_by_hand():
    """Counter-clockwise: what was at the right end of the top row is at the left end of it now."""
    img = np.zeros((2, 3, 3), np.uint8)
    img[0, 2] = 9
    turned, landmarks = rotate_quarter_turns(img, np.float32([[2, 0], [0, 1]]), 1)
    assert turned.shape == (3, 2, 3) and turned[0, 0, 0] == 9
    assert landmarks.tolist() == [[0, 0], [1, 2]]


@few
@given(st.integers(0, 1000), st.floats(0.2, 4))
def test_distortion_keeps_all_landmarks_inside(seed, ratio):
    img, landmarks = random_face(seed=seed)
    x0, y0, x1, y1 = box = aspect_crop_box(WIDTH, HEIGHT, landmarks, ratio)
    assert 0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT
    _, moved = crop_resize(img, landmarks, box, (32, 32))
    assert (moved >= -0.5).all() and (moved <= 31.5).all()


@pytest.mark.parametrize('ratio', [0.66, 0.8, 1., 1.25, 1.33])
def test_distortion_reaches_its_ratio(ratio):
    x0, y0, x1, y1 = aspect_crop_box(100, 100, np.float32([[45, 45], [55, 55]]), ratio)
    assert (y1 - y0) / (x1 - x0) == pytest.approx(ratio, abs=0.015)
    assert (x0 + x1, y0 + y1) == (pytest.approx(101, abs=1), pytest.approx(101, abs=1)) or ratio == 1


def test_distortion_is_limited_to_what_landmarks_leave():
    assert aspect_crop_box(100, 100, np.float32([[50, 3], [50, 90]]), 0.5) == (0, 3, 100, 91)
    assert aspect_crop_box(100, 100, np.float32([[0, 0], [99, 99]]), 1.33) == (0, 0, 100, 100)


def test_distortion_without_landmarks_is_centred():
    assert aspect_crop_box(100, 100, None, 0.5) == (0, 25, 100, 75)
    assert aspect_crop_box(100, 100, None, 2) == (25, 0, 75, 100)


def test_resize_by_hand():
    """The centre of the first of two pixels lies between the first two of four."""
    _, landmarks = crop_resize(np.zeros((2, 2, 3), np.uint8), np.float32([[0, 0.5]]), (0, 0, 2, 2), (4, 4))
    assert landmarks.tolist() == [[0.5, 1.5]]


@pytest.mark.parametrize('move', [
    lambda img, points: flip_horizontal(img, points, IDENTITY),
    lambda img, points: rotate_quarter_turns(img, points, 1),
    lambda img, points: crop_resize(img, points, (5, 5, 30, 30), (20, 20)),
])
def test_inputs_are_left_alone_and_landmarks_optional(move):
    img, landmarks = dot_image(20, 20), np.float32([[20, 20]])
    moved, points = move(img, landmarks)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(img, dot_image(20, 20))
    assert landmarks.tolist() == [[20, 20]]
    without, none = move(img, None)
    assert none is None
    np.testing.assert_array_equal(without, moved)


@pytest.mark.parametrize('upscale', [2, 4, 8])
def test_lq_is_pillows_bicubic(upscale):
    gt = np.random.RandomState(0).randint(0, 256, (32, 48, 3), np.uint8)
    expected = np.asarray(Image.fromarray(gt).resize((48 // upscale, 32 // upscale), Image.BICUBIC))
    lq = make_lq(gt, upscale)
    assert lq.dtype == np.uint8
    np.testing.assert_array_equal(lq, expected)


def test_lq_of_a_turned_view_is_that_of_its_copy():
    gt = np.rot90(np.random.RandomState(0).randint(0, 256, (32, 48, 3), np.uint8))
    np.testing.assert_array_equal(make_lq(gt, 8), make_lq(gt.copy(), 8))


def test_lq_refuses_what_it_cannot_shrink():
    with pytest.raises(ValueError, match='20x16.*multiples'):
        make_lq(np.zeros((16, 20, 3), np.uint8), 8)
    with pytest.raises(ValueError, match='8-bit.*float32'):
        make_lq(np.zeros((16, 16, 3), np.float32), 8)
