"""Check that a prepared set of face crops, or your own, can be used for training and tests.

    dic-check datasets/celeba

The set is a folder of LMDBs (train.lmdb, test.lmdb) or of folders of images, each with its annotation file beside it
(train.npz) and optionally its low-quality images (test_lq.lmdb). Every image is read. Reported, with the first examples
of each kind: unreadable images, shapes that differ from meta_info.txt or the annotation, landmarks outside the image,
a left eye right of the right one, names that do not match, low-quality images that do not fit, faces in two splits.

Exit status: 0 without problems (there may be warnings), 1 with problems, 2 if there is no set.
"""
from typing import List, Optional

from dic_plugin.cli.arguments import add_shared, check_ranges, command_parser, failed
from dic_plugin.prepare.check import check_set


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status."""
    parser = command_parser('dic-check', __doc__)
    add_shared(parser, '-i/--input', positional='root', help='folder of the set, or one LMDB or folder of images')
    add_shared(parser, '--workers')
    args = parser.parse_args(argv)
    check_ranges(parser, args, workers=(1, ))
    try:
        report = check_set(args.root, args.workers)
    except FileNotFoundError as error:
        return failed(error, 2)
    print('\n'.join(report.lines()))
    print('All is well.' if report.ok else 'There are problems.')
    return 0 if report.ok else 1
