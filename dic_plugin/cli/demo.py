"""Opens a page in the browser: drop a photograph or take a synthetic face, and see what a network makes of it.

    dic-demo
    dic-demo -w DIC_CelebA.pth --port 8000

Shows input, bicubic enlargement, every step with its landmarks, and where the attentive fusion looked. The page is
served to this machine only, needs no network, and reports nothing to anybody. Needs Python 3.10 and
`pip install 'dic_plugin[demo]'`; 'dic_plugin[faces]' finds faces in photographs. docs/demo.md has a picture.
"""
import argparse
import os
import signal
import sys
import time
from typing import List, Optional


def main(argv: Optional[List[str]] = None) -> int:
    """Serves the page until Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '-w',
        '--weights',
        type=os.path.expanduser,
        metavar='FILE',
        help='checkpoint to begin with; default: the newest found')
    parser.add_argument(
        '--root',
        type=os.path.expanduser,
        default='experiments',
        help='where to look for checkpoints (default: experiments)')
    parser.add_argument('--port', type=int, help='default: the first free one from 7860')
    parser.add_argument('--device', help="'cuda', 'cpu', ...; default: a GPU if there is one")
    args = parser.parse_args(argv)
    try:
        from dic_plugin.demo.page import served
    except ModuleNotFoundError as error:
        print(
            f"error: {error.name} is not installed; the page needs it: `pip install 'dic_plugin[demo]'`.",
            file=sys.stderr)
        return 1
    for signum in (signal.SIGINT,
                   signal.SIGTERM):  # both tidy up, also where a script's job was told to ignore the first
        signal.signal(signum, signal.default_int_handler)
    try:
        with served(args.root, args.weights, args.device, args.port) as address:
            print(f'The page is at {address} (Ctrl-C ends it)', flush=True)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        print()
    except OSError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0
