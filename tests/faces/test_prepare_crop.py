"""The square around a face holds its landmarks, and its pixels are those of the photograph with repeated borders."""
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from dic_plugin.data.geometry import crop_resize
from dic_plugin.faces.crop import MARGIN, Placement, cut, place, square_around, square_of_box

WIDTH, HEIGHT = 40, 30
many = settings(max_examples=200)
coordinates = st.floats(-20, 60, width=32)
landmark_sets = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5).map(np.array)
inside = st.tuples(st.floats(-0.49, WIDTH - 0.51), st.floats(-0.49, HEIGHT - 0.51))
boxes = st.tuples(st.integers(-20, 60), st.integers(-20, 50),
                  st.integers(1, 60)).map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[2]))


def holds(box, landmarks):
    """Return whether each landmark lies in a pixel of the box."""
    return (np.floor(landmarks + 0.5) >= box[:2]).all() and (np.floor(landmarks + 0.5) < box[2:]).all()


def overhang(box):
    return max(-box[0], 0), max(-box[1], 0), max(box[2] - WIDTH, 0), max(box[3] - HEIGHT, 0)


def outside_photograph(box):
    return box[0] >= WIDTH or box[1] >= HEIGHT or box[2] <= 0 or box[3] <= 0


@many
@given(landmark_sets, st.floats(0, 1))
def test_square_around_landmarks(landmarks, margin):
    box = square_around(landmarks, margin)
    assert box[2] - box[0] == box[3] - box[1] and all(isinstance(value, int) for value in box)
    assert holds(box, landmarks)
    extent = (landmarks.max(axis=0) - landmarks.min(axis=0)).max()
    assert abs(box[2] - box[0] - (1 + 2 * margin) * extent) <= 2
    centre = (np.add(box[:2], box[2:]) - 1) / 2
    assert np.abs(centre - (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2).max() <= 1


def test_default_margin_gives_half_as_much_again():
    landmarks = np.array([[100., 200.], [200., 280.]])
    assert MARGIN == 0.25
    assert square_around(landmarks) == (76, 166, 226, 316)


@pytest.mark.parametrize('box, square', [
    ((2, 3, 12, 13), (2, 3, 12, 13)),
    ((2, 3, 12, 17), (0, 3, 14, 17)),
    ((0, 10, 15, 20), (0, 8, 15, 23)),
])
def test_box_is_grown_to_a_square(box, square):
    assert square_of_box(box) == square


@pytest.mark.parametrize('box', [(5, 5, 5, 9), (5, 9, 9, 5)])
def test_empty_box(box):
    with pytest.raises(ValueError, match='is empty; expected'):
        square_of_box(box)


@many
@given(boxes, landmark_sets)
def test_place_is_consistent(box, landmarks):
    """Moved and padding say how the box came about, and a move never makes anything worse."""
    placement = place(box, landmarks, WIDTH, HEIGHT)
    (dx, dy), side = placement.moved, box[2] - box[0]
    assert placement.box == (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)
    assert placement.padding == tuple(min(pixels, side) for pixels in overhang(placement.box))
    for before, now in zip(overhang(box), overhang(placement.box)):
        assert now <= before or side > min(WIDTH, HEIGHT)
    assert sum(overhang(placement.box)) <= sum(overhang(box))
    assert not holds(box, landmarks) or holds(placement.box, landmarks)
    if not any(overhang(box)):
        assert placement == Placement(box, (0, 0), (0, 0, 0, 0))


@many
@given(boxes, st.lists(inside, min_size=1, max_size=4).map(np.array))
def test_place_pads_only_what_landmarks_or_size_ask_for(box, landmarks):
    if not holds(box, landmarks):
        return
    placement = place(box, landmarks, WIDTH, HEIGHT)
    side = box[2] - box[0]
    if side <= WIDTH:  # the landmarks are in the photograph, and so can the box be
        assert placement.padding[0] == placement.padding[2] == 0
    else:
        assert placement.padding[0] + placement.padding[2] == side - WIDTH


def test_landmark_outside_holds_the_box_back():
    """Ten columns outside; a landmark in the fourth of them lets it move by three only."""
    placement = place((-10, 0, 20, 30), np.array([[-7., 10.], [5., 20.]]), WIDTH, HEIGHT)
    assert placement == Placement((-7, 0, 23, 30), (3, 0), (7, 0, 0, 0))


@many
@given(boxes, st.lists(inside, min_size=1, max_size=4).map(np.array), st.sampled_from([8, 16, 33]))
def test_cut_is_a_plain_crop_of_the_padded_photograph(box, landmarks, size):
    img = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    placement = place(box, landmarks, WIDTH, HEIGHT)
    if outside_photograph(placement.box):
        with pytest.raises(ValueError, match='lies outside the photograph of 40x30'):
            cut(img, placement, landmarks, size)
        return
    crop, moved = cut(img, placement, landmarks, size)
    far = 100
    padded = np.pad(img, ((far, far), (far, far), (0, 0)), 'edge')
    expected, expected_landmarks = crop_resize(padded, landmarks + far, tuple(np.add(placement.box, far)), (size, size))
    assert crop.dtype == np.uint8 and moved.dtype == np.float32
    np.testing.assert_array_equal(crop, expected)
    np.testing.assert_allclose(moved, expected_landmarks, atol=1e-3)


def test_cut_leaves_its_inputs_alone():
    img, landmarks = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.array([[3., 3.]])
    cut(img, Placement((-5, -5, 15, 15), (0, 0), (5, 5, 0, 0)), landmarks, 10)[0][:] = 255
    cut(img, Placement((0, 0, 10, 10), (0, 0), (0, 0, 0, 0)), landmarks, 5)
    assert not img.any() and landmarks.tolist() == [[3., 3.]]


def test_landmarks_stay_on_their_pixels():
    """A bright spot in a padded crop: where it is, the landmark is."""
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    spot = 255 * np.exp(-((columns - 11)**2 + (rows - 12)**2) / 8)
    img = np.repeat(spot[:, :, None], 3, axis=2).round().astype(np.uint8)
    crop, landmarks = cut(img, Placement((-9, -4, 21, 26), (0, 0), (9, 4, 0, 0)), np.array([[11., 12.]]), 64)
    weights = crop[:, :, 0].astype(float)
    centre = [(weights.sum(axis=axis) * np.arange(64)).sum() / weights.sum() for axis in (0, 1)]
    np.testing.assert_allclose(landmarks[0], centre, atol=0.1)
