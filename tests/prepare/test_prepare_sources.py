"""The command with every kind of landmarks, checks and crops: from a folder as it is downloaded to the crops."""
import pickle

import cv2
import numpy as np
import pytest

from dic_plugin.cli.prepare import main
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.faces.detectors import DETECTORS
from dic_plugin.faces.found_face import FoundFace
from helpers.photographs import Scene, make_photographs, read_csv, write_dic_list

NUM = 4


@pytest.fixture
def scenes(tmp_path):
    return make_photographs(tmp_path / 'photos', NUM)


def prepare(tmp_path, *arguments, code=0):
    command = [tmp_path / 'photos', '-o', tmp_path / 'set', '--split', 'train', '--workers', 1, *arguments]
    assert main([str(part) for part in command]) == code


def assert_landmarks(root, expected):
    """The stored landmarks, taken back into the photographs, are the expected ones, of every photograph by name."""
    annotations = FaceAnnotations.load(str(root / 'train.npz'))
    assert annotations.source.tolist() == sorted(expected)
    for row, source in enumerate(annotations.source.tolist()):
        x0, y0, x1, _ = annotations.crop_box[row]
        found = (annotations.landmarks[row] + 0.5) * ((x1 - x0) / annotations.image_size[row, 0]) - 0.5 + (x0, y0)
        np.testing.assert_allclose(found, expected[source], atol=2e-3)
    return annotations


def write_openface(folder, scenes):
    """One CSV for all, named by a column; confidence 0.3 for the second photograph, failure for the third."""
    names = [f'{axis}_{index}' for axis in 'xy' for index in range(68)]
    lines = [', '.join(['filename', 'confidence', 'success', *names])]
    for index, (name, scene) in enumerate(scenes.items()):
        values = [f'{value:.3f}' for value in scene.landmarks.T.ravel()]
        lines.append(', '.join([name, '0.3' if index == 1 else '0.98', '0' if index == 2 else '1', *values]))
    (folder / 'openface.csv').write_text('\n'.join(lines) + '\n')
    return folder / 'openface.csv'


def write_pts(folder, scenes):
    for name, scene in scenes.items():
        points = '\n'.join(f'{x + 1:.4f} {y + 1:.4f}' for x, y in scene.landmarks)
        (folder / 'photos' / name).with_suffix('.pts').write_text(f'version: 1\nn_points: 68\n{{\n{points}\n}}\n')
    return folder / 'photos'


def write_helen(folder, scenes):
    """194 points: the 68, and copies of them."""
    (folder / 'annotation').mkdir()
    for number, (name, scene) in enumerate(scenes.items(), 7):
        points = np.resize(scene.landmarks, (194, 2))
        lines = [name[:-len('.jpg')], *(f'{x:.4f} , {y:.4f}' for x, y in points)]
        (folder / 'annotation' / f'{number}.txt').write_text('\n'.join(lines) + '\n')
    return folder / 'annotation'


def five_points(landmarks):
    return np.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0), *landmarks[[30, 48, 54]]])


def write_celeba(folder, scenes):
    lines = [str(len(scenes)), 'lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y ...']
    for name, scene in scenes.items():
        lines.append(' '.join([name, *(f'{value:.3f}' for value in five_points(scene.landmarks).ravel())]))
    (folder / 'list_landmarks_celeba.txt').write_text('\n'.join(lines) + '\n')
    return folder / 'list_landmarks_celeba.txt'


@pytest.mark.parametrize('write, order, of', [
    (write_pts, 'ibug68', lambda points: points),
    (write_helen, 'helen194', lambda points: np.resize(points, (194, 2))),
    (write_celeba, 'celeba5', five_points),
])  # yapf: disable
def test_landmarks_of_every_format_reach_the_crops(tmp_path, scenes, write, order, of):
    prepare(tmp_path, '--landmarks', write(tmp_path, scenes))
    expected = {name: of(scene.landmarks) for name, scene in scenes.items()}
    assert assert_landmarks(tmp_path / 'set', expected).order == order


