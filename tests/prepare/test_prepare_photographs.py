"""Every photograph gets one stable name that BasicSR can use as a key; none is lost without a reason."""
import os
import re
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from dic_plugin.prepare.photographs import MAX_NAME_LENGTH, _crop_name, list_photographs


def make_files(folder, *relatives):
    for relative in relatives:
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    return str(folder)


def test_subfolders_suffixes_and_order(tmp_path):
    """In byte order: capitals first, and 'b-.jpg' before what is in 'b/'; without what is hidden."""
    folder = make_files(tmp_path, 'b/2.png', 'b-.jpg', 'a.JPG', 'Z.tiff', 'b/10.PpM', 'notes.txt', 'a.jpg.csv',
                        '._1.jpg', '.thumbs/1.jpg', 'b/.c/d.jpg')
    photos, unusable, _ = list_photographs(folder)
    assert [photo.relative for photo in photos] == ['Z.tiff', 'a.JPG', 'b-.jpg', 'b/10.PpM', 'b/2.png']
    assert all(os.path.samefile(photo.path, tmp_path / photo.relative) for photo in photos)
    assert unusable == []


def test_what_else_there_is_is_counted_and_folders_of_file_servers_passed_over(tmp_path):
    folder = make_files(tmp_path, '1.jpg', '1.pts', 'a/2.pts', 'a/film.mov', '@eaDir/1.jpg/THUMB_M.jpg',
                        '#recycle/0.jpg', 'a/lost+found/3.jpg', '.thumbnails/1.jpg', '$RECYCLE.BIN/4.jpg')
    photos, unusable, others = list_photographs(folder)
    assert [photo.relative for photo in photos] == ['1.jpg'] and unusable == []
    assert others == {'.pts': 2, '.mov': 1, **{f'folder {name}': 1 for name in (
        '@eaDir', '#recycle', 'lost+found', '.thumbnails', '$RECYCLE.BIN')}}  # yapf: disable


def test_names_do_not_depend_on_other_files(tmp_path):
    """Stable: a changed rule would orphan prepared sets."""
    folder = make_files(tmp_path, 'Zoë/2 of 3.jpg', 'face_1-a.png', '000001.jpg')
    names = {photo.relative: photo.name for photo in list_photographs(folder)[0]}
    assert names == {'Zoë/2 of 3.jpg': 'Zo__2_of_3-21db58cb', 'face_1-a.png': 'face_1-a', '000001.jpg': '000001'}


@settings(max_examples=100)
@given(st.lists(st.text(st.characters(blacklist_categories=['Cs']), min_size=1, max_size=300), unique=True))
def test_any_name_becomes_a_key_of_its_own(stems):
    """BasicSR splits meta_info at '.' and ' ', and encodes keys as ASCII."""
    names = [_crop_name(stem + '.jpg') for stem in stems]
    assert all(re.fullmatch('[A-Za-z0-9_-]+', name) and len(name) <= MAX_NAME_LENGTH for name in names)
    assert len(set(names)) == len(names)


def test_same_name_twice(tmp_path):
    folder = make_files(tmp_path, 'a.png', 'a.jpg', 'x y/a.jpg', 'x y/a.bmp')
    photos, unusable, _ = list_photographs(folder)
    assert [photo.relative for photo in photos] == ['a.jpg', 'x y/a.bmp']
    assert unusable == [('a.png', 'same name as another (a.jpg)'), ('x y/a.jpg', 'same name as another (x y/a.bmp)')]


@pytest.mark.skipif(sys.platform == 'win32', reason='links need rights on Windows')
def test_links_are_followed_but_not_in_circles(tmp_path):
    make_files(tmp_path / 'disk', '1.jpg')
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'linked').symlink_to(tmp_path / 'disk')
    (tmp_path / 'disk' / 'back').symlink_to(folder)
    (folder / 'gone.jpg').symlink_to(tmp_path / 'nowhere.jpg')
    photos, unusable, _ = list_photographs(str(folder))
    assert [photo.relative for photo in photos] == ['linked/1.jpg']
    assert unusable == [('gone.jpg', 'cannot be read (not a file, or a link to none)')]


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems refuse such names')
def test_name_that_is_not_utf8(tmp_path):
    with open(os.path.join(os.fsencode(tmp_path), b'caf\xe9.jpg'), 'wb'):
        pass
    make_files(tmp_path, '1.jpg')
    photos, unusable, _ = list_photographs(str(tmp_path))
    assert [photo.relative for photo in photos] == ['1.jpg']
    assert unusable == [('caf\\xe9.jpg', 'its file name is not UTF-8')]


def test_no_folder_and_no_photograph(tmp_path):
    with pytest.raises(FileNotFoundError, match="photographs '.*nowhere' does not exist"):
        list_photographs(str(tmp_path / 'nowhere'))
    with pytest.raises(ValueError, match=r'holds no photograph; expected files that end in \.jpg, \.jpeg'):
        list_photographs(make_files(tmp_path, 'readme.txt', '.1.jpg'))
