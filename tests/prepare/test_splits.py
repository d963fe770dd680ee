"""Splits: by file, by number, by word."""
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dic_plugin.prepare.photo import Photo
from dic_plugin.prepare.splits import read_groups, read_split


def photos_of(names):
    return [Photo(name, f'/photos/{name}.jpg', f'{name}.jpg') for name in names]


PHOTOS = photos_of(f'{number:06d}' for number in range(1, 7))


@pytest.mark.parametrize('word', ['train', 'test'])
def test_all_photographs(word, tmp_path, monkeypatch):
    (tmp_path / word).write_text('a file of that name')
    monkeypatch.chdir(tmp_path)
    assert read_split(word, PHOTOS, 0) == {photo.name: word for photo in PHOTOS}


def test_celeba_partition(tmp_path):
    path = tmp_path / 'list_eval_partition.txt'
    path.write_bytes(b'000001.jpg 0\r\n000002.jpg 1\r\n000004.jpg 2\r\n000099.jpg 2\r\n')
    assert read_split(str(path), PHOTOS, 0) == {'000001': 'train', '000002': 'val', '000004': 'test'}


@pytest.mark.parametrize('name, content', [
    ('testnames.txt', '\ufeff000002\r\n000005.jpg\r\n000002\r\n\r\n'.encode()),
    ('test.pkl', pickle.dumps({'000002.jpg': np.zeros((68, 2)), '000005.jpg': np.zeros((68, 2))})),
])  # yapf: disable
def test_list_of_test_images(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    split = read_split(str(tmp_path / name), PHOTOS, 0)
    assert [name for name in split if split[name] == 'test'] == ['000002', '000005']
    assert Counter(split.values()) == {'train': 4, 'test': 2}


@pytest.mark.parametrize('name, content, message', [
    ('list.txt', '000001\nlost.jpg\nlost_2.jpg\n',
     "list.txt: 2 of its 3 images, such as 'lost.jpg', are not among the 6 photographs"),
    ('list.txt', '', 'list.txt: an empty file; expected .train. or .test.'),
    ('list.txt', 'x.jpg 0\ny.jpg 2\n', "list.txt: 2 of its 2 images, such as 'x.jpg', are not among the 6"),
    ('list.txt', '000001.jpg 0\n000002.jpg 3\n', 'list.txt, line 2'),
    ('list.pkl', 'no pickle', 'list.pkl: not read'),
])  # yapf: disable
def test_wrong_file(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_split(str(path), PHOTOS, 0)


@pytest.mark.parametrize('spec, num_test', [('0.5', 3), ('.2', 1), ('0.34', 2), ('0.01', 1), ('1', 1), ('5', 5)])
def test_number(spec, num_test):
    split = read_split(spec, PHOTOS, 0)
    assert list(split) == [photo.name for photo in PHOTOS]
    assert Counter(split.values()) == {'train': 6 - num_test, 'test': num_test}


@pytest.mark.parametrize('spec, message', [
    *((spec, f'puts {num} of 6 photographs into the test') for spec, num in (('0', 0), ('6', 6), ('100', 100),
                                                                            ('0.99', 6))),
    *((spec, 'is neither a fraction below 1 nor a whole number') for spec in ('1.0', '1.5')),
    *((spec, "is no file and none of the words; expected 'train' or 'test'")
      for spec in ('val', '-1', '', 'nowhere.txt', '1e-1', '10%')),
])  # yapf: disable
def test_wrong_specification(spec, message):
    with pytest.raises(ValueError, match=f"The split '{spec}' {message}"):
        read_split(spec, PHOTOS, 0)


def test_a_choice_stays_the_same_for_ever():
    """Pinned: prepared sets are compared across versions and machines."""
    split = read_split('2', PHOTOS, 0)
    assert [name for name in split if split[name] == 'test'] == ['000005', '000006']


def test_seeds_choose_differently():
    assert len({tuple(read_split('20', photos_of(map(str, range(100))), seed).values()) for seed in range(5)}) == 5


@given(st.permutations(range(30)), st.integers(0, 5))
def test_order_of_the_photographs_does_not_matter(order, seed):
    photos = photos_of(map(str, range(30)))
    assert read_split('0.2', [photos[i] for i in order], seed) == read_split('0.2', photos, seed)


@given(st.sets(st.text('abc01', min_size=1), min_size=12, max_size=40), st.sampled_from(['5', '0.3']))
def test_one_photograph_more_changes_at_most_one_other(names, spec):
    names = sorted(names)
    before, after = (read_split(spec, photos_of(some), 0) for some in (names[1:], names))
    assert sum(before[name] != after[name] for name in names[1:]) <= 1


PEOPLE = [Photo(f'{who}_{number}', '', f'{who}/{who}_{number}.jpg') for who in 'abcdefgh' for number in range(3)]


@given(num_test=st.integers(1, 20), seed=st.integers(0, 50))
def test_a_persons_photographs_are_on_one_side(num_test, seed):
    split = read_split(str(num_test), PEOPLE, seed, 'folder')
    sides = {who: {split[f'{who}_{number}'] for number in range(3)} for who in 'abcdefgh'}
    assert all(len(side) == 1 for side in sides.values())
    assert num_test <= Counter(split.values())['test'] < num_test + 3


def test_groups_of_a_file(tmp_path):
    (tmp_path / 'identity_CelebA.txt').write_text('000001.jpg 7\n000002.jpg 8\n000003.jpg 7\n')
    path = str(tmp_path / 'identity_CelebA.txt')
    assert read_groups(path, PHOTOS) == {'000001.jpg': '7', '000002.jpg': '8', '000003.jpg': '7'}
    for seed in range(8):
        split = read_split('2', PHOTOS, seed, path)
        assert split['000001'] == split['000003']


@pytest.mark.parametrize('spec, group_by, content, message', [
    ('2', 'missing.txt', None, "--group-by 'missing.txt' is no file"),
    ('2', 'people.txt', '000001.jpg\n', "people.txt: '000001.jpg' has no person"),
    ('2', 'people.txt', 'other.jpg 1\n', 'none of the 6 photographs is in a group'),
    ('2', 'people.txt', ''.join(f'{photo.relative} 1\n' for photo in PHOTOS), 'leaves no photograph for training'),
    ('train', 'folder', None, "--group-by is for a fraction or number of test photographs; the split is 'train'"),
])  # yapf: disable
def test_groups_that_cannot_be_are_named(tmp_path, monkeypatch, spec, group_by, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / 'people.txt').write_text(content)
    with pytest.raises(ValueError, match=message):
        read_split(spec, PHOTOS, 0, group_by)
