"""Files that appear whole or not at all."""
from pathlib import Path

import pytest

from dic_plugin.utils.whole_file import whole_file


def test_half_written_files_never_replace_whole_ones(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('whole')
    with pytest.raises(OSError, match='disk full'), whole_file(str(path)) as temporary:
        Path(temporary).write_text('ha')
        raise OSError('disk full')
    assert path.read_text() == 'whole' and len(list(tmp_path.iterdir())) == 1


def test_what_is_written_takes_the_place(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with whole_file(str(path)) as temporary:
        Path(temporary).write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new' and len(list(tmp_path.iterdir())) == 1
