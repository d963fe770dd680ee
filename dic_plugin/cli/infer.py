"""Restores small faces with DIC, eight times enlarged: from photographs or from face crops.

    dic-infer -i photo.png -w DIC_CelebA.pth --paste-back
    dic-infer -i 'photos/**/*.png' -w DIC_CelebA.pth -o results/mine
    dic-infer -i faces_16x16 --aligned --visualise \\
        -w experiments/train_DIC/models/net_g_latest.pth

Faces are found (`pip install -e '.[faces]'`), cut out as in the training set, brought to 16x16 and restored, the
largest first. Writes into the output folder: faces/ (the restored faces), landmarks/ (JSON), photos/ (--paste-back) and
strips/ (--visualise). Exits with 1 where nothing was written. docs/inference.md says what can be expected.
"""
import argparse
import os
import sys
from typing import List, Optional

import torch
from tqdm import tqdm

from dic_plugin.faces.cautions import weights_cautions
from dic_plugin.faces.crop import MARGIN
from dic_plugin.faces.detectors import DETECTORS, make_detector
from dic_plugin.faces.found_face import Detector
from dic_plugin.inference.files import EXTENSIONS, list_files
from dic_plugin.inference.restorer import FaceRestorer
from dic_plugin.inference.run import Report, Settings, restore_files
from dic_plugin.utils.interrupts import interrupted_once

NAMED = 5  # examples in a line of the summary


def parse(argv: Optional[List[str]] = None) -> argparse.Namespace:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '-i',
        '--input',
        type=os.path.expanduser,
        nargs='+',
        required=True,
        metavar='PATH',
        help='files, folders or globs')
    parser.add_argument(
        '-o',
        '--output',
        type=os.path.expanduser,
        default='results/inference',
        help='folder of results (default: %(default)s)')
    parser.add_argument(
        '-w',
        '--weights',
        type=os.path.expanduser,
        required=True,
        metavar='FILE',
        help='a checkpoint of a training, or a published one')
    group = parser.add_argument_group('faces')
    group.add_argument('--aligned', action='store_true', help='inputs are face crops already: take them as they are')
    group.add_argument('--detector', choices=sorted(DETECTORS), default='dlib', help='default: %(default)s')
    group.add_argument(
        '--model',
        type=os.path.expanduser,
        metavar='FILE',
        help="the detector's landmark model, where it is not found by itself")
    group.add_argument(
        '--min-face',
        type=int,
        metavar='PX',
        help='search large photographs, part by part, for faces of so many pixels '
        '(default: 1/25 of the longer side)')
    group.add_argument(
        '--margin',
        type=float,
        default=MARGIN,
        metavar='M',
        help='room around the landmarks, as in the training set (default: %(default)s)')
    group = parser.add_argument_group('results')
    group.add_argument('--paste-back', action='store_true', help='also the photograph, enlarged, with the faces in it')
    group.add_argument(
        '--visualise',
        '--visualize',
        action='store_true',
        help='also a strip per face: input, bicubic, every step with landmarks, attention')
    group.add_argument('--suffix', default='', help='put behind the names of results, after an underscore')
    group.add_argument(
        '--ext',
        choices=EXTENSIONS,
        default='png',
        help='of results; auto: as the input '
        '(default: %(default)s, which loses nothing)')
    group = parser.add_argument_group('network')
    group.add_argument('--steps', type=int, metavar='T', help="stop after so many (default: all of the weights')")
    group.add_argument('--batch', type=int, default=8, metavar='N', help='faces at a time (default: %(default)s)')
    group.add_argument('--device', help='cuda, cuda:1, cpu (default: a GPU if there is one)')
    precision = group.add_mutually_exclusive_group()
    precision.add_argument('--fp32', dest='dtype', action='store_const', const='fp32', help='the default')
    precision.add_argument(
        '--bf16',
        dest='dtype',
        action='store_const',
        const='bf16',
        help='half the memory; for GPUs and CPUs with AMX (others compute in float32)')
    group.add_argument(
        '--trained-on', metavar='NAME', help='warn unless the weights record this training set, such as celeba')
    parser.set_defaults(dtype='fp32')
    args = parser.parse_args(argv)
    if args.aligned and args.paste_back:
        parser.error('--paste-back needs photographs; with --aligned there is nothing around the faces')
    if args.min_face is not None and args.min_face < 10:
        parser.error(f'--min-face is {args.min_face}; expected at least 10')
    if not 0 <= args.margin <= 10:
        parser.error(f'--margin is {args.margin}; expected 0 to 10')
    if os.sep in args.suffix:
        parser.error(f'--suffix is {args.suffix!r}; expected a part of a file name')
    return args


