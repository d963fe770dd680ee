"""The examples, commands and links of README.md, CONTRIBUTING.md, CHANGELOG.md and docs/ work."""
import argparse
import doctest
import re
import runpy
import shlex
import sys
from importlib import import_module
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
import torch

from dic_plugin.archs import DIC
from dic_plugin.synthetic import draw_face
from helpers.paths import ROOT

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'CHANGELOG.md', *sorted((ROOT / 'docs').glob('*.md'))]
if not all(page.is_file() for page in (*PAGES, ROOT / 'docs/generate.py')):
    pytest.skip('tests the sources, which are not here', allow_module_level=True)
COMMANDS = runpy.run_path(str(ROOT / 'docs/generate.py'))['commands']()
ALIASES = {'basicsr/train.py': 'dic-train', 'basicsr/test.py': 'dic-test'}
WEIGHTS = 'experiments/train_DIC/models/net_g_latest.pth'


def blocks(text, language):
    return re.findall(rf'^ *```{language}\n(.*?)^ *```$', text, re.DOTALL | re.MULTILINE)


def python_pages():
    return [page for page in PAGES if blocks(page.read_text(encoding='utf-8'), 'python')]


def page_id(page):
    return str(page.relative_to(ROOT))


# ---------------------------------------------------------------- Python
def save_weights():
    torch.manual_seed(0)
    network = DIC(num_feat=4, num_groups=2, num_steps=2, hg_num_feat=8, num_fusion_block=1, hg_from_scratch=True)
    Path(WEIGHTS).parent.mkdir(parents=True)
    torch.save({'params': network.state_dict()}, WEIGHTS)


def restoring():
    save_weights()
    return {'crops': np.zeros((2, 16, 16, 3), np.uint8)}


def restoring_photographs():
    pytest.importorskip('dlib')
    return dict(restoring(), photo=draw_face(0, 0, 256)[0])


def annotating():
    Path('datasets/mine').mkdir(parents=True)
    return {'names': ['a', 'b'], 'landmarks': np.full((2, 68, 2), 64)}


def loading_with_spandrel():
    pytest.importorskip('spandrel')
    return {}


def running_onnx():
    parser = pytest.importorskip('onnx.parser')
    pytest.importorskip('onnxruntime')
    # With the names and ranks of a file of dic-export, which would take half a minute.
    model = parser.parse_model('''
        <ir_version: 8, opset_import: ["": 18]>
        dic (float[B, 3, 16, 16] lq) => (float[B, 3, 128, 128] sr, float[B, K, 2] landmarks) {
            scales = Constant <value_floats = [1.0, 1.0, 8.0, 8.0]> ()
            sr = Resize (lq, , scales)
            shape = Constant <value_ints = [0, -1, 2]> ()
            landmarks = Reshape (lq, shape)
        }''')
    Path('dic.onnx').write_bytes(model.SerializeToString())
    cv2.imwrite('face_16x16.png', np.zeros((16, 16, 3), np.uint8))
    return {}


# What the plain examples of a page need: a function that makes their files and returns their variables. None: the page
# shows a part of a program, which is only compiled.
NEEDED = {
    'README.md': restoring,
    'CONTRIBUTING.md': None,
    'docs/data.md': annotating,
    'docs/export.md': running_onnx,
    'docs/inference.md': restoring_photographs,
    'docs/programs.md': loading_with_spandrel,
}


@pytest.mark.parametrize('page', python_pages(), ids=page_id)
def test_plain_examples_run(page, tmp_path, monkeypatch):
    examples = [code for code in blocks(page.read_text(encoding='utf-8'), 'python') if not code.startswith('>>>')]
    compiled = [compile(code, page_id(page), 'exec') for code in examples]
    needed = NEEDED[page_id(page)] if examples else None
    if needed is not None:
        monkeypatch.chdir(tmp_path)
        variables = needed()
        for code in compiled:
            exec(code, variables)


