"""Every annotation format, on files written as the real ones are."""
import pickle

import numpy as np
import pytest

from dic_plugin.prepare.agreement import five_point_error
from dic_plugin.prepare.faces import Photo, Skipped
from dic_plugin.prepare.formats import open_annotations
from dic_plugin.prepare.formats.celeba_text import read_five_points, read_partition
from dic_plugin.prepare.formats.names import match_names

POINTS = {count: np.random.RandomState(count).randint(0, 4000, (count, 2)) / 8 for count in (5, 68, 194)}
BOX = [10, 20, 210, 220]


def photos_of(*relatives):
    return [
        Photo(relative.replace('/', '_').replace('.', '_'), f'/photos/{relative}', relative) for relative in relatives
    ]


def only_face(source, photo):
    faces = source.find(photo)
    assert len(faces) == 1 and faces[0].landmarks.dtype == np.float64
    return faces[0]


def lines(*texts, end='\n'):
    return end.join(texts) + end


# ---------------------------------------------------------------- published lists
def write_list(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return str(path)


@pytest.mark.parametrize('count, order', [(68, 'ibug68'), (194, 'helen194'), (5, 'celeba5')])
@pytest.mark.parametrize('form', [np.ndarray.tolist, np.asarray, lambda points: [tuple(point) for point in points],
                                  lambda points: points.astype(object)])  # yapf: disable
def test_dic_list(tmp_path, count, order, form):
    path = write_list(tmp_path / 'train.pkl', {
        'a.jpg': {'landmark': form(POINTS[count]), 'bbox': BOX},
        'b.jpg': {'landmark': form(POINTS[count] + 1), 'bbox': np.array(BOX, float)},
        'c.jpg': form(POINTS[count] + 2),
    })  # yapf: disable
    photos = photos_of('c.jpg', 'b.jpg', 'a.jpg')
    source = open_annotations([path], photos)
    assert (source.order, source.described, source.min_confidence) == (order, path, 0)
    for added, photo in zip((2, 1, 0), photos):
        face = only_face(source, photo)
        np.testing.assert_array_equal(face.landmarks, POINTS[count] + added)
        assert face.box == (None if added == 2 else tuple(BOX)) and face.confidence is None
        assert face.box is None or all(type(edge) is int for edge in face.box)


def test_dic_lists_of_training_and_test_images_make_one_source(tmp_path):
    entry = {'landmark': POINTS[68].tolist(), 'bbox': BOX}
    train = write_list(tmp_path / 'train.pkl', {'a.jpg': entry, 'both.jpg': entry})
    test = write_list(tmp_path / 'test.pkl', {'both.jpg': POINTS[68], 'b.jpg': POINTS[68] + 1})
    photos = photos_of('a.jpg', 'b.jpg', 'both.jpg', 'none.jpg')
    for paths in ([train, test], [test, train]):
        source = open_annotations(paths, photos)
        assert [only_face(source, photo).box for photo in photos[:3]] == [tuple(BOX), None, tuple(BOX)]
        np.testing.assert_array_equal(only_face(source, photos[1]).landmarks, POINTS[68] + 1)
        with pytest.raises(Skipped, match=r'^not in {}$'.format(', '.join(path.split('/')[-1] for path in paths))):
            source.find(photos[3])
        assert source.missing(photos) == [] and source.missing(photos[1:]) == ['a.jpg']


@pytest.mark.parametrize('other, message', [
    ({'a.jpg': POINTS[68] + 1}, "test.pkl: 'a.jpg' also stands in a list before it, with other values"),
    ({'a.jpg': {'landmark': POINTS[68], 'bbox': [0, 0, 5, 5]}}, "test.pkl: 'a.jpg' also stands"),
    ({'b.jpg': POINTS[194]}, 'test.pkl: has 194 landmarks per face, but the lists before it 68'),
])  # yapf: disable
def test_dic_lists_that_contradict_each_other(tmp_path, other, message):
    train = write_list(tmp_path / 'train.pkl', {'a.jpg': {'landmark': POINTS[68], 'bbox': BOX}})
    with pytest.raises(ValueError, match=message):
        open_annotations([train, write_list(tmp_path / 'test.pkl', other)], photos_of('a.jpg'))


def test_dic_lists_may_both_hold_the_same_nan(tmp_path):
    broken = POINTS[68] * [np.nan, 1]
    paths = [write_list(tmp_path / name, {'a.jpg': broken}) for name in ('train.pkl', 'test.pkl')]
    with pytest.raises(Skipped, match='NaN or infinity'):
        open_annotations(paths, photos_of('a.jpg')).find(photos_of('a.jpg')[0])


@pytest.mark.parametrize('key, photo', [(b'b\xc3\xbc.jpg', 'bü.jpg'), ('bü.jpg', 'bü.jpg'),
                                        ('b\xfc\xff.jpg', 'büÿ.jpg'),
                                        ('b\xc3\xbc.jpg', 'bü.jpg'), ('日.jpg', '日.jpg')])  # yapf: disable
def test_dic_list_names_in_any_spelling(tmp_path, key, photo):
    """The fourth is how a byte string of Python 2 comes back."""
    source = open_annotations([write_list(tmp_path / 'a.pkl', {key: POINTS[5]})], photos_of(photo))
    np.testing.assert_array_equal(only_face(source, photos_of(photo)[0]).landmarks, POINTS[5])


def test_dic_list_with_nan_is_skipped_on_demand(tmp_path):
    broken = np.where(np.arange(136).reshape(68, 2) == 7, np.nan, POINTS[68])
    photos = photos_of('a.jpg', 'b.jpg')
    source = open_annotations([write_list(tmp_path / 'a.pkl', {'a.jpg': broken, 'b.jpg': POINTS[68]})], photos)
    with pytest.raises(Skipped, match='NaN or infinity'):
        source.find(photos[0])
    only_face(source, photos[1])


@pytest.mark.parametrize('content, message', [
    ([1, 2], 'expected a dict from image names'),
    ({}, 'expected a dict from image names'),
    ({1: POINTS[68]}, 'expected a dict from image names'),
    ({'a.jpg': {'bbox': BOX}}, r"'a.jpg' has no 'landmark'; it has \['bbox'\]"),
    ({'a.jpg': POINTS[68][:67]}, r"'a.jpg' has landmarks of shape \(67, 2\); expected \(K, 2\) with K one of \[5"),
    ({'a.jpg': POINTS[68].ravel()}, r'shape \(136,\)'),
    ({'a.jpg': [[1, 2], [3]] * 34}, "'a.jpg' has landmarks that are not numbers"),
    ({'a.jpg': 'text'}, "'a.jpg' has landmarks that are not numbers"),
    ({'a.jpg': POINTS[68], 'b.jpg': POINTS[5]}, "'b.jpg' has 5 landmarks, but 'a.jpg' has 68"),
    ({'a.jpg': {'landmark': POINTS[68], 'bbox': [1.5, 2, 3, 4]}}, r"'a.jpg' has the 'bbox' \[1.5, 2, 3, 4\]"),
    ({'a.jpg': {'landmark': POINTS[68], 'bbox': [3, 4, 1, 2]}}, "'bbox'"),
    ({'a.jpg': {'landmark': POINTS[68], 'bbox': [1, 2, 3]}}, "'bbox'"),
    ({'a.jpg': {'landmark': POINTS[68], 'bbox': [1, 2, 3, float('nan')]}}, "'bbox'"),
    ({'a.jpg': {'landmark': POINTS[68], 'bbox': 'abcd'}}, "'bbox'"),
])  # yapf: disable
def test_wrong_dic_list(tmp_path, content, message):
    with pytest.raises(ValueError, match=r'train\.pkl:.*' + message):
        open_annotations([write_list(tmp_path / 'train.pkl', content)], photos_of('a.jpg'))


# ---------------------------------------------------------------- OpenFace
def openface(rows, first=('frame', 'face_id', 'timestamp'), success=True, end='\r\n'):
    """A CSV as OpenFace writes it, with 3D landmarks X_0, Y_0, Z_0 beside the 2D ones.

    ``rows`` hold (values of the first columns, points, confidence, success).
    """
    columns = [*first, 'confidence'] + ['success'] * success
    columns += [f'eye_lmk_x_{i}' for i in range(3)]
    columns += [f'{axis}_{i}' for axis in 'xyXYZ' for i in range(68)] + ['AU01_r', 'AU45_c']
    written = [', '.join(columns)]
    for values, points, confidence, found in rows:
        fields = [*values, confidence] + [found] * success + [-1.0] * 3
        fields += [*points[:, 0], *points[:, 1], *[-2.0] * (3 * 68), 0.25, 1]
        written.append(', '.join(map(str, fields)))
    return lines(*written, end=end)


FRAMES = [((1, 0, 0), POINTS[68], 0.98, 1), ((2, 0, 0), np.zeros((68, 2)), 0, 0), ((3, 0, 0), POINTS[68] + 1, 0.3, 1)]


@pytest.mark.parametrize('bom', ['', '\ufeff'])
@pytest.mark.parametrize('end', ['\n', '\r\n', ' \n\n', ',\n'])
@pytest.mark.parametrize('success', [True, False])
def test_openface_file_for_every_image(tmp_path, success, bom, end):
    faces = [((0, ), POINTS[68], 0.975, 1), ((1, ), POINTS[68] + 1, 0.5, 1)]
    for name, rows in (('one', faces[:1]), ('two', faces), ('none', [])):
        (tmp_path / f'{name}.csv').write_bytes((bom + openface(rows, ['face'], success, end)).encode())
        (tmp_path / f'{name}_of_details.txt').write_text('Input:one.jpg\n')
    photos = photos_of('none.jpg', 'one.jpg', 'two.png', 'unknown.jpg')
    source = open_annotations([str(tmp_path)], photos)
    assert (source.order, source.min_confidence, source.described) == ('ibug68', 0.5, str(tmp_path))
    np.testing.assert_array_equal(only_face(source, photos[1]).landmarks, POINTS[68])
    assert only_face(source, photos[1]).confidence == 0.975 and only_face(source, photos[1]).box is None
    assert [face.landmarks[0, 0] - POINTS[68][0, 0] for face in source.find(photos[2])] == [0, 1]
    with pytest.raises(Skipped, match='^OpenFace found no face$'):
        source.find(photos[0])
    with pytest.raises(Skipped, match=f'^not in {tmp_path.name}$'):
        source.find(photos[3])
    assert source.missing(photos[2:]) == ['none', 'one']


def test_openface_file_of_one_image(tmp_path):
    (tmp_path / 'one.csv').write_text(openface([((0, ), POINTS[68], 0.9, 1)], ['face'], False))
    photos = photos_of('one.jpg')
    face = only_face(open_annotations([str(tmp_path / 'one.csv')], photos), photos[0])
    np.testing.assert_array_equal(face.landmarks, POINTS[68])


@pytest.mark.parametrize('column', ['filename', 'file', 'image', 'name', 'Image_Name'])
def test_openface_file_with_a_column_of_names(tmp_path, column):
    """Rows of one image need not stand together; frame, counted otherwise here, does not matter then."""
    path = tmp_path / 'all.csv'
    images = ['b.jpg', 'a.jpg', 'b.jpg', 'c.jpg', 'lost.jpg']
    found = [1, 1, 0, 0, 1]
    path.write_text(
        openface([((7, image), POINTS[68] + row, 0.9, found[row]) for row, image in enumerate(images)],
                 ['frame', column]))
    photos = photos_of('x/a.jpg', 'x/b.jpg', 'x/c.jpg', 'x/d.jpg')
    source = open_annotations([str(path)], photos)
    assert (source.order, source.min_confidence, source.described) == ('ibug68', 0.5, str(path))
    np.testing.assert_array_equal(only_face(source, photos[0]).landmarks, POINTS[68] + 1)
    np.testing.assert_array_equal(only_face(source, photos[1]).landmarks, POINTS[68])
    for photo, reason in ((photos[2], 'OpenFace found no face'), (photos[3], 'not in all.csv')):
        with pytest.raises(Skipped, match=f'^{reason}$'):
            source.find(photo)
    assert source.missing(photos) == ['lost.jpg']


def test_openface_names_in_the_first_column_after_a_byte_order_mark(tmp_path):
    rows = openface([(('a.jpg', ), POINTS[68], 0.9, 1)], ['filename'])
    (tmp_path / 'all.csv').write_bytes(('\ufeff' + rows).encode())
    only_face(open_annotations([str(tmp_path / 'all.csv')], photos_of('a.jpg')), photos_of('a.jpg')[0])


def test_openface_frames_count_through_the_sorted_photographs(tmp_path):
    (tmp_path / 'faces.csv').write_text(openface(FRAMES))
    photos = photos_of('2.jpg', '10.jpg', 'B.jpg')  # OpenFace sorts by character: 10, 2, B
    source = open_annotations([str(tmp_path / 'faces.csv')], photos)
    np.testing.assert_array_equal(only_face(source, photos[1]).landmarks, POINTS[68])
    assert only_face(source, photos[2]).confidence == 0.3
    with pytest.raises(Skipped, match='^OpenFace found no face$'):
        source.find(photos[0])


@pytest.mark.parametrize('relatives', [['1.jpg', '2.jpg'], ['1.jpg', '2.jpg', '3.jpg', '4.jpg']])
def test_openface_frames_for_another_number_of_photographs(tmp_path, relatives):
    (tmp_path / 'faces.csv').write_text(openface(FRAMES))
    message = rf"its column 'frame' counts 3 images, from 1 to 3, but there are {len(relatives)} photographs"
    with pytest.raises(ValueError, match=message):
        open_annotations([str(tmp_path / 'faces.csv')], photos_of(*relatives))


@pytest.mark.parametrize('nan', ['nan', '-nan(ind)', 'inf'])
def test_openface_face_of_nan_is_no_face(tmp_path, nan):
    text = openface([((0, ), POINTS[68], 0.9, 1), ((1, ), POINTS[68] + 1, 0.9, 1)], ['face'])
    rows = text.split('\r\n')
    for name, broken in (('one', [1]), ('both', [1, 2])):
        new = list(rows)
        for row in broken:
            new[row] = new[row].replace(', -2.0', ', 0', 1).replace(f', {POINTS[68][5, 0] + row - 1}', f', {nan}', 1)
            assert nan in new[row]
        (tmp_path / f'{name}.csv').write_text('\n'.join(new))
    photos = photos_of('one.jpg', 'both.jpg')
    source = open_annotations([str(tmp_path)], photos)
    np.testing.assert_array_equal(only_face(source, photos[0]).landmarks, POINTS[68] + 1)
    with pytest.raises(Skipped, match='NaN or infinity'):
        source.find(photos[1])


def replaced(old, new):
    return openface([((1, 'a.jpg'), POINTS[68], 0.9, 1)], ['frame', 'file'], end='\n').replace(old, new, 1)


@pytest.mark.parametrize('text, message', [
    ('', "has no column 'confidence'"),
    (replaced(' y_67,', ''), r"has no column 'y_67'; expected the columns x_0\.\.x_67"),
    (replaced(' y_67,', ' y_68,'), "has no column 'y_67'"),
    (replaced(' confidence,', ' certainty,'), "has no column 'confidence'"),
    (replaced('0.25, 1\n', '0.25\n'), r'line 2: has 348 fields, but the header has 349'),
    (replaced('0.25, 1\n', '0.25, 1, 2\n'), r'line 2: has 350 fields'),
    (replaced('0.9', 'high'), r"line 2: expected 137 numbers: .*'high'"),
    (replaced('\n1, ', '\n1.5, '), r"line 2: has '1.5' in the column 'frame'"),
])  # yapf: disable
def test_wrong_openface_file(tmp_path, text, message):
    (tmp_path / 'a.csv').write_text(text)
    with pytest.raises(ValueError, match=r'a\.csv.*' + message):
        open_annotations([str(tmp_path / 'a.csv')], photos_of('a.jpg'))


def test_openface_file_that_is_no_text(tmp_path):
    (tmp_path / 'a.csv').write_bytes(b'frame\n\xff\xfe')
    with pytest.raises(ValueError, match=r'a\.csv, after line \d: not a CSV file in UTF-8'):
        open_annotations([str(tmp_path / 'a.csv')], photos_of('a.jpg'))


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
    ('\n'.join(pts(POINTS[68]).split('\n')[:40]), r'a\.pts: expected 68 points between'),
    (pts(POINTS[68]).replace('}', ''), r"a\.pts: expected 68 points between '\{' and '\}'"),
    (pts(POINTS[68]).replace(' ', ' x', 200), r'a\.pts, line'),
    (pts(POINTS[68]).replace('{\n', '{\n1 2 3\n'), r'a\.pts, line 4: has 3 numbers; expected 2'),
    ('', r"a\.pts: expected 68 points"),
])  # yapf: disable
def test_wrong_pts_file(tmp_path, text, message):
    (tmp_path / 'a.pts').write_text(text)
    photos = photos_of('a.jpg')
    source = open_annotations([str(tmp_path)], photos)
    with pytest.raises(ValueError, match=message):
        source.find(photos[0])


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
    with pytest.raises(ValueError, match=message):
        source.find(photos[0])