def main(argv: Optional[List[str]] = None) -> int:
    """Run it; returns the exit status: 0; 1 after an error, or if nothing was written; 130 when interrupted."""
    args = parse(argv)
    settings = Settings(args.output, args.suffix, args.ext, args.aligned, args.paste_back, args.visualise, args.margin,
                        args.min_face)
    report = Report()
    status = 0
    try:
        with interrupted_once():
            _run(args, settings, report)
    except KeyboardInterrupt:
        print('Interrupted.', file=sys.stderr)
        status = 130
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        hint = ' A smaller --batch needs less.' if isinstance(error, torch.cuda.OutOfMemoryError) else ''
        print(f'error: {error}{hint}', file=sys.stderr)
        status = 1
    for line in summary(report):
        print(line, file=sys.stderr)
    print(f'wrote {report.written} file{"s" * (report.written != 1)} to {args.output}')
    return status or int(report.written == 0)


def _run(args: argparse.Namespace, settings: Settings, report: Report) -> None:
    restorer = FaceRestorer(args.weights, args.device, args.dtype, args.steps, args.batch)
    detector = None if args.aligned else _detector(args.detector, args.model)
    files, report.failed = list_files(args.input)
    for name, reason in report.failed:
        print(f'{name}: {reason}', file=sys.stderr)
    print(_describe(restorer, args.dtype))
    for note in restorer.notes:
        print(f'note: {note} (--steps)', file=sys.stderr)
    for caution in weights_cautions(restorer.trained_on, args.trained_on, not args.aligned):
        print(f'warning: {caution}', file=sys.stderr)
    restore_files(files, restorer, settings, report, detector, lambda line: tqdm.write(line, file=sys.stderr))


def _detector(name: str, model: Optional[str]) -> Detector:
    try:
        return make_detector(name, model)
    except (ImportError, FileNotFoundError) as error:
        raise type(error)(f'{error} For files that are face crops already, --aligned needs no detector.') from error


def _describe(restorer: FaceRestorer, dtype: str) -> str:
    numbers = sum(param.numel() for param in restorer.network.parameters())
    trained_on = 'training set not recorded'
    if restorer.trained_on:
        trained_on = f'trained on {restorer.trained_on[0]} ({restorer.trained_on[1]})'
    size = restorer.input_size
    return (f'{restorer.path}: DIC, {numbers / 1e6:.2f} M parameters, {restorer.num_steps} steps, {size}x{size} to '
            f'{size * restorer.upscale}x{size * restorer.upscale}, {trained_on}; {restorer.device}, {dtype}')


def summary(report: Report) -> List[str]:
    """What people should know at the end, a line each; nothing where all went well."""
    lines = []
    for kind, faces in report.cautions.items():
        lines.append(f'warning: {kind}: {len(faces)} of {report.num_faces} faces, ' +
                     _some([f'{name} ({detail})' for name, detail in faces]))
    if report.without_face:
        lines.append(
            f'no face in {len(report.without_face)} (smaller ones are searched for with --min-face; face crops '
            f'are restored with --aligned): {_some(report.without_face)}')
    if report.failed:
        lines.append(f'could not use {len(report.failed)}: ' + _some([name for name, _ in report.failed]))
    return lines


def _some(names: List[str]) -> str:
    return ', '.join(names[:NAMED]) + (', ...' if len(names) > NAMED else '')
