"""The command line and the option file of a run, checked before BasicSR reads them."""
import argparse
import re
from typing import Any, Dict, List, NamedTuple

import yaml

from dic_plugin.utils.option_values import OptionError
from dic_plugin.utils.option_yaml import read_yaml
from dic_plugin.utils.shipped_options import option_file

__all__ = ['CommandLine', 'check_command_line', 'forced_value', 'normalised']


class CommandLine(NamedTuple):
    """Parts of the command line that are needed before BasicSR has read the options.

    Attributes:
        launcher: none, pytorch or slurm.
        num_gpu: the option as written, or as forced.
        dist_params: likewise.
    """
    launcher: str
    num_gpu: Any
    dist_params: Dict[str, Any]


def normalised(arguments: List[str]) -> List[str]:
    """Return the arguments as BasicSR's parser knows them.

    torchrun's predecessor passes ``--local-rank`` since torch 2.0, which BasicSR knows as ``--local_rank``. The option
    file may be a shipped one's name, see :func:`dic_plugin.utils.shipped_options.option_file`.
    """
    arguments = [argument.replace('--local-rank', '--local_rank', 1) for argument in arguments]
    return [
        '-opt=' + option_file(argument[5:])
        if argument.startswith('-opt=') else option_file(argument) if before == '-opt' else argument
        for before, argument in zip(['', *arguments], arguments)
    ]


def check_command_line(arguments: List[str]) -> CommandLine:
    """Refuse what BasicSR's ``parse_options`` would fail on without a clear message.

    Raises:
        OptionError: The option file is missing or no YAML, a section is not one, or ``--force_yml`` names a section
            that does not exist.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('-opt')
    parser.add_argument('--launcher', default='none')
    parser.add_argument('--force_yml', nargs='+', default=[])
    args, _ = parser.parse_known_args(arguments)
    if args.opt is None:
        return CommandLine(args.launcher, 'auto', {})  # BasicSR's parser says what is missing
    opt = _load(args.opt)
    for entry in args.force_yml:
        _force(opt, entry)
    for section in ('name', 'num_gpu', 'datasets', 'path'):
        if section not in opt:
            raise OptionError(f'{section}: missing in {args.opt}.')
    sections = {'datasets': opt['datasets'], 'path': opt['path']}
    for section in ('train', 'val', 'logger'):
        if opt.get(section) is not None:
            sections[section] = opt[section]
    if isinstance(opt['datasets'], dict):
        sections.update((f'datasets:{phase}', dataset) for phase, dataset in opt['datasets'].items())
    for section, content in sections.items():
        if not isinstance(content, dict):
            raise OptionError(f'{section}: expected options (`key: value` lines), got {content!r}.')
    if not isinstance(opt['name'], str):
        raise OptionError(f"name is {opt['name']!r}; expected text, in quotes where it looks like a number, such as "
                          "'001'.")
    if opt['name'] in ('', '.', '..') or re.search(r'[/\\\0\n]', opt['name']):
        raise OptionError(f"name is {opt['name']!r}; expected the name of a folder, which is made in experiments/ or "
                          'results/.')
    return CommandLine(args.launcher, opt['num_gpu'], dict(opt.get('dist_params') or {}))


def _load(path: str) -> Dict[str, Any]:
    try:
        opt = read_yaml(path)
    except OptionError as error:
        raise OptionError(f'-opt {error}') from error
    if not isinstance(opt, dict):
        raise OptionError(f'-opt {path}: expected options (`key: value` lines).')
    return opt


def _force(opt: Dict[str, Any], entry: str) -> None:
    keys, equals, value = entry.partition('=')
    if not equals or '=' in value:
        raise OptionError(f'--force_yml {entry}: expected section:key=value.')
    *sections, key = keys.strip().split(':')
    known = opt
    for depth, section in enumerate(sections, 1):
        if not isinstance(known.get(section), dict):
            raise OptionError(f'--force_yml {entry}: the option file has no section {":".join(sections[:depth])}.')
        known = known[section]
    known[key] = forced_value(value.strip())


def forced_value(text: str) -> Any:
    """Return the value that ``--force_yml section:key=text`` means: as YAML reads it, and 'none' as nothing.

    BasicSR's own reading takes ``-1`` for text and evaluates what begins with a bracket as Python.

    Raises:
        OptionError: the text is no YAML.

    >>> [forced_value(text) for text in ('-1', '[1, 2]', 'None', '~/faces', 'a: b')]
    [-1, [1, 2], None, '~/faces', 'a: b']
    """
    if text.lower() == 'none':
        return None
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OptionError(f'--force_yml: {text!r} cannot be read as a value: {error}') from error
    return text if isinstance(value, dict) else value
