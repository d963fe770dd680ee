"""Crops for the network: the training set's rule and its way of shrinking."""
import mmcv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dic_plugin.data.degradation import make_lq
from dic_plugin.faces.crop import crop_face, cut, place, square_around
from dic_plugin.faces.found_face import FoundFace
from dic_plugin.synthetic import draw_face


def photo_with_face(face_size, width=300, height=260, x0=40, y0=30):
    photo = np.random.RandomState(0).randint(0, 256, (height, width, 3), np.uint8)
    face, landmarks = draw_face(0, 0, face_size)
    photo[y0:y0 + face_size, x0:x0 + face_size] = face
    return photo, FoundFace(landmarks.astype(np.float64) + (x0, y0))


def test_large_faces_are_shrunk_as_the_training_data_are():
    photo, face = photo_with_face(200)
    crop = crop_face(photo, face)
    placement = place(square_around(face.landmarks), face.landmarks, 300, 260)
    gt, _ = cut(photo, placement, face.landmarks, 128)
    assert crop.side >= 128 and crop.box == placement.box and crop.found is face
    np.testing.assert_array_equal(crop.crop, gt)
    np.testing.assert_array_equal(crop.lq, make_lq(gt, 8))


def test_small_faces_are_resized_in_one_step():
    photo, face = photo_with_face(40)
    crop = crop_face(photo, face)
    x0, y0, x1, y1 = crop.box
    assert 16 < crop.side < 60
    resized = mmcv.imresize(photo[y0:y1, x0:x1], (16, 16), interpolation='bicubic', backend='pillow')
    np.testing.assert_array_equal(crop.lq, resized)
    assert crop.crop.shape == (128, 128, 3)


def test_a_crop_of_the_input_size_is_taken_as_it_is():
    image = np.random.RandomState(0).randint(0, 256, (16, 16, 3), np.uint8)
    crop = crop_face(image, None)
    np.testing.assert_array_equal(crop.lq, image)
    assert crop.box == (0, 0, 16, 16) and crop.found is None


def test_of_an_oblong_crop_the_central_square_is_taken():
    image = np.random.RandomState(0).randint(0, 256, (30, 20, 3), np.uint8)
    crop, square = crop_face(image, None), crop_face(image[5:25], None)
    assert crop.box == (0, 5, 20, 25)
    np.testing.assert_array_equal(crop.lq, square.lq)


def test_other_input_sizes_and_margins():
    photo, face = photo_with_face(40)
    crop = crop_face(photo, face, input_size=32, upscale=4, margin=0)
    assert crop.lq.shape == (32, 32, 3) and crop.crop.shape == (128, 128, 3)
    assert crop.side < crop_face(photo, face).side


@pytest.mark.parametrize('x0, y0', [(0, 0), (259, 219)])
def test_faces_at_the_border_are_padded(x0, y0):
    photo, face = photo_with_face(40, x0=min(x0, 260), y0=min(y0, 220))
    crop = crop_face(photo, face, margin=4)
    assert crop.lq.shape == (16, 16, 3)


def test_a_face_outside_the_photograph_is_refused():
    photo, face = photo_with_face(40)
    with pytest.raises(ValueError, match='lies outside the photograph'):
        crop_face(photo, FoundFace(face.landmarks + 1000))


@settings(max_examples=30)
@given(st.integers(0, 10), st.integers(20, 180), st.integers(-10, 200), st.integers(-10, 200))
def test_landmarks_go_to_the_photograph_and_back(seed, size, x0, y0):
    landmarks = np.random.RandomState(seed).rand(9, 2) * size + (x0, y0)
    landmarks = landmarks.clip(0, 199)
    landmarks[:2] = (x0, y0), (x0 + 15, y0 + 15)
    landmarks = landmarks.clip(-5, 205)
    photo = np.zeros((200, 200, 3), np.uint8)
    crop = crop_face(photo, FoundFace(landmarks))
    placement = place(square_around(landmarks), landmarks, 200, 200)
    _, inside = cut(photo, placement, landmarks, 128)
    np.testing.assert_allclose(crop.to_photograph(inside), landmarks, atol=1e-3)
