"""The commands ``dic-train`` and ``dic-test``: BasicSR's own pipelines, after a check of the option file.

Nothing of BasicSR's loops is repeated here. For the time of a run, BasicSR's ``parse_options`` is followed by
``check_options``, and ``load_resume_state`` is the one of ``dic_plugin.utils.resume``.
"""
import argparse
import importlib
import os
import sys
import time
from typing import Any, Dict, List, Optional

import torch
import yaml
from basicsr.utils.options import ordered_yaml

from dic_plugin import compat
from dic_plugin.utils.option_check import OptionError, check_options
from dic_plugin.utils.resume import load_resume_state


def train(root: Optional[str] = None) -> int:
    """Run BasicSR's ``train_pipeline`` on the command line's options.

    Args:
        root: Where ``experiments/`` and ``tb_logger/`` are put. Default: the current directory.

    Returns:
        The exit status: 0, or 2 after one line on standard error that says what is wrong with the options.
    """
    return _run('train', root)


def test(root: Optional[str] = None) -> int:
    """Run BasicSR's ``test_pipeline`` on the command line's options; ``results/`` is put in ``root``. See ``train``."""
    return _run('test', root)


def _run(what: str, root: Optional[str]) -> int:
    loop = importlib.import_module(f'basicsr.{what}')
    sys.argv[1:] = compat.underscore_local_rank(sys.argv[1:])
    stock = {name: getattr(loop, name) for name in ('parse_options', 'load_resume_state') if hasattr(loop, name)}

    def parse_and_check(root_path, is_train=True):
        check_command_line(sys.argv[1:])
        opt, args = stock['parse_options'](root_path, is_train=is_train)
        check_options(opt, is_train)
        return opt, args

    loop.parse_options = parse_and_check
    if what == 'train':
        loop.load_resume_state = load_resume_state
    try:
        getattr(loop, f'{what}_pipeline')(os.path.abspath(root or os.getcwd()))
    except OptionError as error:
        _report(error)
        return 2
    finally:
        for name, function in stock.items():
            setattr(loop, name, function)
    return 0


def _report(error: OptionError) -> None:
    """Say once what is wrong, whatever the number of processes."""
    if int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0:
        print(f'Error in the options: {error}', file=sys.stderr, flush=True)
    else:
        time.sleep(1)  # the first process to fail makes torchrun stop the others; leave rank 0 the time to speak


def check_command_line(arguments: List[str]) -> None:
    """Refuse what BasicSR's ``parse_options`` would fail on without a clear message.

    Raises:
        OptionError: The option file is missing or no YAML, a section is not one, ``--force_yml`` names a section that
            does not exist, or a distributed launch has no GPU.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('-opt')
    parser.add_argument('--launcher', default='none')
    parser.add_argument('--force_yml', nargs='+', default=[])
    args, _ = parser.parse_known_args(arguments)
    if args.opt is None:
        return  # BasicSR's parser says so
    opt = _load(args.opt)
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
            raise OptionError(f'{section}: expected options (`key: value` lines) in {args.opt}, got {content!r}.')
    for entry in args.force_yml:
        _check_forced(opt, entry)
    if args.launcher != 'none' and not torch.cuda.is_available():
        raise OptionError(f'--launcher {args.launcher}: BasicSR runs distributed only on GPUs, and there is none here.')


def _load(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding='utf-8') as file:
            opt = yaml.load(file, Loader=ordered_yaml()[0])
    except OSError as error:
        raise OptionError(f'-opt {path}: {error.strerror}.') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f'-opt {path}: not an option file: {error}') from error
    if not isinstance(opt, dict):
        raise OptionError(f'-opt {path}: expected options (`key: value` lines).')
    return opt


def _check_forced(opt: Dict[str, Any], entry: str) -> None:
    keys, equals, value = entry.partition('=')
    if not equals or '=' in value:
        raise OptionError(f'--force_yml {entry}: expected section:key=value.')
    *sections, _ = keys.strip().split(':')
    known, where = opt, []
    for section in sections:
        where.append(section)
        known = known.get(section)
        if not isinstance(known, dict):
            raise OptionError(f'--force_yml {entry}: the option file has no section {":".join(where)}.')
