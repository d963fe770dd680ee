"""dic-check: whole sets of several kinds pass; each kind of damage is reported, with its offenders."""
import dic_plugin  # noqa: F401 isort:skip (before basicsr, which may need its shims)

import os
import shutil

import cv2
import numpy as np
import pytest
from basicsr.utils.lmdb_util import LmdbMaker

from dic_plugin.cli import check
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.degradation import make_lq
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.prepare import check as check_module
from dic_plugin.prepare.check import check_set
from dic_plugin.prepare.check_report import EXAMPLES

SIZE, SCALE, NUM = 32, 8, 7
SPLITS = {'train': 0, 'test': 100}  # number of the first face


def picture(number, size=SIZE):
    return np.random.RandomState(number).randint(0, 256, (size, size, 3), np.uint8)


def pictures(split):
    return {f'{number:06d}': picture(number) for number in range(SPLITS[split], SPLITS[split] + NUM)}


def write_lmdb(path, images):
    """``images``: dict from key to RGB image, or to bytes, which are written as they are."""
    shutil.rmtree(path, ignore_errors=True)
    maker = LmdbMaker(str(path), map_size=1 << 20)
    for key, img in images.items():
        content = img if isinstance(img, bytes) else cv2.imencode('.png', img[:, :, ::-1])[1].tobytes()
        maker.put(content, key, (SIZE, SIZE, 3) if isinstance(img, bytes) else img.shape)
    maker.close()


def write_folder(path, images):
    path.mkdir()
    for key, img in images.items():
        cv2.imwrite(str(path / f'{key}.png'), img[:, :, ::-1])


def low_quality(images, scale=SCALE):
    return {name: make_lq(img, scale) for name, img in images.items()}


def grid(order='celeba5', size=SIZE):
    """Points in the rows of a grid, left to right, which suits CelebA's five: left eye, right eye, nose, mouth."""
    return np.tile(np.linspace(4, size - 5, ORDERS.get(order, 5), dtype=np.float32)[:, None], (NUM, 1, 2))


def annotate(path, names, order='celeba5', size=SIZE, **changes):
    fields = dict(
        landmarks=np.resize(grid(order, size), (len(names), *grid(order).shape[1:])),
        order=order,
        image_size=np.full((len(names), 2), size, np.int32),
        source=np.array([f'{name}.jpg' for name in names]))
    FaceAnnotations(np.array(list(names)), **dict(fields, **changes)).save(str(path))


