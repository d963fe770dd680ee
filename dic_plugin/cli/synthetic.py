"""Draw synthetic faces into a folder, as PNG: python -m dic_plugin.cli.synthetic FOLDER --num 4 --scale 8"""
import argparse
import os
import sys
from typing import List, Optional

from dic_plugin.data.degradation import make_lq
from dic_plugin.inference.files import write_image
from dic_plugin.synthetic import draw_face


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status: 0, or 1 after an error."""
    parser = argparse.ArgumentParser(prog='python -m dic_plugin.cli.synthetic', description='Draw faces as PNG.')
    parser.add_argument('folder', type=os.path.expanduser, help='output folder; names as in SyntheticFaceDataset')
    for name, default, text in (('num', 4, 'number of faces'), ('seed', 0, 'seed of the series; training uses 0'),
                                ('size', 128, 'width and height in pixels'),
                                ('scale', 1, 'then downsample as in training; 8 for inputs of the network')):
        parser.add_argument(f'--{name}', type=int, default=default, help=f'{text} (default: {default})')
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
