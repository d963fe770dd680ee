"""The detectors beside dlib's own: where each finds a face, and what it says when something is missing."""
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dic_plugin.cli.infer import main
from dic_plugin.faces.detectors import make_detector
from dic_plugin.faces.detectors.mediapipe_detector import VERTICES
from dic_plugin.faces.detectors.yunet_detector import CENTRE, SIDE

skdata = pytest.importorskip('skimage.data')
SIZE, CELL = 128, 10 * 16 + 9  # a picture of YuNet, and the cell of 8 pixels in which the test's model sees a face
POINTS = np.array([[70., 80.], [90., 80.], [80., 90.], [72., 100.], [88., 100.]])


def save_yunet(path):
    """A model with YuNet's outputs, which sees one face in every picture of SIZE."""
    row, column = divmod(CELL, SIZE // 8)
    nodes, outputs = [helper.make_node('ReduceMean', ['input'], ['mean'], keepdims=0)], []
    nodes += [helper.make_node('Mul', ['mean', 'zero'], ['nothing'])]
    tensors = [helper.make_tensor('zero', TensorProto.FLOAT, [], [0.])]
    for name, width in (('cls', 1), ('obj', 1), ('bbox', 4), ('kps', 10)):
        for stride in (8, 16, 32):
            values = np.zeros((1, (SIZE // stride)**2, width), np.float32)
            if stride == 8:
                values[0, CELL] = {
                    'cls': 1,
                    'obj': 1,
                    'bbox': [0, 0, np.log(5), np.log(5)],
                    'kps': (POINTS / 8 - (column, row)).ravel()
                }[name]
            label = f'{name}_{stride}'
            tensors.append(helper.make_tensor(f'of_{label}', TensorProto.FLOAT, values.shape, values.ravel()))
            nodes.append(helper.make_node('Add', [f'of_{label}', 'nothing'], [label]))
            outputs.append(helper.make_tensor_value_info(label, TensorProto.FLOAT, values.shape))
    entry = helper.make_tensor_value_info('input', TensorProto.FLOAT, [1, 3, SIZE, SIZE])
    graph = helper.make_graph(nodes, 'yunet', [entry], outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), path)


def test_the_network_of_dlib_finds_the_astronaut_where_dlib_does():
    pytest.importorskip('dlib')
    astronaut = skdata.astronaut()
    usual = make_detector('dlib').find(astronaut)[0]
    faces = make_detector('dlib_cnn').find(astronaut)
    assert len(faces) == 1 and faces[0].confidence > 0.9
    assert np.abs(faces[0].landmarks - usual.landmarks).mean() < 0.05 * usual.extent.max()


def test_squares_of_yunet_lie_on_eyes_and_mouth(tmp_path):
    pytest.importorskip('dlib')
    save_yunet(str(tmp_path / 'yunet.onnx'))
    detector = make_detector('yunet', str(tmp_path / 'yunet.onnx'))
    (square, score), = detector._squares(np.zeros((SIZE, SIZE, 3), np.uint8))
    assert score == pytest.approx(1)
    np.testing.assert_allclose((square[:2] + square[2:]) / 2, [80, 80 + 20 * CENTRE], atol=0.1)
    np.testing.assert_allclose(square[2:] - square[:2], SIDE * 40, atol=0.2)
    face, = detector.find(np.zeros((SIZE, SIZE, 3), np.uint8))
    assert face.landmarks.shape == (68, 2) and (np.abs(face.landmarks.mean(axis=0) - (80, 90)) < 15).all()


def test_mediapipe_by_a_stand_in(monkeypatch):
    mesh = [SimpleNamespace(x=number / 1000, y=number / 500) for number in range(468)]

    class FaceMesh:

        def __init__(self, **settings):
            assert settings['static_image_mode']

        def process(self, img):
            return SimpleNamespace(multi_face_landmarks=[SimpleNamespace(landmark=mesh)] if img.any() else None)

    for name in ('mediapipe', 'mediapipe.python', 'mediapipe.python.solutions'):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    module = ModuleType('mediapipe.python.solutions.face_mesh')
    module.FaceMesh = FaceMesh
    monkeypatch.setitem(sys.modules, module.__name__, module)
    detector = make_detector('mediapipe')
    assert detector.find(np.zeros((50, 100, 3), np.uint8)) == []
    face, = detector.find(np.ones((50, 100, 3), np.uint8))
    np.testing.assert_allclose(face.landmarks, np.array(VERTICES)[:, None] / (1000, 500) * (100, 50) - 0.5)
    with pytest.raises(ValueError, match='expected no --model'):
        make_detector('mediapipe', 'model.onnx')


@pytest.mark.parametrize('arguments, said', [
    (['yunet'], "YuNet's model file is not in any package"),
    (['yunet', '--model', 'nowhere.onnx'], 'nowhere.onnx: does not exist'),
    (['yunet', '--model', 'text.onnx'], 'text.onnx: OpenCV cannot load it as YuNet'),
    (['mediapipe'], "`pip install 'mediapipe<0.10.22'`"),
])  # yapf: disable
def test_what_is_missing_is_said(tmp_path, monkeypatch, capsys, arguments, said):
    pytest.importorskip('dlib')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, 'mediapipe', None)
    (tmp_path / 'text.onnx').write_text('no model')
    assert main(['-i', str(tmp_path), '-o', str(tmp_path / 'out'), '--detector', *arguments]) == 1
    assert said in capsys.readouterr().err
