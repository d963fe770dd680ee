"""Examines a prepared set of face crops, or anybody's own: can it be trained and tested on?

    dic-check datasets/celeba

The set is a folder of LMDBs (``train.lmdb``, ``test.lmdb``) or of folders of images, each with its annotation file
beside it (``train.npz``) and perhaps its low-quality images (``test_lq.lmdb``). Every image is read: all must be
readable, of the shape that ``meta_info.txt`` and annotation say, with all landmarks inside and the left eye left of the
right one; names must match, low-quality images fit, and no face may be in two splits. The first offenders of every kind
are named.

Exits with 0 if all is well (there may be warnings), 1 if there are problems, 2 if there is no set.
"""
import argparse
import os
import sys
from typing import List, Optional

from dic_plugin.prepare.check import check_set


def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'root', type=os.path.expanduser, metavar='ROOT', help='folder of the set, or a single LMDB or folder of images')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes (default: one for every core)')
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error(f'--workers is {args.workers}; expected at least 1.')
    try:
        report = check_set(args.root, args.workers)
    except FileNotFoundError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print('\n'.join(report.lines()))
    print('All is well.' if report.ok else 'There are problems.')
    return 0 if report.ok else 1
