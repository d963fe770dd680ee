"""Warnings appear for inputs that give poor results, and only for these."""
import numpy as np
import pytest

from dic_plugin.faces.cautions import cautions_of, letterbox, weights_cautions
from dic_plugin.faces.crop import crop_face
from dic_plugin.faces.found_face import FoundFace
from dic_plugin.synthetic import draw_face


def aligned(size=16, width=None):
    return np.random.RandomState(0).randint(0, 256, (size, width or size, 3), np.uint8)


def said(image, jpeg=False):
    return [caution.kind for caution in cautions_of(crop_face(image, None), image, jpeg, 16)]


def said_of_photograph(size, jpeg=False):
    image = np.random.RandomState(0).randint(0, 256, (300, 300, 3), np.uint8)
    face, landmarks = draw_face(0, 0, max(size, 32))
    found = FoundFace(landmarks.astype(np.float64) * size / max(size, 32) + 100)
    return [caution.kind for caution in cautions_of(crop_face(image, found), image, jpeg, 16)]


def test_nothing_is_said_of_what_the_network_was_trained_on():
    assert said(aligned()) == [] and said_of_photograph(20) == []


@pytest.mark.parametrize('size, num', [(20, 1), (40, 2), (120, 1)])
def test_jpeg_of_small_faces(size, num):
    kinds = said_of_photograph(size, jpeg=True)
    assert len(kinds) == num and any('JPEG leaves traces' in kind for kind in kinds) == (size < 64)


def test_small_aligned_jpegs():
    assert any('JPEG' in kind for kind in said(aligned(16), jpeg=True))


def test_large_and_tiny_faces():
    assert 'has more detail than the result' in said_of_photograph(120)[0]
    assert 'less than 16x16' in said_of_photograph(11)[0]


@pytest.mark.parametrize('size, is_said', [(16, True), (24, True), (25, False)])
def test_a_photograph_that_may_be_a_face_crop(size, is_said):
    image = aligned(size)
    crop = crop_face(image, FoundFace(draw_face(0, 0, 32)[1].astype(np.float64) / 4 + 3))
    kinds = [caution.kind for caution in cautions_of(crop, image, False, 16)]
    assert any('give --aligned' in kind for kind in kinds) == is_said


def test_aligned_faces_of_another_size():
    image = aligned(30, 20)
    caution, = cautions_of(crop_face(image, None), image, False, 16)
    assert 'another size than the trained one, 16x16' in caution.kind
    assert caution.detail == '20x30, its central square'


@pytest.mark.parametrize('bars, found', [((3, 3), True), ((1, 1), False), ((3, 0), False), ((0, 0), False)])
@pytest.mark.parametrize('axis', [0, 1])
def test_letterbox(bars, found, axis):
    image = aligned(60).swapaxes(0, axis)
    lines = image.swapaxes(0, axis)
    lines[:bars[0]] = 0
    lines[60 - bars[1]:] = 4  # JPEG's black is not quite black
    assert (letterbox(image) is not None) == found
    if found:
        assert letterbox(image) == f'3 and 3 of 60 {"rows" if axis == 0 else "columns"}'
        assert any('letterboxed' in kind for kind in said(image))


def test_even_images_are_not_letterboxed():
    assert letterbox(np.full((20, 20, 3), 9, np.uint8)) is None


def test_synthetic_faces_are_not_letterboxed():
    assert not any(letterbox(draw_face(0, index, size)[0]) for index in range(5) for size in (32, 128))


@pytest.mark.parametrize('trained_on, wanted, photographs, message', [
    (None, None, True, None),
    (None, 'celeba', False, 'do not record'),
    (('celeba', 'FaceLandmarkDataset'), 'CelebA', True, None),
    (('helen', 'FaceLandmarkDataset'), 'celeba', True, "trained on helen .*, not on 'celeba'"),
    (('faces', 'SyntheticFaceDataset'), None, False, None),
    (('faces', 'SyntheticFaceDataset'), 'synthetic', False, None),
    (('faces', 'SyntheticFaceDataset'), None, True, 'synthetic faces: they do not restore photographs'),
])
def test_weights_trained_on_something_else(trained_on, wanted, photographs, message):
    found = weights_cautions(trained_on, wanted, photographs)
    assert len(found) == (message is not None)
    if message:
        with pytest.raises(ValueError, match=message):
            raise ValueError(found[0])
