"""Files that appear whole or not at all."""
import os
import stat
import sys
from pathlib import Path

import pytest

from dic_plugin.utils.atomic_write import atomic_write


def test_half_written_files_never_replace_whole_ones(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('whole')
    with pytest.raises(OSError, match='disk full'), atomic_write(str(path)) as temporary:
        Path(temporary).write_text('ha')
        raise OSError('disk full')
    assert path.read_text() == 'whole' and len(list(tmp_path.iterdir())) == 1


def test_a_name_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ('a' * 251 + '.csv')
    with atomic_write(str(path)) as temporary:
        Path(temporary).write_text('new')
        assert Path(temporary).parent == tmp_path and Path(temporary).name.startswith('.')
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / 'plain').write_text('')
    with atomic_write(str(tmp_path / 'whole')) as temporary:
        Path(temporary).write_text('')
    assert (tmp_path / 'whole').stat().st_mode == (tmp_path / 'plain').stat().st_mode


def test_two_at_a_time_do_not_share_a_temporary_name(tmp_path):
    path = tmp_path / 'a.csv'
    with atomic_write(str(path)) as one, atomic_write(str(path)) as other:
        Path(one).write_text('one')
        Path(other).write_text('other')
    assert path.read_text() == 'one' and list(tmp_path.iterdir()) == [path]


def test_what_is_written_takes_the_place(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with atomic_write(str(path)) as temporary:
        Path(temporary).write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new' and len(list(tmp_path.iterdir())) == 1


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path):
    path = tmp_path / 'nowhere' / 'a.csv'
    with pytest.raises(FileNotFoundError) as caught, atomic_write(str(path)) as temporary:
        Path(temporary).write_text('new')
    assert caught.value.filename == str(path)


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no named pipes in folders')
@pytest.mark.parametrize('linked', [False, True])
def test_a_pipe_or_device_is_not_replaced(tmp_path, linked):
    """As root, a file could take the place of /dev/null."""
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    path = tmp_path / 'link' if linked else pipe
    if linked:
        path.symlink_to(pipe)
    with pytest.raises(OSError, match='is no regular file but a pipe, socket or device') as caught, atomic_write(path):
        pytest.fail('nothing may be written')
    assert caught.value.filename == str(path) and stat.S_ISFIFO(pipe.stat().st_mode)
    assert path.is_symlink() == linked


@pytest.mark.parametrize('exists', [False, True])
def test_a_link_stays_one(tmp_path, exists):
    """As when a file is opened to write: weights may lie on another disk."""
    (tmp_path / 'disk').mkdir()
    target, link = tmp_path / 'disk/a.csv', tmp_path / 'a.csv'
    if exists:
        target.write_text('old')
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip('this system does not let users make links')
    with atomic_write(link) as temporary:
        Path(temporary).write_text('new')
    assert link.is_symlink() and target.read_text() == 'new'
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['a.csv', 'a.csv', 'disk']