def test_doctests_run():
    attempted = 0
    for page in python_pages():
        for number, code in enumerate(blocks(page.read_text(encoding='utf-8'), 'python')):
            test = doctest.DocTestParser().get_doctest(code, {}, f'{page_id(page)}, example {number}', str(page), 0)
            result = doctest.DocTestRunner().run(test)
            assert not result.failed, f'{test.name}: see the output'
            attempted += result.attempted
    assert attempted


# ---------------------------------------------------------------- commands
class Captured(BaseException):
    """Holds the parser of a command."""


def parser_of(command):
    """Return the command's own parser: the command runs up to where it parses its arguments."""
    module, function = COMMANDS[command].split(':')

    def capture(self, *_):
        raise Captured(self)

    with mock.patch.object(argparse.ArgumentParser, 'parse_args', capture), mock.patch.object(sys, 'argv', [command]):
        with pytest.raises(Captured) as captured:
            getattr(import_module(module), function)()
    parser = captured.value.args[0]
    parser.allow_abbrev = False
    return parser


def command_lines(text):
    """Yield the words of every command line in the text's bash blocks."""
    for block in blocks(text, 'bash'):
        for line in block.replace('\\\n', ' ').replace('<plugin>/', '').splitlines():
            for part in re.split(r'; |&& |\| ', line):
                yield shlex.split(part, comments=True)


def problems_of_commands(text):
    """Return what is wrong with the commands of a page: unknown ones, missing files, arguments that do not parse."""
    problems = [f'{name}: no such command' for name in re.findall(r'`(dic-[a-z-]+)', text) if name not in COMMANDS]
    for words in command_lines(text):
        problems += [
            f'{word}: no such file' for word in words
            if re.fullmatch(r'(scripts|basicsr|options)/\S+\.(py|sh|yml)', word) and not (ROOT / word).is_file()
        ]
        start = next((n for n, word in enumerate(words) if word in ALIASES or word.startswith('dic-')), None)
        if start is None:
            continue
        command = ALIASES.get(words[start], words[start])
        if command not in COMMANDS:
            problems.append(f'{command}: no such command')
            continue
        parser = parser_of(command)
        parser.error = problems.append
        with mock.patch.object(argparse.ArgumentParser, 'exit'):
            parser.parse_args(words[start + 1:])
    return problems


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_commands_parse(page):
    assert not problems_of_commands(page.read_text(encoding='utf-8'))


@pytest.mark.parametrize('line, problem', [
    ('dic-infer -i photo.png -w DIC.pth --no-such', '--no-such'),
    ('dic-infer -i photo.png -w DIC.pth --visual', '--visual'),
    ('dic-infer -w DIC.pth', '-i/--input'),
    ('srun dic-tain -opt options/train_DIC.yml', 'dic-tain: no such command'),
    ('torchrun basicsr/train.py -opt options/train_DIC.yml \\\n  --launcher slrum', 'slrum'),
    ('python basicsr/train.py -opt <plugin>/options/train_DC.yml', 'options/train_DC.yml: no such file'),
])
def test_wrong_commands_are_found(line, problem):
    assert problem in '\n'.join(problems_of_commands(f'A command:\n\n```bash\n{line}  # of the page\n```\n'))


def test_every_page_of_commands_is_read():
    lines = [words for page in PAGES for words in command_lines(page.read_text(encoding='utf-8'))]
    assert {word for words in lines for word in words if word in COMMANDS} >= set(COMMANDS) - {'dic-train', 'dic-test'}


# ---------------------------------------------------------------- links
def missing_files(text):
    """Return the relative links that lead to no file of the repository's root."""
    links = [link.split('#')[0] for link in re.findall(r'\]\(([^)\s]+)\)', text) if '://' not in link]
    return [link for link in links if link and not (ROOT / link).is_file()]


@pytest.mark.parametrize('page', PAGES[:3], ids=page_id)
def test_links_lead_to_files(page):
    assert not missing_files(page.read_text(encoding='utf-8'))


def test_missing_files_are_found():
    text = '![a](docs/steps.png) [b](docs/no_page.md#part) [c](https://example.org/x) [d](#part)'
    assert missing_files(text) == ['docs/no_page.md']
