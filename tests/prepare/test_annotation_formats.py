"""iBUG's, Helen's and CelebA's files, written as the real ones are; which format a file has; whom a name means."""
import os
import re

import numpy as np
import pytest

from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.formats import open_annotations
from dic_plugin.prepare.formats.celeba_text import read_five_points, read_partition
from dic_plugin.prepare.formats.names import match_names
from dic_plugin.prepare.splits import read_split
from helpers.annotated import POINTS, lines, only_face, photos_of, write_list


# ---------------------------------------------------------------- iBUG
def pts(points, count=68, end='\n'):
    rows = [f'{x:.6f} {y:.6f}' for x, y in points + 1]  # Matlab counts from 1
    return lines('version: 1', f'n_points:  {count}', '{', *rows, '}', end=end)


@pytest.mark.parametrize('bom', ['', '\ufeff'])
@pytest.mark.parametrize('end', ['\n', '\r\n', ' \n', '\n\n'])
@pytest.mark.parametrize('beside', [True, False])
def test_pts_files(tmp_path, beside, end, bom):
    folder = tmp_path / ('photos' if beside else 'landmarks')
    folder.mkdir()
    (folder / 'helen').mkdir()
    for name, added in (('a_1', 0), ('helen/a_1', 1), ('a_1_mirror', 2)):
        (folder / f'{name}.pts').write_bytes((bom + pts(POINTS[68] + added, end=end)).encode())
    (folder / 'readme.txt').write_text('300-W')
    photos = photos_of('a_1.png', 'helen/a_1.jpg')
    source = open_annotations([str(folder)], photos)
    assert (source.order, source.min_confidence, source.described) == ('ibug68', 0, str(folder))
    for added, photo in enumerate(photos):
        np.testing.assert_allclose(only_face(source, photo).landmarks, POINTS[68] + added, rtol=0, atol=1e-9)
    assert source.missing(photos) == ['a_1_mirror']


def test_one_pts_file(tmp_path):
    (tmp_path / 'a.pts').write_text(pts(POINTS[68]))
    photos = photos_of('a.jpg')
    np.testing.assert_array_equal(
        only_face(open_annotations([str(tmp_path / 'a.pts')], photos), photos[0]).landmarks, POINTS[68])


def test_pts_file_with_nan_is_skipped(tmp_path):
    (tmp_path / 'a.pts').write_text(pts(np.where(POINTS[68] == POINTS[68][3], np.nan, POINTS[68])))
    photos = photos_of('a.jpg')
    with pytest.raises(Skipped, match='NaN or infinity'):
        open_annotations([str(tmp_path / 'a.pts')], photos).find(photos[0])


@pytest.mark.parametrize('text, message', [
    (pts(POINTS[5], 5), r"a\.pts, line 2: has '5' points; expected 68 \(iBUG\)"),
    (pts(POINTS[68][:67]), r'a\.pts, line 71: the points end after 67; expected 68'),
    (pts(np.vstack([POINTS[68], [[1, 2]]])), r'a\.pts, line 73: the points end after 69'),
    ('\n'.join(pts(POINTS[68]).split('\n')[:40]), r'a\.pts: has 40 lines; expected 68 points between'),
    (pts(POINTS[68]).replace('}', ''), r"a\.pts: has 71 lines; expected 68 points between '\{' and '\}'"),
    (pts(POINTS[68]).replace(' ', ' x', 200), r'a\.pts, line'),
    (pts(POINTS[68]).replace('{\n', '{\n1 2 3\n'), r'a\.pts, line 4: has 3 numbers; expected 2'),
    ('', r"a\.pts: has 0 lines; expected 68 points"),
    ('1 2\n' * 39, r"a\.pts: has 39 lines; expected 68 points .*, or 68 lines of two numbers"),
])  # yapf: disable
def test_wrong_pts_file(tmp_path, text, message):
    (tmp_path / 'a.pts').write_text(text)
    photos = photos_of('a.jpg')
    source = open_annotations([str(tmp_path)], photos)
    with pytest.raises(Skipped, match=rf'landmark file cannot be used \(.*{message}'):
        source.find(photos[0])