def test_a_resized_copy_of_a_test_photograph_is_not_trained_on(tmp_path):
    scenes = make_photographs(tmp_path / 'photos', 8, (300, 240), 128)
    for name in list(scenes):  # every photograph has a copy; some fall on different sides
        img = cv2.imread(str(tmp_path / 'photos' / name))
        half = cv2.resize(img, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / 'photos' / f'copy_{name}'), half)
        scale = np.array(half.shape[1::-1]) / img.shape[1::-1]
        scenes[f'copy_{name}'] = Scene((scenes[name].landmarks + 0.5) * scale - 0.5, None)
    prepare(tmp_path, '--landmarks', write_pts(tmp_path, scenes), '--split', '4')
    split = {row['source']: row['split'] for row in read_csv(tmp_path / 'set' / 'faces.csv')}
    skipped = {row['source']: row['reason'] for row in read_csv(tmp_path / 'set' / 'skipped.csv')}
    for name, reason in skipped.items():
        other = name.removeprefix('copy_') if name.startswith('copy_') else f'copy_{name}'
        assert split[other] == 'test' and reason == f'nearly the same picture as a test photograph ({other})'
    test = [name for name, side in split.items() if side == 'test']
    assert len(test) == 4 and len(split) == 16 - len(skipped) and skipped
    assert not {name.removeprefix('copy_') for name in test} & {
        name.removeprefix('copy_') for name, side in split.items() if side == 'train'}  # yapf: disable


@pytest.mark.parametrize('bad', ['', 'version: 1\nn_points: 39\n{\n1 2\n}\n', '\udcff\udcfe'])
@pytest.mark.parametrize('number, arguments, code', [(1, (), 0), (2, (), 1), (2, ('--max-failures', '0.5'), 0)])
def test_bad_landmark_files_are_left_out_until_there_are_too_many(tmp_path, scenes, capsys, bad, number, arguments,
                                                                  code):
    folder = write_pts(tmp_path, scenes)
    names = list(scenes)[1:1 + number]
    for name in names:
        (folder / name).with_suffix('.pts').write_text(bad, errors='surrogateescape')
    prepare(tmp_path, '--landmarks', folder, *arguments, code=code)
    if code:
        assert '2 landmark files of 4 photographs cannot be used, more than --max-failures 0.1' in capsys.readouterr(
        ).err
        assert not (tmp_path / 'set').exists() and not (tmp_path / 'set.unfinished').exists()
    else:
        skipped = {row['source']: row['reason'] for row in read_csv(tmp_path / 'set' / 'skipped.csv')}
        assert set(skipped) == set(names)
        assert all(reason.startswith('landmark file cannot be used (') for reason in skipped.values())
        assert_landmarks(tmp_path / 'set', {name: scenes[name].landmarks for name in set(scenes) - set(names)})


@pytest.mark.parametrize('arguments,kept', [([], (0, 3)), (['--min-confidence', '0.2'], (0, 1, 3)),
                                            (['--min-confidence', '0.99'], ())])
def test_openface_is_believed_as_far_as_it_is_sure(tmp_path, scenes, arguments, kept):
    table = write_openface(tmp_path, scenes)
    prepare(tmp_path, '--landmarks', table, *arguments, code=0 if kept else 1)
    folder = tmp_path / ('set' if kept else 'set.unfinished')
    skipped = {row['source']: row['reason'] for row in read_csv(folder / 'skipped.csv')}
    assert set(skipped) == {name for index, name in enumerate(scenes) if index not in kept}
    assert skipped['000003.jpg'] == 'OpenFace found no face'
    if kept:
        assert_landmarks(folder, {name: scenes[name].landmarks for name in sorted(set(scenes) - set(skipped))})


def test_faces_that_disagree_with_the_five_points_are_left_out(tmp_path, scenes):
    checked = write_celeba(tmp_path, scenes)
    wrong = scenes['000002.jpg']
    shifted = dict(scenes, **{'000002.jpg': wrong._replace(landmarks=wrong.landmarks + (0, 12), box=(0, 0, 120, 120))})
    write_dic_list(tmp_path / 'list.pkl', shifted)
    prepare(tmp_path, '--landmarks', tmp_path / 'list.pkl', '--check-points', checked)
    sources = [row['source'] for row in read_csv(tmp_path / 'set' / 'faces.csv')]
    assert sources == ['000001.jpg', '000003.jpg', '000004.jpg']
    reason, = (row['reason'] for row in read_csv(tmp_path / 'set' / 'skipped.csv'))
    assert 'disagree with the five points' in reason


def test_points_that_cannot_be_checked_are_refused_at_once(tmp_path, scenes, capsys):
    files = write_helen(tmp_path, scenes), write_celeba(tmp_path, scenes)
    prepare(tmp_path, '--landmarks', files[0], '--check-points', files[1], code=1)
    assert '--check-points: landmarks in the order helen194' in capsys.readouterr().err


