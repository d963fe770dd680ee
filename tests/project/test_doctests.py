"""The examples in the package's docstrings run and print what they say."""
import doctest
from importlib import import_module

import pytest

from helpers.paths import ROOT

FILES = [file for file in sorted((ROOT / 'dic_plugin').rglob('*.py')) if '>>>' in file.read_text(encoding='utf-8')]
NEED_WEIGHTS = {'dic_plugin.inference.restorer'}  # run by tests/inference/test_face_restorer.py
MODULES = {'.'.join(file.relative_to(ROOT).with_suffix('').parts) for file in FILES} - NEED_WEIGHTS


@pytest.mark.parametrize('name', sorted(MODULES))
def test_examples_of_docstrings(name):
    result = doctest.testmod(import_module(name))
    assert result.attempted and not result.failed