def test_pts_file_of_points_alone(tmp_path):
    (tmp_path / 'a.pts').write_text(''.join(f'{x} {y}\n' for x, y in POINTS[68]))
    photos = photos_of('a.jpg')
    np.testing.assert_allclose(open_annotations([str(tmp_path)], photos).find(photos[0])[0].landmarks, POINTS[68] - 1)


# ---------------------------------------------------------------- Helen
def helen(name, points, end='\n'):
    return lines(name, *[f'{x:.6f} , {y:.6f}' for x, y in points], end=end)


@pytest.mark.parametrize('bom', ['', '\ufeff'])
@pytest.mark.parametrize('end', ['\n', '\r\n', ' \n', '\n\n'])
def test_helen_files(tmp_path, end, bom):
    """The files' names are numbers, also where a photograph has that number."""
    for file, name, added in (('1', '232194_1', 0), ('2', '1', 1), ('3', '55', 2)):
        (tmp_path / f'{file}.txt').write_bytes((bom + helen(name, POINTS[194] + added, end=end)).encode())
    photos = photos_of('232194_1.jpg', '1.jpg', '2.jpg')
    source = open_annotations([str(tmp_path)], photos)
    assert (source.order, source.min_confidence, source.described) == ('helen194', 0, str(tmp_path))
    for added, photo in enumerate(photos[:2]):
        np.testing.assert_array_equal(only_face(source, photo).landmarks, POINTS[194] + added)
    with pytest.raises(Skipped, match='not in'):
        source.find(photos[2])
    assert source.missing(photos) == ['55']


def test_one_helen_file(tmp_path):
    (tmp_path / '1.txt').write_text(helen('a', POINTS[194]))
    photos = photos_of('a.jpg')
    np.testing.assert_array_equal(
        only_face(open_annotations([str(tmp_path / '1.txt')], photos), photos[0]).landmarks, POINTS[194])


@pytest.mark.parametrize('text, message', [
    (helen('a', POINTS[194][:193]), r'1\.txt, line 194: the file ends after 193 points; expected 194'),
    (helen('a', POINTS[68]), r'1\.txt, line 69: the file ends after 68 points'),
    (helen('a', POINTS[194]).replace(' ,', ' ', 1), r'1\.txt, line 2: expected 2 numbers'),
    (helen('a', POINTS[194]).replace(' ,', ', 1,', 1), r'1\.txt, line 2: has 3 numbers; expected 2'),
    ('a\n', r'1\.txt, line 1: the file ends after 0 points'),
])  # yapf: disable
def test_wrong_helen_file(tmp_path, text, message):
    (tmp_path / '1.txt').write_text(text)
    photos = photos_of('a.jpg')
    source = open_annotations([str(tmp_path)], photos)
    with pytest.raises(Skipped, match=rf'landmark file cannot be used \(.*{message}'):
        source.find(photos[0])


@pytest.mark.parametrize('text, message', [
    (helen('', POINTS[194]), r"2\.txt, line 1: '' is no image name"),
    (helen('1.0 , 2.0', POINTS[194]), r"2\.txt, line 1: '1.0 , 2.0' is no image name"),
])  # yapf: disable
def test_helen_file_whose_image_cannot_be_told(tmp_path, text, message):
    (tmp_path / '1.txt').write_text(helen('a', POINTS[194]))
    (tmp_path / '2.txt').write_text(text)
    (file, reason), = open_annotations([str(tmp_path)], photos_of('a.jpg')).bad_files
    assert os.path.basename(file) == '2.txt' and re.search(message, reason)


def test_two_helen_files_of_one_image(tmp_path):
    for name in ('1.txt', '2.txt'):
        (tmp_path / name).write_text(helen('a', POINTS[194]))
    with pytest.raises(ValueError, match=r"2\.txt: annotates the image 'a', as 1\.txt does"):
        open_annotations([str(tmp_path)], photos_of('a.jpg'))


# ---------------------------------------------------------------- CelebA
CELEBA_HEADER = ('lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x '
                 'rightmouth_y ')


def celeba(*rows, count=None, end='\n'):
    count = len(rows) if count is None else count
    return lines(
        str(count), CELEBA_HEADER, *[f'{name}  ' + ' '.join(f'{v:>5}' for v in vs) for name, vs in rows], end=end)


