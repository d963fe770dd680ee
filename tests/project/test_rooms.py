"""The package's rooms: the table of CONTRIBUTING.md is true, and no room imports one that stands lower in it."""
import ast
import re

import pytest

from helpers.paths import ROOT

TABLE = re.findall(r'^\| (`\w+/`.*?) \|', (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8'), re.MULTILINE)
LEVELS = {room: level for level, rooms in enumerate(TABLE) for room in re.findall(r'`(\w+)/`', rooms)}


def test_table_names_every_room():
    assert set(LEVELS) == {file.parent.name for file in (ROOT / 'dic_plugin').glob('*/__init__.py')}


@pytest.mark.parametrize('room', LEVELS)
def test_room_imports_nothing_that_stands_lower(room):
    wrong = []
    for file in (ROOT / 'dic_plugin' / room).rglob('*.py'):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for package, other, *_ in (name.split('.') for name in names if name and '.' in name):
                if package == 'dic_plugin' and other != room and LEVELS.get(other, -1) >= LEVELS[room]:
                    wrong.append(f'{file.relative_to(ROOT)}:{node.lineno} imports {other}')
    assert not wrong
