"""MkDocs hook: writes the pages of the site that are made of other files of the repository; see mkdocs.yml.

README.md, CONTRIBUTING.md, CHANGELOG.md and the model card become pages; ``reference/`` holds the help texts of the
installed commands, the shipped option files and one page of docstrings per package.
"""
import contextlib
import io
import os
import re
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Dict
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    'dic_plugin/weights/README.md': 'weights.md',
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md'
}
PACKAGES = ('archs', 'losses', 'data', 'models', 'metrics', 'landmarks', 'faces', 'inference', 'checkpoints',
            'evaluation')
CSS = '.wy-nav-content {max-width: 75em} .wy-table-responsive table td {white-space: normal}\n'


def commands() -> Dict[str, str]:
    """Return the installed commands by name, such as ``dic-infer: dic_plugin.cli.infer:main``."""
    return {entry.name: entry.value for entry in metadata.distribution('dic_plugin').entry_points}


def help_text(command: str, entry_point: str) -> str:
    """Return what ``command --help`` prints."""
    module, function = entry_point.split(':')
    out = io.StringIO()
    with mock.patch.object(sys, 'argv', [command, '--help']), contextlib.redirect_stdout(out), \
            mock.patch.dict(os.environ, COLUMNS='100', NO_COLOR='1'), contextlib.suppress(SystemExit):
        getattr(import_module(module), function)()
    return out.getvalue()


def repository_page(name: str) -> str:
    """Return a file of the repository's root with its links turned into those of the site."""
    text = re.sub(r'\]\((\.\./)*docs/', '](', (ROOT / name).read_text(encoding='utf-8'))
    for source, page in PAGES.items():
        text = text.replace(f']({source}', f']({page}')
    return text


def reference() -> Dict[str, str]:
    """Return the pages of ``reference/``, by file name."""
    helps = (f'## {name}\n\n```text\n{help_text(name, entry)}```\n' for name, entry in commands().items())
    pages = {'commands.md': '# Commands\n\n' + '\n'.join(helps)}
    files = sorted((ROOT / 'options').rglob('*.yml'), key=lambda path: (len(path.parts), path))
    blocks = (f'## {f.relative_to(ROOT / "options")}\n\n```yaml\n{f.read_text(encoding="utf-8")}```\n' for f in files)
    pages['options.md'] = '# Option files\n\n' + '\n'.join(blocks)
    for package in PACKAGES:
        text = f'# dic_plugin.{package}\n'
        for file in sorted((ROOT / 'dic_plugin' / package).rglob('*.py')):
            module = '.'.join(file.relative_to(ROOT).with_suffix('').parts)
            if file.name != '__init__.py':
                text += f'\n## {module.split(".", 2)[2]}\n\n::: {module}\n'
        pages[f'{package}.md'] = text
    return pages


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File
    from pygments.formatters import HtmlFormatter
    pages = {page: repository_page(name) for name, page in PAGES.items()}
    pages.update((f'reference/{name}', text) for name, text in reference().items())
    pages['site.css'] = CSS + HtmlFormatter().get_style_defs('.highlight')
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Leave out Sphinx's roles, which some docstrings have before a name."""
    return re.sub(r':(class|func|meth|mod):(?=<code>)', '', html)