FIVE = [165, 184, 244, 176, 196, 249, 194, 271, 266, 260]


@pytest.mark.parametrize('end', ['\n', '\r\n', '\n\n'])
@pytest.mark.parametrize('bom', ['', '\ufeff'])
def test_celeba_points(tmp_path, end, bom):
    path = tmp_path / 'list_landmarks_celeba.txt'
    path.write_bytes((bom + celeba(('000001.jpg', FIVE), ('000002.jpg', range(10)), end=end)).encode())
    points = read_five_points(str(path))
    assert list(points) == ['000001.jpg', '000002.jpg'] and points['000002.jpg'].shape == (5, 2)
    np.testing.assert_array_equal(points['000001.jpg'], np.reshape(FIVE, (5, 2)))
    photos = photos_of('000001.png', '000003.png')
    source = open_annotations([str(path)], photos)
    assert (source.order, source.described) == ('celeba5', str(path)) and source.missing(photos) == ['000002.jpg']
    np.testing.assert_array_equal(only_face(source, photos[0]).landmarks, np.reshape(FIVE, (5, 2)))


@pytest.mark.parametrize('text, message', [
    (celeba(('a.jpg', FIVE), count=2), 'announces 2 images, but has 1'),
    (celeba(('a.jpg', FIVE[:9])), 'line 3: has 9 numbers; expected 10'),
    (celeba(('a.jpg', FIVE[:9] + ['x'])), 'line 3: expected 10 numbers'),
    (celeba(('a.jpg', FIVE), ('a.jpg', FIVE)), "line 4: 'a.jpg' stands there again"),
    ('a.jpg 1\n', "expected CelebA's list of landmarks"),
    ('', "expected CelebA's list of landmarks"),
])  # yapf: disable
def test_wrong_celeba_points(tmp_path, text, message):
    path = tmp_path / 'celeba.txt'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'celeba\.txt.*' + message):
        read_five_points(str(path))


def test_celeba_partition(tmp_path):
    path = tmp_path / 'list_eval_partition.txt'
    path.write_bytes(b'\xef\xbb\xbf000001.jpg 0\r\n000002.jpg  1\r\na b.jpg\t2\r\n\r\n')
    assert read_partition(str(path)) == {'000001.jpg': 'train', '000002.jpg': 'val', 'a b.jpg': 'test'}


@pytest.mark.parametrize(
    'text',
    ['image_id,partition\na.jpg,0\nb 1.jpg,2\n', 'image_id partition\na.jpg 0\nb 1.jpg 2\n', 'a.jpg;0\nb 1.jpg;2\n'])
def test_celeba_partition_in_other_dress(tmp_path, text):
    (tmp_path / 'partition.csv').write_text(text)
    assert read_partition(str(tmp_path / 'partition.csv')) == {'a.jpg': 'train', 'b 1.jpg': 'test'}
    photos = photos_of('a.jpg', 'b 1.jpg')
    assert list(read_split(str(tmp_path / 'partition.csv'), photos, 0).values()) == ['train', 'test']


def test_celeba_points_of_kaggle(tmp_path):
    rows = [f'{name},{",".join(map(str, range(10)))}\n' for name in ('a.jpg', 'b 1.jpg')]
    (tmp_path / 'points.csv').write_text('image_id,' + CELEBA_HEADER.strip().replace(' ', ',') + '\n' + ''.join(rows))
    photos = photos_of('a.jpg', 'b 1.jpg')
    source = open_annotations([str(tmp_path / 'points.csv')], photos)
    for photo in photos:
        np.testing.assert_array_equal(source.find(photo)[0].landmarks, np.arange(10).reshape(5, 2))


@pytest.mark.parametrize('text, message', [
    ('a.jpg 0\nb.jpg 3\n', "line 2: 'b.jpg 3'; expected an image name and 0"),
    ('a.jpg\n', "line 1: 'a.jpg'"),
    ('0\n', "line 1: '0'"),
    ('a.jpg 0\na.jpg 1\n', "line 2: 'a.jpg' stands there again"),
])  # yapf: disable
def test_wrong_celeba_partition(tmp_path, text, message):
    path = tmp_path / 'partition.txt'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'partition\.txt, ' + message):
        read_partition(str(path))


