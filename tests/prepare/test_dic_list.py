"""The published DIC lists, on files written as the real ones are."""
import numpy as np
import pytest

from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.formats import open_annotations
from helpers.annotated import BOX, POINTS, only_face, photos_of, write_list


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