@pytest.mark.parametrize('text, message', [
    (helen('', POINTS[194]), r"2\.txt, line 1: '' is no image name"),
    (helen('1.0 , 2.0', POINTS[194]), r"2\.txt, line 1: '1.0 , 2.0' is no image name"),
    (helen('a', POINTS[194]), r"2\.txt: annotates the image 'a', as 1\.txt does"),
])  # yapf: disable
def test_helen_folder_whose_images_cannot_be_told(tmp_path, text, message):
    (tmp_path / '1.txt').write_text(helen('a', POINTS[194]))
    (tmp_path / '2.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
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


# ---------------------------------------------------------------- agreement with CelebA's points
def test_five_point_error_by_hand():
    points = np.array([[100.0, 100], [140, 100], [120, 120], [105, 140], [135, 140]])
    landmarks = np.full((68, 2), 1e6)
    circle = np.array([[-3, 0], [-1, -2], [1, -2], [3, 0], [1, 2], [-1, 2]])
    landmarks[36:42], landmarks[42:48] = points[0] + circle, points[1] + circle
    landmarks[[30, 48, 54]] = points[2:]
    assert five_point_error(landmarks, 'ibug68', points) == pytest.approx(0)
    landmarks[30] += [3, 4]  # 5 pixels in one of five points, eyes 40 pixels apart
    assert five_point_error(landmarks, 'ibug68', points) == pytest.approx(5 / 5 / 40)
    assert five_point_error(points + [0, 10], 'celeba5', points) == pytest.approx(0.25)


def test_five_point_error_refuses():
    points = np.array([[1.0, 1], [1, 1], [2, 2], [3, 3], [4, 4]])
    with pytest.raises(ValueError, match="'helen194' cannot be compared with CelebA's five points; expected ibug68 or"):
        five_point_error(POINTS[194], 'helen194', points)
    with pytest.raises(ValueError, match='both eyes in one place'):
        five_point_error(POINTS[5], 'celeba5', points)
