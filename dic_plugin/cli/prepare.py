"""Turn a folder of photographs and their landmarks into training data.

    dic-prepare img_celeba --landmarks new_train_info_list.pkl --split 1000 -o datasets/celeba
    dic-prepare helen --landmarks train_info_list_68.pkl --split 50 --size 256 -o datasets/helen
    dic-prepare my_photos --detector dlib -o datasets/mine --preview

Writes square crops (LMDBs, or folders of PNG), the annotation file of every split, LQ/GT pairs of the test split, and
what became of every photograph (faces.csv, skipped.csv). After an interruption, the same command continues. Exits
with 1 if no face could be used.
"""
import os
import sys
import time
from typing import List, Optional

from addict import Dict

from dic_plugin.cli.arguments import add_shared, check_ranges, command_parser, failed
from dic_plugin.data.image_file import describe_others
from dic_plugin.faces.crop import MARGIN
from dic_plugin.faces.detectors import DETECTORS
from dic_plugin.prepare.finish import Counts
from dic_plugin.prepare.prepare import NothingPrepared, prepare
from dic_plugin.prepare.preview import draw_preview
from dic_plugin.utils.interrupts import interrupted_once

__all__ = ['main', 'parse']


def parse(argv: Optional[List[str]] = None) -> Dict:
    """Read the command line; exits with 2 and a message if the arguments do not fit together."""
    parser, path = command_parser('dic-prepare', __doc__), os.path.expanduser
    add_shared(parser, '-i/--input', positional='photos', help='folder of photographs, including all its subfolders')
    add_shared(parser, '-o/--output', required=True, help='new folder for the prepared set, such as datasets/celeba')
    one_of = parser.add_argument_group('landmarks (one of the two)').add_mutually_exclusive_group(required=True)
    one_of.add_argument(
        '--landmarks',
        type=path,
        nargs='+',
        metavar='PATH',
        help='published lists (.pkl), an OpenFace CSV or a folder of them, a folder of .pts or of Helen\'s annotation '
        "files, CelebA's list_landmarks_celeba.txt")
    one_of.add_argument('--detector', choices=sorted(DETECTORS), help='detect them in the photographs')
    add = parser.add_argument_group('which faces').add_argument
    add('--model', type=path, metavar='FILE', help="the detector's landmark model, if not installed")
    add('--min-confidence',
        type=float,
        metavar='C',
        help='of the detector or OpenFace (default: OpenFace 0.5, dlib 0.2)')
    add('--max-failures',
        type=float,
        default=0.1,
        metavar='SHARE',
        help='landmark files that may be unusable; more end the run (default: %(default)s)')
    add('--check-points', type=path, metavar='FILE', help='list_landmarks_celeba.txt: keep faces that agree with it')
    add('--max-error', type=float, default=0.1, help='mean distance allowed, in eye distances (default: %(default)s)')
    add = parser.add_argument_group('split').add_argument
    add('--split',
        type=path,
        default='0.05',
        metavar='SPEC',
        help="CelebA's list_eval_partition.txt, a list of test photographs (text or published .pkl), a fraction or "
        'number of photographs for the test, or train or test for all (default: %(default)s)')
    add('--group-by',
        type=path,
        metavar='folder|FILE',
        help='of a fraction or number: keep a folder on one side, or a person of identity_CelebA.txt (image person)')
    add('--seed', type=int, default=0, help='of a fraction or number (default: %(default)s)')
    add = parser.add_argument_group('crops').add_argument
    add('--size', type=int, default=128, help='width of training crops; Helen: 256 (default: %(default)s)')
    add('--gt-size', type=int, default=128, help='width of test crops and of results (default: %(default)s)')
    add('--scale', type=int, default=8, help='downsampling factor of the LQ test images (default: %(default)s)')
    add('--margin', type=float, default=MARGIN, help='around landmarks, in sizes of their box (default: %(default)s)')
    add('--whole', action='store_true', help='the photographs are square face crops: use all of them')
    group = parser.add_argument_group('output')
    group.add_argument('--store', choices=['lmdb', 'png'], default='lmdb', help='default: %(default)s')
    group.add_argument('--preview', action='store_true', help='draw contact sheets with landmarks')
    add_shared(group, '--workers')
    args = parser.parse_args(argv)
    check_ranges(
        parser, args, size=(16, ), gt_size=(16, ), scale=(1, ), workers=(1, ), margin=(0, 10), max_failures=(0, 1))
    if args.gt_size % args.scale:
        parser.error(f'--gt-size is {args.gt_size}; expected a multiple of --scale, {args.scale}')
    if args.max_error <= 0:
        parser.error(f'--max-error is {args.max_error}; expected a positive number')
    if args.model and not args.detector:
        parser.error('--model needs --detector')
    options = Dict(vars(args))
    options.freeze()  # otherwise addict invents missing options
    return options


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status: 0, 1 after an error, 130 if interrupted."""
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
        return failed(error)
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
    lines += [f'  {note}: {num} (faces.csv)' for note, num in (counts.notes or {}).items()]
    if counts.reasons:
        lines.append(f'  left out: {sum(counts.reasons.values())} (skipped.csv)')
        lines += [f'    {num:7} {reason}' for reason, num in counts.reasons.items()]
    if counts.others:
        lines.append(f'  {describe_others(counts.others)}')
    return lines