def test_a_face_at_the_border_is_moved_or_padded_and_that_is_recorded(tmp_path):
    """The first photograph begins within its face's square and has room on the right; the second has no room."""
    scenes = make_photographs(tmp_path / 'larger', 2, size=(150, 120), face_size=64)
    (tmp_path / 'photos').mkdir()
    (first, (x0, *_)), (second, (a0, b0, a1, b1)) = scenes.values()
    img = [cv2.imread(str(tmp_path / 'larger' / name)) for name in scenes]
    wide = cv2.copyMakeBorder(img[0], 0, 0, 0, 100, cv2.BORDER_REFLECT)
    cv2.imwrite(str(tmp_path / 'photos/000001.png'), wide[:, x0 + 4:])
    cv2.imwrite(str(tmp_path / 'photos/000002.png'), img[1][b0 + 12:b1 - 6, a0 + 8:a1 - 6])
    moved = {'000001.png': first - (x0 + 4, 0), '000002.png': second - (a0 + 8, b0 + 12)}
    prepare(tmp_path, '--landmarks', write_pts(tmp_path, {name: Scene(points, None) for name, points in moved.items()}))
    assert_landmarks(tmp_path / 'set', moved)
    first, second = read_csv(tmp_path / 'set' / 'faces.csv')
    assert int(first['moved_x']) > 0 and first['x0'] == '0' and first['pad_left'] == '0'
    assert sum(int(second[f'pad_{side}']) for side in ('left', 'top', 'right', 'bottom')) > 0


def test_whole_crops_are_taken_as_they_are(tmp_path):
    (tmp_path / 'photos').mkdir()
    scenes = make_photographs(tmp_path / 'larger', 3)
    for name, scene in scenes.items():
        x0, y0, x1, y1 = scene.box
        crop = cv2.imread(str(tmp_path / 'larger' / name))[y0:y1, x0:x1]
        cv2.imwrite(str(tmp_path / 'photos' / name.replace('jpg', 'png')), crop)
    bare = {name.replace('jpg', 'png'): scene.landmarks - scene.box[:2] for name, scene in scenes.items()}
    (tmp_path / 'test_list.pkl').write_bytes(pickle.dumps(bare))  # the published test list holds bare landmarks
    prepare(tmp_path, '--landmarks', tmp_path / 'test_list.pkl', '--whole', '--size', '64')
    assert_landmarks(tmp_path / 'set', bare)
    files = FaceFiles(str(tmp_path / 'set' / 'train.lmdb'), {'type': 'lmdb'})
    for index, name in enumerate(files.names):
        np.testing.assert_array_equal(
            files.read(index)[:, :, ::-1], cv2.imread(str(tmp_path / 'photos' / f'{name}.png')))


def test_a_detector_sees_the_whole_photograph(tmp_path, scenes, monkeypatch):
    """Any class with a detector's attributes will do; dlib's own is tested on a photograph elsewhere."""

    class Finder:
        order, min_confidence, described, model = 'ibug68', 0.5, 'a finder', None
        seen = []

        def __init__(self, model):
            assert model is None

        def find(self, img):
            scene = scenes[f'{len(self.seen) + 1:06d}.jpg']
            self.seen.append(img.shape)
            small = FoundFace((scene.landmarks - scene.landmarks.mean(0)) * 0.5 + scene.landmarks.mean(0), None, 0.9)
            return [] if len(self.seen) == 2 else [small, FoundFace(scene.landmarks, None, 0.8)]

    monkeypatch.setitem(DETECTORS, 'dlib', Finder)
    prepare(tmp_path, '--detector', 'dlib')
    expected = [cv2.imread(str(tmp_path / 'photos' / name)).shape for name in sorted(scenes)]
    assert Finder.seen == expected
    assert_landmarks(tmp_path / 'set', {
        name: scene.landmarks
        for name, scene in scenes.items() if name != '000002.jpg'
    })
    assert [face['faces_in_photograph'] for face in read_csv(tmp_path / 'set' / 'faces.csv')] == ['2'] * 3
    assert [row['reason'] for row in read_csv(tmp_path / 'set' / 'skipped.csv')] == ['no face found']


def test_transparent_parts_are_mentioned(tmp_path, capsys):
    """A photograph with an alpha channel, as PNG in the place of its JPEG."""
    scenes = make_photographs(tmp_path / 'photos', 2)
    photo = tmp_path / 'photos/000001.jpg'
    pixels = cv2.imread(str(photo))
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:5] = 0
    cv2.imwrite(str(photo.with_suffix('.png')), np.dstack([pixels, alpha]))
    photo.unlink()
    write_pts(tmp_path, scenes)
    prepare(tmp_path, '--landmarks', tmp_path / 'photos')
    assert 'transparent parts are laid over black: 1 (faces.csv)' in capsys.readouterr().out
    notes = {row['source']: row['notes'] for row in read_csv(tmp_path / 'set' / 'faces.csv')}
    assert notes == {'000001.png': 'transparent parts are laid over black', '000002.jpg': ''}
