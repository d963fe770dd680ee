"""Arguments of the commands: one spelling and one meaning for those that several of them share."""
import argparse
import math
import os
import sys
from typing import Any, Dict, Optional, Tuple

# of the commands that restore faces
WEIGHTS_HELP = 'checkpoint, published or converted (default: those shipped, trained on photographs)'

SHARED: Dict[str, Dict[str, Any]] = {
    '-i/--input': dict(type=os.path.expanduser, metavar='PATH'),
    '-o/--output': dict(type=os.path.expanduser, metavar='PATH'),
    '-w/--weights': dict(type=os.path.expanduser, metavar='FILE'),
    '--recursive': dict(action='store_true', help='also search the subfolders of folders'),
    '--device': dict(help='cuda, cuda:1, cpu (default: a GPU if there is one)'),
    '--workers': dict(type=int, default=os.cpu_count(), metavar='N', help='processes (default: one per core)'),
}


def command_parser(name: str, description: Optional[str]) -> argparse.ArgumentParser:
    """Return an empty parser of an installed command, whose help begins with the description as it is."""
    return argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_shared(parser: Any, name: str, *others: str, positional: Optional[str] = None, **settings: Any) -> None:
    """Add a shared argument.

    Args:
        parser: a parser or a group of one.
        name: key of SHARED.
        others: further spellings.
        positional: name under which the argument can also be given by its position; it is then required.
        settings: of add_argument, in addition to those of SHARED or in their place.
    """
    settings = {**SHARED[name], **settings}
    if positional:
        parser = parser.add_mutually_exclusive_group(required=True)
        by_position = {**settings, 'metavar': positional.upper(), 'default': argparse.SUPPRESS}
        parser.add_argument(positional, nargs='?', **by_position)
        settings = {**settings, 'dest': positional, 'help': f'the same as {positional.upper()}'}
    parser.add_argument(*name.split('/'), *others, **settings)


def check_ranges(parser: argparse.ArgumentParser, args: argparse.Namespace, **ranges: Tuple[float, ...]) -> None:
    """Exit with status 2 and a message unless these arguments, if given, are in (lowest,) or (lowest, highest)."""
    for name, ends in ranges.items():
        value = getattr(args, name)
        if value is not None and not ends[0] <= value <= (*ends, math.inf)[1]:
            expected = 'at least {}'.format(*ends) if len(ends) == 1 else '{} to {}'.format(*ends)
            parser.error(f'--{name.replace("_", "-")} is {value}; expected {expected}')


def failed(error: object, status: int = 1) -> int:
    """Print an error in one line on standard error; returns the exit status."""
    print(f'error: {error}', file=sys.stderr)
    return status