def changed(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


@pytest.fixture
def prepared(tmp_path):
    """As scripts/prepare_faces.py leaves a set."""
    root = tmp_path / 'celeba'
    root.mkdir()
    for split in SPLITS:
        write_lmdb(root / f'{split}.lmdb', pictures(split))
        annotate(root / f'{split}.npz', pictures(split))
    write_lmdb(root / 'test_lq.lmdb', low_quality(pictures('test')))
    (root / 'prepared.json').write_text('{}')
    (root / 'preview.png').write_bytes(cv2.imencode('.png', picture(0))[1].tobytes())  # no face of the set
    return root


def text(report):
    return '\n'.join(report.lines())


def test_prepared_set_is_well(prepared, capsys):
    assert check.main([str(prepared), '--workers', '2']) == 0
    assert capsys.readouterr().out.splitlines() == [
        'test.lmdb: 7 images of 32x32, landmarks celeba5, low-quality images of 4x4',
        'train.lmdb: 7 images of 32x32, landmarks celeba5', 'All is well.'
    ]


def test_somebodys_own_folders_are_well(tmp_path):
    """No low-quality images, no sizes or sources annotated, and names that start anew in every split."""
    for split in SPLITS:
        write_folder(tmp_path / split, {f'{i}': img for i, img in enumerate(pictures(split).values())})
        annotate(tmp_path / f'{split}.npz', [str(i) for i in range(NUM)], image_size=None, source=None)
    report = check_set(str(tmp_path), 1)
    assert report.ok and [split.num_images for split in report.splits] == [NUM, NUM]
    assert 'warning: same name in two splits (7)' in text(report)


@pytest.mark.parametrize('annotation_file', ['faces.npz', 'faces/landmarks.npz'])
def test_single_folder(tmp_path, annotation_file):
    write_folder(tmp_path / 'faces', pictures('train'))
    annotate(tmp_path / annotation_file, pictures('train'))
    for root in (tmp_path / 'faces', f'{tmp_path}/faces/', tmp_path):
        report = check_set(str(root), 1)
        assert report.ok and [split.name for split in report.splits] == ['faces'] and not report.splits[0].warnings


def test_single_lmdb(prepared, monkeypatch):
    monkeypatch.chdir(prepared)
    report = check_set('test.lmdb', 1)
    assert report.ok and [(split.name, split.lq_sizes) for split in report.splits] == [('test.lmdb', {(4, 4): NUM})]


def test_the_same_split_as_lmdb_and_folder_shares_no_face_with_itself(prepared):
    write_folder(prepared / 'train', pictures('train'))
    files = FaceFiles(str(prepared / 'train.lmdb'), {'type': 'lmdb'})
    files.read(0)  # an LMDB that this process reads already
    assert check_set(str(prepared), 1).ok
    files.read(1)


def test_any_number_of_workers_finds_the_same(prepared, monkeypatch):
    monkeypatch.setattr(check_module, 'CHUNK', 2)
    images = dict(pictures('train'), **{'000003': b'no image', '000005': picture(5, 16)})
    write_lmdb(prepared / 'train.lmdb', images)
    one, three = check_set(str(prepared), 1), check_set(str(prepared), 3)
    assert text(one) == text(three) and not one.ok


def with_train(**changes):
    """Write train.lmdb with these images in place of others, or in addition."""
    return lambda root: write_lmdb(root / 'train.lmdb', {**pictures('train'), **changes})


def with_lq(**changes):
    """Write test_lq.lmdb with these images in place of others, or in addition; None removes one."""
    images = {**low_quality(pictures('test')), **changes}
    return lambda root: write_lmdb(root / 'test_lq.lmdb', {key: img for key, img in images.items() if img is not None})


def with_annotation(split='train', names=None, **changes):
    return lambda root: annotate(root / f'{split}.npz', names or pictures(split), **changes)


def without(name):
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else os.remove(root / name)


def remove_key(root):
    lines = (root / 'train.lmdb/meta_info.txt').read_text()
    write_lmdb(root / 'train.lmdb', {key: img for key, img in pictures('train').items() if key != '000002'})
    (root / 'train.lmdb/meta_info.txt').write_text(lines)


def misstate_shape(root):
    path = root / 'train.lmdb' / 'meta_info.txt'
    path.write_text(path.read_text().replace('000001.png (32,32,3)', '000001.png (32,24,3)'))


def distort(root):
    images = {name: img[:, :24] for name, img in pictures('train').items()}
    write_lmdb(root / 'train.lmdb', images)
    annotate(root / 'train.npz', images, size=24, image_size=np.full((NUM, 2), (24, 32), np.int32))


def repeat_name(root):
    images = dict(pictures('train'), **{'000101': picture(1)})
    write_lmdb(root / 'train.lmdb', images)
    annotate(root / 'train.npz', images, source=np.array([f'{i}.jpg' for i in range(len(images))]))


@pytest.mark.parametrize('damage, kind, offender', [
    (remove_key, 'image cannot be used (1)', "has no key '000002'"),
    (with_train(**{'000004': b'no image'}), 'image cannot be used (1)', '000004.png: cannot be decoded'),
    (misstate_shape, 'shape not as in meta_info (1)', 'train.lmdb/000001: is 32x32, expected 24x32'),
    (distort, 'image not square (7)', '000000: 24x32'),
    (with_annotation(landmarks=changed(grid(), (6, 3), (31.6, 4))), 'image cannot be used (1)',
     '000006.png: landmark 3 at (31.6, 4.0) is outside the image of 32x32'),
    (with_annotation('test', landmarks=changed(grid(), (2, ..., 0), SIZE - 1 - grid()[2, :, 0])),
     'left eye not left of the right eye (1)', '000102: x is 27.0, of the right eye 21.2'),
    (with_annotation(names=[name for name in pictures('train') if name != '000005']),
     'annotation file does not fit (1)',
     "has no landmarks for '000005' (1 of 7 images"),
    (with_annotation(names=[*pictures('train'), 'nobody']), 'annotation file does not fit (1)',
     "'nobody' has no image"),
    (without('train.npz'), 'annotation file does not fit (1)', "train.npz' does not exist"),
    (with_lq(**{'000103': None}), 'image without a low-quality image (1)', '000103'),
    (with_lq(extra=picture(9, 4)), 'low-quality images without an image (1)', 'extra'),
    (with_lq(**{'000101': picture(9, 4)}), 'low-quality image is not the shrunk image (1)', '000101'),
    (with_lq(**{'000101': b'no image'}), 'image cannot be used (1)', 'test_lq.lmdb/000101.png: cannot be decoded'),
    (with_lq(**{'000101': picture(9, 5)}), 'low-quality image of a size that does not fit (1)',
     '000101: 5x5, but the image is 32x32'),
    (with_lq(**{'000100': picture(100)}), 'low-quality image of a size that does not fit (1)',
     '000100: 32x32, but the image is'),
    (with_lq(**{'000106': make_lq(picture(106), 4)}), 'low-quality image of another scale (1)', '000106: 4, others 8'),
    (without('test_lq.lmdb'), 'no low-quality images (1)', 'test_lq.lmdb'),
    (without('test.lmdb'), 'low-quality images without their originals (1)', 'test_lq.lmdb: there is no test.lmdb'),
    (lambda root: (root / 'test_lq.lmdb/meta_info.txt').write_text(''), 'cannot be opened (1)', 'names no image'),
    (repeat_name, 'same name in two splits (1)', 'test.lmdb/000101 and train.lmdb/000101'),
    (with_annotation(source=changed([f'{name}.jpg' for name in pictures('train')], 0, '000106.jpg')),
     'same photograph in two splits (1)', 'test.lmdb/000106.jpg and train.lmdb/000106.jpg'),
    (with_train(**{'000002': picture(105)}), 'same pixels in two splits (1)',
     'test.lmdb/000105 and train.lmdb/000002'),
    (lambda root: os.truncate(root / 'train.lmdb/data.mdb', 8192), 'reading ended a worker process (1)',
     'train.lmdb: after 0 images; the LMDB is damaged, perhaps cut short'),
])  # yapf: disable
def test_damage_is_reported(prepared, capsys, damage, kind, offender):
    damage(prepared)
    assert check.main([str(prepared), '--workers', '1']) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == 'There are problems.'
    heading = lines.index(f'  PROBLEM: {kind}')
    assert lines[heading + 1].startswith('    ') and offender in lines[heading + 1]
    assert len([line for line in lines if 'PROBLEM' in line]) == 1


def test_names_the_first_offenders_and_counts_the_others(prepared, capsys):
    write_lmdb(prepared / 'train.lmdb', dict.fromkeys(pictures('train'), b'no image'))
    assert check.main([str(prepared), '--workers', '1']) == 1
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(f'  PROBLEM: image cannot be used ({NUM})') + 1
    assert [f'00000{i}.png' in line for i, line in enumerate(lines[start:start + EXAMPLES])] == [True] * EXAMPLES
    assert lines[start + EXAMPLES] == f'    and {NUM - EXAMPLES} more'


def test_folder_against_its_meta_info(tmp_path):
    write_folder(tmp_path / 'train', pictures('train'))
    annotate(tmp_path / 'train.npz', pictures('train'))
    (tmp_path / 'meta_info_train.txt').write_text('000000.png (32,32,3)\n000001.png (16,16,3)\ngone.png (32,32,3)\n')
    report = check_set(str(tmp_path), 1)
    assert report.splits[0].problems == {
        'shape not as in meta_info': ['train/000001: is 32x32, expected 16x16'],
        'in meta_info, but missing': ['train/gone']
    }


def test_what_may_be_meant_so_is_a_warning(tmp_path):
    """In a test split that was not prepared here: other ways to shrink, images that are not square."""
    images = dict(pictures('test'), wide=picture(7)[:24])
    write_folder(tmp_path / 'test', images)
    write_folder(tmp_path / 'test_lq', {name: img[::8, ::8] for name, img in images.items()})
    annotate(tmp_path / 'test.npz', images, order='mine5', size=24, image_size=None)
    annotate(tmp_path / 'gone.npz', images)
    report = check_set(str(tmp_path), 1)
    assert report.ok and report.splits[0].warnings == {
        'eyes not checked': ["the order 'mine5' is not known"],
        'image not square': ['wide: 32x24'],
        'low-quality image is not the shrunk image': [*images]
    }
    assert report.between.warnings == {'annotation files without images': ['gone.npz']}
    assert 'of 32x32 and 1 other size,' in text(report)


@pytest.mark.parametrize('order, left, right', [('ibug68', (36, 42), (42, 48)), ('helen194', (134, 153), (114, 133))])
def test_eyes_of_every_order(tmp_path, order, left, right):
    write_folder(tmp_path / 'train', pictures('train'))
    landmarks = np.full((NUM, ORDERS[order], 2), 16, np.float32)
    landmarks[:, slice(*left), 0], landmarks[:, slice(*right), 0] = 8, 24
    annotate(tmp_path / 'train.npz', pictures('train'), order, landmarks=landmarks)
    assert check_set(str(tmp_path), 1).ok
    annotate(tmp_path / 'train.npz', pictures('train'), order, landmarks=SIZE - 1 - landmarks)
    problems = check_set(str(tmp_path), 1).splits[0].problems
    assert [(kind, len(cases)) for kind, cases in problems.items()] == [('left eye not left of the right eye', NUM)]


@pytest.mark.parametrize('files, message', [
    ({}, 'does not exist'),
    ({'notes.txt': ''}, 'holds no face set'),
    ({'celeba/prepared.json': '{}'}, 'holds some; expected one of them: celeba'),
])  # yapf: disable
def test_no_set(tmp_path, capsys, files, message):
    for name, content in files.items():
        (tmp_path / 'sets' / name).parent.mkdir(parents=True)
        (tmp_path / 'sets' / name).write_text(content)
    assert check.main([str(tmp_path / 'sets')]) == 2
    assert message in capsys.readouterr().err
