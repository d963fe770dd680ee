"""Results of single photographs on disk, and the LMDBs and folders of images that are built from them."""
import json
import os

import cv2
import numpy as np
import pytest

from dic_plugin.data.face_files import FaceFiles
from dic_plugin.prepare.finish import build_set, load_result, save_result
from dic_plugin.prepare.process import PNG_LEVEL, PreparedFace, SkippedPhoto


def make_face(number, size, split='train'):
    img = np.random.RandomState(number).randint(0, 256, (size, size, 3), np.uint8)
    png = cv2.imencode('.png', img[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()
    landmarks = np.float32([[number / 7, 1], [2, 3]])
    return img, PreparedFace(f'face_{number}', split, f'{number}.jpg', landmarks, size, (-1, 2, 30, 33), (0, 0),
                             (1, 0, 0, 0), 1, 0.7, png, None if split == 'train' else png)


@pytest.mark.parametrize('result, files', [
    (make_face(3, 16)[1], ['7.json', '7.png']),
    (make_face(3, 16, 'test')[1], ['7.json', '7.png', '7_lq.png']),
    (SkippedPhoto('Zoë.jpg', '', 'no face found'), ['7.json']),
])
def test_a_result_is_read_as_it_was_written(tmp_path, result, files):
    save_result(str(tmp_path / '7'), result)
    assert sorted(os.listdir(tmp_path)) == files
    again = load_result(str(tmp_path / '7'))
    if isinstance(result, PreparedFace):
        assert (tmp_path / '7.png').read_bytes() == result.image
        assert again.landmarks.dtype == np.float32 and again.landmarks.tolist() == result.landmarks.tolist()
        again, result = (face._replace(landmarks=None, image=None, lq=None) for face in (again, result))
    assert json.dumps(again) == json.dumps(result) and type(again) is type(result)


@pytest.mark.parametrize('content', ['', '{}', '[]', '{"reason": 1, "name": 2}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / '7.json').write_text(content)
    with pytest.raises(ValueError, match='7.json: is damaged .* Delete it and run the same command again'):
        load_result(str(tmp_path / '7'))


@pytest.mark.parametrize('store', ['lmdb', 'png'])
@pytest.mark.parametrize('num, size', [(1, 1), (1, 16), (1100, 16), (1100, 26), (40, 128)])
def test_images_of_any_size_and_number(tmp_path, store, num, size):
    """More than one transaction, values below and just above half a page of an LMDB: its map is large enough."""
    (tmp_path / 'set').mkdir()
    images, faces = {}, {}
    for number in range(num):
        images[f'face_{number}'], face = make_face(number, size)
        stem = str(tmp_path / str(number))
        save_result(stem, face)
        faces[stem] = face
    build_set(str(tmp_path / 'set'), faces, [], 'mine2', 8, store)
    root = tmp_path / 'set' / ('train.lmdb' if store == 'lmdb' else 'train')
    meta_info = root / 'meta_info.txt' if store == 'lmdb' else tmp_path / 'set' / 'meta_info_train.txt'
    files = FaceFiles(str(root), {'type': 'lmdb' if store == 'lmdb' else 'disk'}, str(meta_info))
    assert files.names == list(images)
    assert all(np.array_equal(files.read(row), images[name]) for row, name in enumerate(files.names))
    assert store == 'png' or sorted(os.listdir(root)) == ['data.mdb', 'meta_info.txt']
