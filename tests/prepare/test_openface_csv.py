"""OpenFace's CSVs, on files written as the real ones are."""
import numpy as np
import pytest

from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.formats import open_annotations
from helpers.annotated import POINTS, lines, only_face, photos_of


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


def test_openface_file_of_a_european_spreadsheet(tmp_path):
    text = openface([((0, ), POINTS[68] + 0.5, 0.9, 1)], ['face'], False)
    (tmp_path / 'one.csv').write_text(text.replace(', ', ';').replace(',', ';').replace('.', ','))
    photos = photos_of('one.jpg')
    face = only_face(open_annotations([str(tmp_path / 'one.csv')], photos), photos[0])
    np.testing.assert_array_equal(face.landmarks, POINTS[68] + 0.5)
    assert face.confidence == 0.9


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
    with pytest.raises(ValueError, match=r'a\.csv: not a text file in UTF-8'):
        open_annotations([str(tmp_path / 'a.csv')], photos_of('a.jpg'))