# ---------------------------------------------------------------- which format
@pytest.mark.parametrize('name, content', [('a.json', '{}'), ('a.txt', 'one\ntwo\n'), ('a.txt', ''), ('folder', None)])
def test_unknown_format(tmp_path, name, content):
    path = tmp_path / name
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match=rf'{name}: .*expected the published DIC lists .* or CelebA'):
        open_annotations([str(path)], photos_of('a.jpg'))


def test_missing_several_and_mixed_paths(tmp_path):
    for name in ('a.csv', 'b.csv', 'c.pts'):
        (tmp_path / name).write_text('')
    with pytest.raises(FileNotFoundError, match="'nowhere.pkl' do not exist; expected the published DIC lists"):
        open_annotations(['nowhere.pkl'], photos_of('a.jpg'))
    with pytest.raises(ValueError, match='Landmarks from 2 paths .*a.csv, .*b.csv.* only .pkl lists may be several'):
        open_annotations([str(tmp_path / 'a.csv'), str(tmp_path / 'b.csv')], photos_of('a.jpg'))
    with pytest.raises(ValueError, match='Landmarks from 0 paths'):
        open_annotations([], photos_of('a.jpg'))
    with pytest.raises(ValueError, match='holds both .csv and .pts files'):
        open_annotations([str(tmp_path)], photos_of('a.jpg'))


# ---------------------------------------------------------------- names
@pytest.mark.parametrize('name, relative', [
    ('a.jpg', 'a.jpg'),
    ('x/a.jpg', 'x/a.jpg'),
    ('x\\a.jpg', 'x/a.jpg'),
    ('./x/a.jpg', 'x/a.jpg'),
    ('/data/x/a.jpg', 'x/a.jpg'),
    ('/data/x/a.jpg', 'a.jpg'),
    ('a.jpg', 'x/a.jpg'),
    ('a', 'x/a.jpg'),
    ('a.jpg', 'x/a.PNG'),
    ('x/a', 'x/a.jpg'),
    ('/data/x/a.jpg', 'x/a.png'),
    ('a.b', 'a.b.jpg'),
])
def test_name_means_photograph(name, relative):
    assert match_names(['other', name], photos_of('z/other.jpg', relative, 'x/b.jpg'), 'list') == {
        'z/other.jpg': 0, relative: 1}  # yapf: disable


@pytest.mark.parametrize('name, relative', [('x/a.jpg', 'y/a.jpg'), ('a.b', 'a.jpg'), ('a.jpg', 'b.jpg'),
                                            ('A.jpg', 'a.jpg')])
def test_name_means_none(name, relative):
    assert match_names([name], photos_of(relative), 'list') == {}


def test_closest_name_counts():
    names = ['a', 'data/a.jpg', 'a.jpg', 'a.png']
    assert match_names(names, photos_of('a.jpg'), 'list') == {'a.jpg': 2}
    assert match_names(names[::-1], photos_of('a.jpg'), 'list') == {'a.jpg': 1}


@pytest.mark.parametrize('names, relatives, message', [
    (['a.jpg'], ['x/a.jpg', 'y/a.jpg'], "list: 'a.jpg' may be the photograph 'x/a.jpg' or 'y/a.jpg'"),
    (['a'], ['a.jpg', 'a.png'], "list: 'a' may be the photograph 'a.jpg' or 'a.png'"),
    (['x/a.jpg', 'y/a.jpg'], ['a.jpg'], "list: 'x/a.jpg' and 'y/a.jpg' both mean the photograph 'a.jpg'"),
    (['a.png', 'a.bmp'], ['a.jpg'], "'a.png' and 'a.bmp' both mean"),
])
def test_ambiguous_name(names, relatives, message):
    with pytest.raises(ValueError, match=message):
        match_names(names, photos_of(*relatives), 'list')


def test_annotations_of_other_photographs(tmp_path):
    path = write_list(tmp_path / 'train.pkl', {'a.jpg': POINTS[68]})
    message = r"train\.pkl: none of the 1 names in it, such as 'a.jpg', is that of one of the 2 photographs, such as 'b"
    with pytest.raises(ValueError, match=message):
        open_annotations([path], photos_of('b.jpg', 'c.jpg'))
