"""dlib on a real photograph (the astronaut of scikit-image, if installed), and errors where something is missing."""
import bz2
import importlib.util
import os
import sys

import cv2
import numpy as np
import pytest

from dic_plugin.faces.detectors import DETECTORS, dlib_detector, make_detector
from dic_plugin.faces.detectors.dlib_detector import DlibDetector
from dic_plugin.landmarks.layouts import component_groups
from dic_plugin.prepare.photo import Photo
from dic_plugin.prepare.process import CropSettings, Task, prepare_photo


@pytest.fixture(scope='module')
def detector():
    pytest.importorskip('dlib', reason="needs dlib: pip install 'dic_plugin[faces]'")
    try:
        return make_detector('dlib')
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope='module')
def astronaut():
    """Path of the photograph: Eileen Collins, NASA, public domain."""
    spec = importlib.util.find_spec('skimage')
    path = spec and os.path.join(os.path.dirname(spec.origin), 'data', 'astronaut.png')
    if not path or not os.path.isfile(path):
        pytest.skip("needs scikit-image, which ships the astronaut's photograph")
    return path


def test_astronaut(detector, astronaut):
    """One face with 68 landmarks, and a crop that holds it; figures read off the photograph."""
    task = Task(Photo('astronaut', astronaut, 'astronaut.png'), 'test', None, detector.order, detector.min_confidence)
    result = prepare_photo(task, CropSettings(128, 128, 8), detector)
    assert result.num_faces == 1 and result.confidence > 0.5 and result.landmarks.shape == (68, 2)
    x0, y0, x1, y1 = result.crop_box
    assert 145 < x0 < 170 and 50 < y0 < 75 and 280 < x1 < 310 and 190 < y1 < 215
    in_photograph = (result.landmarks + 0.5) * (x1 - x0) / 128 - 0.5 + (x0, y0)
    left_eye, right_eye, nose, mouth, _ = (in_photograph[group].mean(axis=0) for group in component_groups(68))
    for found, seen in ((left_eye, (204, 101)), (right_eye, (249, 103)), (nose, (226, 123)), (mouth, (223, 142))):
        np.testing.assert_allclose(found, seen, atol=5)


def test_large_photograph_is_searched_small_but_measured_whole(detector, astronaut, monkeypatch):
    """Landmarks in the photograph's own pixels, and as good as those of the smaller one."""
    img = cv2.imread(astronaut)[:, :, ::-1]
    large = cv2.resize(img, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    monkeypatch.setattr(dlib_detector, 'MAX_SIDE', 512)
    small_face, large_face = detector.find(img)[0], detector.find(large)[0]
    assert large_face.confidence == pytest.approx(small_face.confidence, abs=0.5)
    np.testing.assert_allclose((large_face.landmarks + 0.5) / 4 - 0.5, small_face.landmarks, atol=4)


@pytest.mark.parametrize('shape', [(1, 1), (3, 900), (120, 120)])
def test_nothing_to_find(detector, shape):
    assert detector.find(np.full((*shape, 3), 90, np.uint8)) == []


def test_other_predictor(detector):
    """face_recognition_models has one of 5 points too."""
    path = detector.described[len('dlib with '):].replace('68', '5')
    if not os.path.isfile(path):
        pytest.skip('no predictor of 5 points here')
    with pytest.raises(ValueError, match='predicts 5 landmarks, expected 68'):
        make_detector('dlib', path)


def test_packed_predictor(detector, tmp_path):
    (tmp_path / 'points.dat.bz2').write_bytes(bz2.compress(b'points'))
    with pytest.raises(ValueError, match='points.dat.bz2: is packed; `bunzip2 points.dat.bz2`'):
        DlibDetector(str(tmp_path / 'points.dat.bz2'))


def test_file_that_is_no_predictor(detector, tmp_path):
    path = tmp_path / 'model.dat'
    path.write_bytes(b'nothing')
    with pytest.raises(ValueError, match='model.dat: is no landmark predictor of dlib'):
        make_detector('dlib', str(path))


def test_model_that_is_not_there(tmp_path):
    pytest.importorskip('dlib')
    with pytest.raises(FileNotFoundError, match=r"nowhere.dat' does not exist: `pip install 'dic_plugin\[faces\]'`"):
        make_detector('dlib', str(tmp_path / 'nowhere.dat'))


def test_models_are_looked_for(tmp_path, monkeypatch):
    """First in the package, without importing it, then where Debian puts it."""
    package, debian = tmp_path / 'face_recognition_models', tmp_path / 'dlib'
    for folder in (package / 'models', debian):
        folder.mkdir(parents=True)
        (folder / dlib_detector.MODEL_FILE).write_bytes(b'')
    (package / '__init__.py').write_text('raise ImportError("as without pkg_resources")')
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    monkeypatch.delitem(sys.modules, 'face_recognition_models', raising=False)
    monkeypatch.setattr(dlib_detector, 'DEBIAN_FOLDER', str(debian))
    assert dlib_detector.find_model(dlib_detector.MODEL_FILE) == str(package / 'models' / dlib_detector.MODEL_FILE)
    os.remove(package / 'models' / dlib_detector.MODEL_FILE)
    assert dlib_detector.find_model(dlib_detector.MODEL_FILE) == str(debian / dlib_detector.MODEL_FILE)
    os.remove(debian / dlib_detector.MODEL_FILE)
    with pytest.raises(FileNotFoundError, match=r"not installed: `pip install 'dic_plugin\[faces\]'` .* --model"):
        dlib_detector.find_model(dlib_detector.MODEL_FILE)


def test_no_dlib(monkeypatch):
    monkeypatch.setitem(sys.modules, 'dlib', None)
    with pytest.raises(ModuleNotFoundError, match=r"dlib is not installed: `pip install 'dic_plugin\[faces\]'`"):
        make_detector('dlib')


def test_unknown_detector():
    with pytest.raises(ValueError, match="no detector 'mtcnn'; known: " + ', '.join(sorted(DETECTORS))):
        make_detector('mtcnn')
