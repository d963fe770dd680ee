"""The identity metric, on synthetic faces: dlib's network is real."""
import cv2
import numpy as np
import pytest
from basicsr.metrics import calculate_metric

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.evaluation import identity as identity_module
from dic_plugin.evaluation.evaluate import MeasureKey, evaluate
from dic_plugin.evaluation.identity import SAME_PERSON, Identity
from dic_plugin.evaluation.output import report
from dic_plugin.evaluation.perceptual import MetricUnavailable
from dic_plugin.models import face_validation
from dic_plugin.synthetic import draw_face


@pytest.fixture(scope='module')
def identity():
    pytest.importorskip('dlib', reason='needs dlib')
    pytest.importorskip('face_recognition_models', reason="needs dlib's networks")
    return Identity()


def blurred(face, sigma):
    return cv2.GaussianBlur(face, (0, 0), sigma)


def test_distance_grows_with_the_blur(identity):
    face, landmarks = draw_face(1, 0)
    distances = [identity(blurred(face, sigma), face, landmarks) for sigma in (0.6, 2, 6)]
    assert identity(face, face, landmarks) == 0 < distances[0] < distances[1] < distances[2]


def test_landmarks_are_found_where_none_are_given(identity):
    face, landmarks = draw_face(1, 0)
    assert identity(blurred(face, 2), face) == pytest.approx(identity(blurred(face, 2), face, landmarks), abs=0.15)
    grey = np.full_like(face, 128)
    assert np.isnan(identity(face, grey)) and np.isfinite(identity(face, grey, landmarks))


def test_the_metric_of_basicsr_gives_the_same(identity):
    face, landmarks = draw_face(1, 0)
    for known in ({}, dict(gt_landmarks=landmarks)):
        data = dict(img=blurred(face, 2)[..., ::-1], img2=face[..., ::-1], landmarks=None, **known)
        measured = calculate_metric(data, dict(type='calculate_identity', better='lower'))
        assert measured == identity(blurred(face, 2), face, *known.values())


def test_an_original_is_described_once(identity, monkeypatch):
    face, landmarks = draw_face(1, 1)
    seen, describe = [], identity._descriptor
    monkeypatch.setattr(identity, '_descriptor', lambda img, points: seen.append(img) or describe(img, points))
    first = identity(blurred(face, 2), face, landmarks)
    assert identity(blurred(face, 2), face.copy(), landmarks) == first and len(seen) == 3
    assert identity(blurred(face, 2), face, landmarks + 1) != first and len(seen) == 5  # another crop


def test_means_leave_out_faces_that_are_not_found_and_nothing_else():
    assert face_validation._mean([1., np.nan, 2.], 'calculate_identity') == 1.5
    assert np.isnan(face_validation._mean([np.nan], 'calculate_identity'))
    assert np.isnan(face_validation._mean([1., np.nan, 2.], 'calculate_nrmse'))


@pytest.mark.parametrize('annotated', [True, False])
def test_evaluation(identity, tmp_path, annotated):
    faces = {f'face_{index}': draw_face(1, index) for index in range(3)}
    for folder, sigma in (('sr', 2), ('gt', None)):
        (tmp_path / folder).mkdir()
        for name, (face, _) in faces.items():
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), (blurred(face, sigma) if sigma else face)[..., ::-1])
    path = None
    if annotated:
        path = str(tmp_path / 'annotations.npz')
        FaceAnnotations(np.array(list(faces)), np.float32([points for _, points in faces.values()]),
                        'ibug68').save(path)
    evaluation = evaluate(str(tmp_path / 'sr'), str(tmp_path / 'gt'), ['rgb'], annotations=path, metrics=['identity'])
    values = evaluation.columns[MeasureKey('identity', 'identity')]
    expected = [identity(blurred(face, 2), face, points if annotated else None) for face, points in faces.values()]
    np.testing.assert_allclose(values, expected)
    same = evaluation.results[MeasureKey('same_person', 'identity')]
    assert same.mean == np.mean(values < SAME_PERSON) and same.num_images == 3
    assert 'same person (< 0.6)' in report(evaluation)


def test_missing_model_is_one_message(monkeypatch):
    monkeypatch.setattr(identity_module, 'find_spec', lambda name: None)
    with pytest.raises(
            MetricUnavailable, match=r"identity metric needs dlib and dlib_face.*pip install 'dic_plugin\[f"):
        Identity()
