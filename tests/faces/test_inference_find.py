"""Faces of all sizes are found, each once, the largest first."""
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dic_plugin.faces import find
from dic_plugin.faces.find import SEARCHED_SIDE, find_faces
from dic_plugin.faces.found_face import FoundFace


class MarkDetector:
    """Finds white squares of at least 40 pixels, as a detector finds faces: in an image of at most 1000 pixels."""
    min_confidence = 0.2

    def __init__(self, confidence=1.):
        self.confidence = confidence
        self.seen = []

    def find(self, img):
        self.seen.append(img.shape[:2])
        assert max(img.shape[:2]) <= 1000 or len(self.seen) == 1
        zoom = max(max(img.shape[:2]) / 1000, 1)
        _, _, stats, _ = cv2.connectedComponentsWithStats((img[..., 0] > 127).astype(np.uint8))
        faces = []
        for x, y, width, height, _ in stats[1:]:
            if min(width, height) / zoom >= 39 and abs(width - height) <= 2:
                corners = np.array([[x, y], [x + width - 1, y], [x, y + height - 1], [x + width - 1, y + height - 1]])
                faces.append(FoundFace(corners.astype(np.float64), confidence=self.confidence))
        return faces


def photo(width, height, *squares):
    img = np.zeros((height, width, 3), np.uint8)
    for x, y, side in squares:
        img[y:y + side, x:x + side] = 255
    return img


def boxes(faces):
    return [(*face.landmarks.min(axis=0), *face.landmarks.max(axis=0)) for face in faces]


def test_every_face_the_largest_first():
    found = find_faces(photo(900, 700, (10, 20, 60), (300, 300, 200), (700, 80, 100)), MarkDetector())
    expected = [(300, 300, 499, 499), (700, 80, 799, 179), (10, 20, 69, 79)]
    np.testing.assert_allclose(boxes(found), expected, atol=1)


def test_small_photographs_are_enlarged():
    detector = MarkDetector()
    found = find_faces(photo(120, 100, (30, 40, 12)), detector)
    assert detector.seen == [(400, 480)]
    np.testing.assert_allclose(boxes(found), [(30, 40, 41, 51)], atol=0.5)


def test_small_faces_of_large_photographs_are_searched_for_on_request():
    large = photo(2000, 1400, (1500, 900, 24), (655, 470, 25), (100, 100, 400))
    assert len(find_faces(large, MarkDetector())) == 1
    found = find_faces(large, MarkDetector(), min_face=20)
    assert len(found) == 3  # the large one and, though tiles overlap, each small one once
    np.testing.assert_allclose(boxes(found)[0], (100, 100, 499, 499), atol=3)
    assert sorted(round(box[0]) for box in boxes(found)[1:]) == [655, 1500]


def test_no_tiles_where_the_whole_shows_such_faces():
    detector = MarkDetector()
    find_faces(photo(250, 250), detector, min_face=20)
    assert len(detector.seen) == 1


def test_faces_that_only_the_detectors_shrinking_hides_are_searched_for():
    large = photo(3000, 2000, (2200, 1500, 70), (955, 640, 64), (100, 100, 400))
    assert len(find_faces(large, MarkDetector())) == 1
    detector = MarkDetector()
    found = find_faces(large, detector, min_face=60)
    np.testing.assert_allclose(sorted(box[0] for box in boxes(found)), [100, 955, 2200], atol=2)
    assert detector.seen == [(2000, 3000)] + [(1000, 1000)] * 6  # tiles of 1500 pixels


@pytest.mark.parametrize('min_face, tiles', [(40, True), (50, True), (69, True), (70, False), (100, False)])
def test_tiles_for_faces_of_less_than_a_25th_of_the_longer_side(min_face, tiles):
    detector = MarkDetector()
    find_faces(photo(1750, 900), detector, min_face=min_face)
    assert (len(detector.seen) > 1) == tiles


def test_a_narrow_photograph_is_not_shrunk_to_nothing():
    assert find_faces(photo(4000, 1), MarkDetector(), min_face=120) == []


@pytest.mark.parametrize('landmarks', [np.full((4, 2), np.nan), np.zeros((4, 2)), np.zeros((0, 2))])
def test_faces_without_sense_are_left_out(landmarks):
    detector = MarkDetector()
    detector.find = lambda img: [FoundFace(landmarks, confidence=1.)]
    assert find_faces(photo(100, 100), detector) == []


@pytest.mark.parametrize('confidence, num', [(0.1, 0), (0.3, 1), (None, 1)])
def test_unsure_faces_are_left_out(confidence, num):
    assert len(find_faces(photo(1000, 1000, (100, 100, 100)), MarkDetector(confidence))) == num


@given(st.integers(1, 5000), st.integers(250, SEARCHED_SIDE), st.floats(0, 1))
def test_tiles_hold_every_small_face_as_a_whole(length, side, where):
    starts = find._starts(length, side)
    face = min(side // 3, length)
    first = int(where * (length - face))
    assert any(start <= first and first + face <= min(start + side, length) for start in starts)
    assert starts[0] == 0 and max(starts) + min(side, length) == length
