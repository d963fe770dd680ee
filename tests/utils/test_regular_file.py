"""Pipes and devices, of which reading might never end, are named as such by whatever reads a user's file."""
import os
import sys

import pytest

from dic_plugin.data.face_files import FaceFiles
from dic_plugin.faces.photograph import Skipped, read_photograph
from dic_plugin.launch.command_line import check_command_line
from dic_plugin.prepare.formats.ibug_pts import read_pts
from dic_plugin.prepare.formats.openface_csv import read_openface
from dic_plugin.prepare.formats.restricted_pickle import load_plain_pickle
from dic_plugin.utils.option_values import OptionError
from dic_plugin.utils.regular_file import open_regular

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no named pipes in folders')


@pytest.fixture(params=['pipe', 'device'])
def endless(tmp_path, request):
    path = tmp_path / 'face.png'
    os.mkfifo(path) if request.param == 'pipe' else path.symlink_to('/dev/zero')
    return str(path)


@pytest.mark.parametrize('read, error', [
    (open_regular, OSError),
    (read_photograph, Skipped),
    (read_pts, OSError),
    (read_openface, OSError),
    (load_plain_pickle, OSError),
    (lambda path: check_command_line(['-opt', path]), OptionError),
])  # yapf: disable
def test_what_might_never_end_is_not_read(endless, read, error):
    with pytest.raises(error, match='is no regular file but a pipe, socket or device'):
        read(endless)


def test_files_and_folders_are_opened_as_usual(tmp_path):
    (tmp_path / 'a').write_text('text')
    with open_regular(tmp_path / 'a') as file:
        assert file.read() == 'text'
    for path, error in ((tmp_path, IsADirectoryError), (tmp_path / 'b', FileNotFoundError)):
        with pytest.raises(error):
            open_regular(path)


@pytest.mark.parametrize('data', ['pipe', None])
def test_an_lmdb_needs_its_data_file(tmp_path, data):
    root = tmp_path / 'train.lmdb'
    root.mkdir()
    (root / 'meta_info.txt').write_text('a.png (8,8,3) 1\n')
    if data:
        os.mkfifo(root / 'data.mdb')
    with pytest.raises(FileNotFoundError, match='train.lmdb. holds no file data.mdb; expected an LMDB'):
        FaceFiles(str(root), {'type': 'lmdb'})
