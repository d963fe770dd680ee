"""Turns a folder of photographs and their landmarks into training data.

    dic-prepare img_celeba --landmarks new_train_info_list.pkl --split 1000 -o datasets/celeba
    dic-prepare helen --landmarks train_info_list_68.pkl --split 50 --size 256 -o datasets/helen
    dic-prepare my_photos --detector dlib -o datasets/mine --preview

Writes square crops (LMDBs, or folders of PNG), the annotation file of every split, LQ/GT pairs of the test split, and
what became of every photograph (faces.csv, skipped.csv). Can be interrupted at any time: the same command goes on.
Exits with 1 if nothing came out. README.md, section "Data", says what to download.
"""
import argparse
import os
import sys
import time
from typing import List, Optional

from addict import Dict

from dic_plugin.faces.crop import MARGIN
from dic_plugin.faces.detectors import DETECTORS
from dic_plugin.prepare.finish import Counts
from dic_plugin.prepare.preview import draw_preview
from dic_plugin.prepare.run import NothingPrepared, prepare
from dic_plugin.utils.interrupts import interrupted_once

__all__ = ['main', 'parse']


def parse(argv: Optional[List[str]] = None) -> Dict:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', type=os.path.expanduser, help='folder of photographs, with all its subfolders')
    parser.add_argument(
        '-o',
        '--output',
        type=os.path.expanduser,
        required=True,
        help='new folder for the prepared set: datasets/celeba')
    landmarks = parser.add_argument_group('landmarks (one of the two)').add_mutually_exclusive_group(required=True)
    landmarks.add_argument(
        '--landmarks',
        type=os.path.expanduser,
        nargs='+',
        metavar='PATH',
        help='published lists (.pkl), an OpenFace CSV or a folder of them, a '
        "folder of .pts, a folder of Helen's annotation files, CelebA's list_landmarks_celeba.txt")
    landmarks.add_argument('--detector', choices=sorted(DETECTORS), help='find them in the photographs')
    group = parser.add_argument_group('which faces')
    group.add_argument(
        '--model',
        type=os.path.expanduser,
        metavar='FILE',
        help="the detector's landmark model, where it is not found by itself")
    group.add_argument(
        '--min-confidence',
        type=float,
        metavar='C',
        help='of the detector or of OpenFace, in its own '
        'scale (default: OpenFace 0.5, dlib 0.2)')
    group.add_argument(
        '--check-points',
        type=os.path.expanduser,
        metavar='FILE',
        help="list_landmarks_celeba.txt: keep faces that agree with "
        "CelebA's own five points")
    group.add_argument(
        '--max-error',
        type=float,
        default=0.1,
        metavar='E',
        help='greatest mean distance to these, in '
        'distances between the eyes (default: %(default)s; the paper does not tell its own)')
    group = parser.add_argument_group('split')
    group.add_argument(
        '--split',
        type=os.path.expanduser,
        default='0.05',
        metavar='SPEC',
        help="CelebA's list_eval_partition.txt, a list of test "
        'photographs (text or published .pkl), a fraction or a number of photographs for the test, or '
        'train or test for all (default: %(default)s)')
    group.add_argument('--seed', type=int, default=0, help='of a fraction or number (default: %(default)s)')
    group = parser.add_argument_group('crops')
    group.add_argument(
        '--size',
        type=int,
        default=128,
        help='side of the training crops (default: %(default)s; take '
        'more where training distorts them: 256 for Helen)')
    group.add_argument(
        '--gt-size',
        type=int,
        default=128,
        help='side of the test crops, which is that of the '
        "network's output (default: %(default)s)")
    group.add_argument(
        '--scale', type=int, default=8, help='how much smaller the LQ images of the test are (default: '
        '%(default)s)')
    group.add_argument(
        '--margin',
        type=float,
        default=MARGIN,
        help='around the landmarks on every side, in sizes of '
        'their bounding box, where the annotation has no box (default: %(default)s)')
    group.add_argument('--whole', action='store_true', help='the photographs are square face crops: use all of them')
    group = parser.add_argument_group('output')
    group.add_argument(
        '--store', choices=['lmdb', 'png'], default='lmdb', help='LMDBs or folders of PNG (default: '
        '%(default)s)')
    group.add_argument('--preview', action='store_true', help='draw contact sheets with landmarks')
    group.add_argument(
        '--workers', type=int, default=os.cpu_count(), metavar='N', help='processes (default: all cores)')
    args = parser.parse_args(argv)
    for name, smallest in (('size', 16), ('gt_size', 16), ('scale', 1), ('workers', 1)):
        if getattr(args, name) < smallest:
            parser.error(f'--{name.replace("_", "-")} is {getattr(args, name)}; expected at least {smallest}')
    if args.gt_size % args.scale:
        parser.error(f'--gt-size is {args.gt_size}; expected a multiple of --scale, {args.scale}')
    if not 0 <= args.margin <= 10:
        parser.error(f'--margin is {args.margin}; expected 0 to 10')
    if args.max_error <= 0:
        parser.error(f'--max-error is {args.max_error}; expected a positive number')
    if args.model and not args.detector:
        parser.error('--model belongs to a --detector')
    options = Dict(vars(args))
    options.freeze()  # without, addict makes up what is missing
    return options


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns its exit status: 0, or 1 after an error, or 130 when interrupted."""
    options = parse(argv)
    start = time.monotonic()
    try:
        with interrupted_once():
            counts, new = prepare(options)
            if options.preview:
                for split in counts.faces:
                    print('drew', draw_preview(options.output, split, options.store))
    except KeyboardInterrupt:
        print('Interrupted. Nothing is lost: the same command goes on from here.', file=sys.stderr)
        return 130
    except (ImportError, NothingPrepared, OSError, RuntimeError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    took = f' in {time.monotonic() - start:.0f} s' if new else ', as it was already'
    total = sum(counts.faces.values())
    print('\n'.join([f'Prepared {total} face{"s" * (total != 1)}{took}.', *_summary(options, counts)]))
    return 0


def _summary(options: Dict, counts: Counts) -> List[str]:
    suffix = '.lmdb' if options.store == 'lmdb' else '/'
    lines = []
    for split, num in counts.faces.items():
        root = os.path.join(options.output, split)
        pair = '' if split == 'train' else f', {root}_lq{suffix} for other models'
        lines.append(f'  {split:5} {num:7} faces: {root}{suffix}, {root}.npz{pair}')
    lines += [f'  {split:5} no face came out: there is no {split}{suffix}' for split in counts.empty]
    lines.append(f'  crops: {counts.moved} moved into the photograph, {counts.padded} padded at its border, '
                 f'{counts.several} chosen as the largest of several faces (faces.csv)')
    if counts.reasons:
        lines.append(f'  left out: {sum(counts.reasons.values())} (skipped.csv)')
        lines += [f'    {num:7} {reason}' for reason, num in counts.reasons.items()]
    return lines
