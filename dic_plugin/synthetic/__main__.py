"""Draws synthetic faces into a folder, as PNG: python -m dic_plugin.synthetic FOLDER --num 4 --scale 8"""
import argparse
import os
import sys
from typing import List, Optional

from dic_plugin.data.degradation import make_lq
from dic_plugin.inference.files import write_image
from dic_plugin.synthetic import draw_face


def main(argv: Optional[List[str]] = None) -> int:
    """Run it; returns the exit status: 0, or 1 after an error."""
    parser = argparse.ArgumentParser(prog='python -m dic_plugin.synthetic', description='Draws synthetic faces.')
    parser.add_argument(
        'folder', type=os.path.expanduser, help='where to write them; the names are those of SyntheticFaceDataset')
    parser.add_argument('--num', type=int, default=4, help='how many (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='which; training takes 0 (default: %(default)s)')
    parser.add_argument('--size', type=int, default=128, help='side in pixels (default: %(default)s)')
    parser.add_argument(
        '--scale',
        type=int,
        default=1,
        help='then shrink them as training does: 8 for inputs of the '
        'network (default: %(default)s)')
    args = parser.parse_args(argv)
    try:
        os.makedirs(args.folder, exist_ok=True)
        for index in range(args.num):
            face, _ = draw_face(args.seed, index, args.size)
            face = make_lq(face, args.scale) if args.scale != 1 else face
            write_image(os.path.join(args.folder, f'synthetic_{args.seed}_{index:06d}.png'), face)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'wrote {args.num} files to {args.folder}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
