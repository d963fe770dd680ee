"""Open a page in the browser that restores your photographs and synthetic faces with a trained network.

    dic-demo
    dic-demo -w DIC_CelebA.pth --port 8000

Shows input, bicubic enlargement, every step with its landmarks, and the attention of the fusion. The page is served to
this machine only and sends nothing anywhere. Needs `pip install 'dic_plugin[demo]'`; 'dic_plugin[faces]' finds faces in
photographs.
"""
import os
import signal
import time
from typing import List, Optional

from dic_plugin.cli.arguments import add_shared, command_parser, failed


def main(argv: Optional[List[str]] = None) -> int:
    """Serve the page until Ctrl-C; returns the exit status."""
    parser = command_parser('dic-demo', __doc__)
    add_shared(parser, '-w/--weights', help='checkpoint to begin with (default: those shipped)')
    text = 'folder to search for checkpoints (default: %(default)s)'
    parser.add_argument('--root', type=os.path.expanduser, default='experiments', metavar='DIR', help=text)
    parser.add_argument('--port', type=int, help='default: the first free one from 7860')
    add_shared(parser, '--device')
    args = parser.parse_args(argv)
    try:
        from dic_plugin.demo.page import served
    except ModuleNotFoundError as error:
        return failed(f"{error.name} is not installed; the page needs it: `pip install 'dic_plugin[demo]'`.")
    for signum in (signal.SIGINT, signal.SIGTERM):  # both clean up, even if a script's job ignores SIGINT
        signal.signal(signum, signal.default_int_handler)
    try:
        with served(args.root, args.weights, args.device, args.port) as address:
            print(f'The page is at {address} (Ctrl-C ends it)', flush=True)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        print()
    except OSError as error:
        return failed(error)
    return 0
