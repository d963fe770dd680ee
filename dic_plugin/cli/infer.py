"""Restore small faces with DIC, eight times enlarged: from photographs or from face crops.

    dic-infer -i photo.png --paste-back
    dic-infer -i photos --recursive -w DIC_CelebA.pth -o results/mine
    dic-infer -i faces_16x16 --aligned --visualise \\
        -w experiments/train_DIC/models/net_g_latest.pth

Faces are detected (`pip install 'dic_plugin[faces]'`), cropped as in the training set, resized to 16x16 and restored,
the largest first. Writes into the output folder: faces/ (the restored faces), landmarks/ (JSON), photos/ (--paste-back)
and strips/ (--visualise). Exits with 1 if nothing was written.
"""
import argparse
import os
import sys
from typing import List, Optional

import torch
from tqdm import tqdm

from dic_plugin.checkpoints.weights import SHIPPED
from dic_plugin.cli.arguments import WEIGHTS_HELP, add_shared, check_ranges, command_parser, failed
from dic_plugin.data.image_file import describe_others
from dic_plugin.faces.cautions import weights_cautions
from dic_plugin.faces.detectors import DETECTORS, make_detector
from dic_plugin.faces.found_face import Detector
from dic_plugin.inference.files import EXTENSIONS, list_files
from dic_plugin.inference.restore_files import Restored, Settings, restore_files
from dic_plugin.inference.restorer import FaceRestorer
from dic_plugin.utils.interrupts import interrupted_once

NAMED = 5  # examples in a line of the summary


def parse(argv: Optional[List[str]] = None) -> argparse.Namespace:
    """Read the command line; exits with 2 and a message if the arguments do not fit together."""
    parser = command_parser('dic-infer', __doc__)
    add_shared(parser, '-i/--input', nargs='+', required=True, help='files, folders or globs')
    add_shared(parser, '--recursive')
    add_shared(parser, '-o/--output', default='results/inference', help='folder of results (default: %(default)s)')
    add_shared(parser, '-w/--weights', help=WEIGHTS_HELP)
    add = parser.add_argument_group('faces').add_argument
    add('--aligned', action='store_true', help='inputs are face crops already: use them as they are')
    add('--detector', choices=sorted(DETECTORS), default='dlib', help='default: %(default)s')
    add('--model', type=os.path.expanduser, metavar='FILE', help="the detector's landmark model, if not installed")
    add('--min-face', type=int, metavar='PX', help='smallest face to find (default: 1/25 of the longer side)')
    add('--margin', type=float, metavar='M', help="around the landmarks (default: that of the weights' training set)")
    add = parser.add_argument_group('results').add_argument
    add('--paste-back', action='store_true', help='also write the photograph, enlarged, with the restored faces')
    add('--visualise', '--visualize', action='store_true', help='also write a strip per face with every step')
    add('--suffix', default='', help='added to the names of results, after an underscore')
    add('--ext', choices=EXTENSIONS, default='png', help='format; auto: that of the input (default: %(default)s)')
    group = parser.add_argument_group('network')
    group.add_argument('--steps', type=int, metavar='T', help="number of steps (default: all of the weights')")
    group.add_argument('--batch', type=int, default=8, metavar='N', help='faces per batch (default: %(default)s)')
    add_shared(group, '--device')
    add = group.add_mutually_exclusive_group().add_argument
    add('--fp32', dest='dtype', action='store_const', const='fp32', default='fp32', help='the default')
    add('--bf16', dest='dtype', action='store_const', const='bf16', help='half the memory, on GPUs or AMX')
    group.add_argument('--trained-on', metavar='NAME', help='warn unless the weights record this training set')
    args = parser.parse_args(argv)
    check_ranges(parser, args, min_face=(10, ), margin=(0, 10))
    if args.aligned and args.paste_back:
        parser.error('--paste-back needs photographs; with --aligned there is nothing around the faces')
    if os.sep in args.suffix:
        parser.error(f'--suffix is {args.suffix!r}; expected a part of a file name')
    return args


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status: 1 after an error or if nothing was written, 130 if interrupted."""
    args = parse(argv)
    report = Restored()
    status = 0
    try:
        with interrupted_once():
            _run(args, report)
    except KeyboardInterrupt:
        print('Interrupted.', file=sys.stderr)
        status = 130
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        hint = ' A smaller --batch needs less.' if isinstance(error, torch.cuda.OutOfMemoryError) else ''
        status = failed(f'{error}{hint}')
    for line in summary(report):
        print(line, file=sys.stderr)
    print(f'wrote {report.written} file{"s" * (report.written != 1)} to {args.output}')
    return status or int(report.written == 0)


def _run(args: argparse.Namespace, report: Restored) -> None:
    restorer = FaceRestorer(args.weights, args.device, args.dtype, args.steps, args.batch)
    detector = None if args.aligned else _detector(args.detector, args.model)
    files, report.failed, others = list_files(args.input, args.recursive)
    if others:
        print(describe_others(others), file=sys.stderr)
    for name, reason in report.failed:
        print(f'{name}: {reason}', file=sys.stderr)
    print(_describe(restorer, args.dtype))
    for note in restorer.notes:
        print(f'note: {note} (--steps)', file=sys.stderr)
    for caution in weights_cautions(restorer.trained_on, args.trained_on, not args.aligned):
        print(f'warning: {caution}', file=sys.stderr)
    settings = Settings(*(getattr(args, name) for name in Settings._fields))
    restore_files(files, restorer, settings, report, detector, lambda line: tqdm.write(line, file=sys.stderr))


def _detector(name: str, model: Optional[str]) -> Detector:
    try:
        return make_detector(name, model)
    except (ImportError, FileNotFoundError) as error:
        raise type(error)(f'{error} For files that are face crops already, --aligned needs no detector.') from error


def _describe(restorer: FaceRestorer, dtype: str) -> str:
    numbers = sum(param.numel() for param in restorer.network.parameters())
    known = restorer.trained_on
    trained_on = f'trained on {known[0]} ({known[1]})' if known else 'training set not recorded'
    size, side = restorer.input_size, restorer.input_size * restorer.upscale
    name = 'the shipped weights DIC_photos' if restorer.path == SHIPPED else restorer.path
    return (f'{name}: DIC, {numbers / 1e6:.2f} M parameters, {restorer.num_steps} steps, {size}x{size} to '
            f'{side}x{side}, {trained_on}; {restorer.device}, {dtype}')


def summary(report: Restored) -> List[str]:
    """Return the warnings to print at the end, one per line; none if all went well."""
    lines = []
    for kind, faces in report.cautions.items():
        some = _some([f'{name} ({detail})' for name, detail in faces])
        lines.append(f'warning: {kind}: {len(faces)} of {report.num_faces} faces, {some}')
    if report.without_face:
        lines.append(
            f'no face in {len(report.without_face)} (smaller ones are searched for with --min-face; face crops '
            f'are restored with --aligned): {_some(report.without_face)}')
    if report.failed:
        lines.append(f'could not use {len(report.failed)}: {_some([name for name, _ in report.failed])}')
    return lines


def _some(names: List[str]) -> str:
    return ', '.join(names[:NAMED]) + (', ...' if len(names) > NAMED else '')
