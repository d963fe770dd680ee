"""Synthetic faces: the same on every call, landmarks in order and in the image, features at the landmarks."""
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dic_plugin.synthetic import draw_face

SEED = 7
# mean RGB of each cell of a 4x4 grid, of two faces of series 7: a change here changes the data that everyone trains on
FROZEN = {
    0:
    '102 93 92 178 144 116 198 163 132 122 104 92 135 117 108 199 160 129 192 154 123 135 117 109 '
    '119 114 117 181 143 113 163 125 99 124 120 125 118 111 120 174 138 110 127 104 96 113 113 123',
    1:
    '165 162 149 170 147 119 221 192 155 142 124 105 176 166 147 221 190 154 210 177 141 168 149 129 '
    '164 161 147 215 185 149 188 150 118 179 171 160 143 136 128 212 183 149 169 141 115 175 170 163',
}


def _coarse(image):
    return image.reshape(4, image.shape[0] // 4, 4, image.shape[1] // 4, 3).mean((1, 3))


@pytest.fixture(scope='module')
def faces():
    return [draw_face(SEED, index) for index in range(60)]


def _grey_at(image, point, radius=1):
    """Mean grey level of the pixels around a point, which must not lie at the very edge."""
    col, row = np.rint(point).astype(int)
    return float(image[max(row - radius, 0):row + radius + 1, max(col - radius, 0):col + radius + 1].mean())


@pytest.fixture
def script():
    return importlib.import_module('synthetic_faces')


def test_type_shape_and_use_of_the_range(faces):
    for image, landmarks in faces:
        assert image.dtype == np.uint8 and image.shape == (128, 128, 3)
        assert landmarks.dtype == np.float32 and landmarks.shape == (68, 2)
        assert image.std() > 15


def test_threads_draw_what_one_thread_draws_in_any_order():
    alone = [draw_face(4, index, 64) for index in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda index: draw_face(4, index, 64), reversed(range(8))))
    for one, other in zip(alone, reversed(together)):
        assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


@pytest.mark.parametrize('index', sorted(FROZEN))
def test_frozen_faces(index):
    """Loose enough for another processor's last bits, tight enough for any change of the drawing."""
    image, _ = draw_face(SEED, index)
    np.testing.assert_allclose(_coarse(image).ravel(), np.array(FROZEN[index].split(), float), atol=1.0)


def test_other_index_and_other_seed_give_other_faces():
    images = [draw_face(*key)[0].astype(int) for key in ((1, 0), (1, 1), (2, 0), (0, 1))]
    for i, one in enumerate(images):
        for other in images[:i]:
            assert np.abs(one - other).mean() > 5


@settings(max_examples=25)
@given(seed=st.integers(0, 2**63), index=st.integers(0, 2**40))
def test_any_face_has_its_landmarks_inside_and_in_order(seed, index):
    image, points = draw_face(seed, index, 64)
    assert image.shape == (64, 64, 3)
    assert np.isfinite(points).all() and (points >= 0).all() and (points <= 63).all()
    # axes of the face: from eye to eye, and down from the eyes to the mouth
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    across = right - left
    assert across[0] > 0
    along, down = points @ across, points @ np.array([-across[1], across[0]])
    assert along[36] < along[39] < along[42] < along[45]
    assert along[48] < along[51] < along[54] and along[31] < along[33] < along[35]
    assert along[0] < along[8] < along[16] and along[17] < along[21] < along[22] < along[26]
    assert (np.diff(down[27:31]) > 0).all()
    assert down[17:27].mean() < down[36:48].mean() < down[30] < down[33] < down[51] < down[57] < down[8]
    assert (down[[37, 38]] < down[[41, 40]]).all() and (down[[43, 44]] < down[[47, 46]]).all()
    assert down[62] <= down[66] + 1e-4 * across @ across and down[51] < down[62] and down[66] < down[57]


@pytest.mark.parametrize('size', [64, 160])
def test_another_size_is_the_same_face(size):
    for index in range(4):
        image, points = draw_face(SEED, index)
        scaled_image, scaled = draw_face(SEED, index, size)
        scale = size / 128
        np.testing.assert_allclose((scaled + 0.5) / scale - 0.5, points, atol=0.05)
        assert scaled_image.shape == (size, size, 3)
        assert np.abs(_coarse(scaled_image) - _coarse(image)).mean() < 4


def test_irises_and_brows_are_darker_than_their_surroundings(faces):
    """On average, as fringes, fair brows and glasses decide in single faces."""
    iris, white, cheek, brow, above = [], [], [], [], []
    for image, points in faces:
        for eye in (points[36:42], points[42:48]):
            iris.append(min(_grey_at(image, eye.mean(0) + [dx, 0], 0) for dx in (-2, -1, 0, 1, 2)))
            white.append(max(_grey_at(image, eye.mean(0) + [dx, 0], 0) for dx in (-6, -5, 5, 6)))
        cheek.append(_grey_at(image, (points[31] + points[41]) / 2))
        up = points[27] - points[30]
        for middle in (points[19], points[24]):
            brow.append(_grey_at(image, middle - 0.05 * up))
            above.append(_grey_at(image, middle + 0.35 * up))
    assert np.mean(iris) < min(np.mean(white), np.mean(cheek)) - 30
    assert np.mean(brow) < np.mean(above) - 10


@pytest.mark.parametrize('arguments, message', [((-1, 0), 'seed and index'), ((0, -2), 'seed and index'),
                                                ((0, 0, 16), '32 to 256'), ((0, 0, 512), '32 to 256')])
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_face(*arguments)


def test_dlib_finds_the_faces_and_agrees_on_the_landmarks(script):
    pytest.importorskip('dlib')
    try:
        finder = script.DlibLandmarks()
    except script.MissingTool as missing:
        pytest.skip(str(missing))
    figures, _ = script.measure(SEED, 20, finder)
    assert figures['detected'] >= 0.8
    assert figures['median'] <= 0.10


def test_missing_tools_are_named(script, tmp_path, monkeypatch):
    with pytest.raises(script.MissingTool, match='nowhere.dat'):
        script.find_predictor(str(tmp_path / 'nowhere.dat'))
    monkeypatch.setitem(sys.modules, 'dlib', None)
    with pytest.raises(script.MissingTool, match='pip install dlib-bin face_recognition_models'):
        script.DlibLandmarks()
