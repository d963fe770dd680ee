"""Compare super-resolved faces with their originals, by the measures and protocols of the papers.

    dic-evaluate --sr results/test_DIC_CelebA/visualization/celeba --gt datasets/celeba/test.lmdb \\
        --evaluator experiments/pretrained_models/HG_68_CelebA.pth --annotations datasets/celeba/test.npz -o evaluation

Prints PSNR and SSIM under five protocols. --evaluator adds the error of the landmarks that it finds on the results
(NRMSE), failures, and the area under the cumulative error curve, relative to --annotations or, without them, to the
landmarks found on the originals. The results of any model can be evaluated: a result belongs to the original of the
same name, or of the longest beginning of its name before an underscore. Files without a partner are listed. Exits with
1 if nothing could be measured.
"""
import os
import sys
from typing import List, Optional

from dic_plugin.cli.arguments import add_shared, command_parser, failed
from dic_plugin.evaluation.evaluate import METRICS, evaluate
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.evaluation.output import plot_curves, report, unpaired, write_csv, write_evaluation
from dic_plugin.evaluation.perceptual import MetricUnavailable
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.inference.restorer import pick_device


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status: 1 if nothing could be measured, with the reason on standard error."""
    parser = command_parser('dic-evaluate', __doc__)
    path = os.path.expanduser
    add_shared(parser, '-i/--input', '--sr', required=True, metavar='DIR', help='folder of results, of any model')
    parser.add_argument('--gt', type=path, required=True, metavar='DIR_OR_LMDB', help='originals of the same size')
    parser.add_argument('--protocol', nargs='+', choices=PROTOCOLS, default=list(PROTOCOLS), help='default: all')
    parser.add_argument('--evaluator', type=path, metavar='FILE', help='weights of the network that finds landmarks')
    parser.add_argument('--annotations', type=path, metavar='FILE', help='true landmarks of the originals (.npz)')
    parser.add_argument('--metrics', nargs='+', choices=METRICS, default=[], help='further measures')
    parser.add_argument('--trained-on', metavar='TEXT', help="the model's training set, printed with its figures")
    add_shared(
        parser, '-o/--output', '--out', metavar='DIR', help='folder for images.csv, evaluation.json and the plot')
    add_shared(parser, '--device')
    args = parser.parse_args(argv)
    try:
        if args.output and os.path.exists(args.output) and not os.path.isdir(args.output):  # not after the work
            raise FileExistsError(f'{args.output!r} exists and is no folder; expected one (-o).')
        device = str(pick_device(args.device))
        evaluator = LandmarkEvaluator(args.evaluator, device) if args.evaluator else None
        evaluators = {'': evaluator} if evaluator else {}
        evaluation = evaluate(args.input, args.gt, args.protocol, evaluators, args.annotations, args.metrics, device)
        print(report(evaluation, args.trained_on))
        for line in unpaired(evaluation):
            print(f'warning: {line}', file=sys.stderr)
        if args.output:
            os.makedirs(args.output, exist_ok=True)
            write_csv(evaluation, os.path.join(args.output, 'images.csv'))
            write_evaluation(evaluation, os.path.join(args.output, 'evaluation.json'), args.trained_on)
            if evaluator:
                plot_curves(evaluation, os.path.join(args.output, 'cumulative_error.png'))
    except (OSError, KeyError, ValueError, MetricUnavailable, ImportError) as error:
        return failed(error.args[0] if isinstance(error, KeyError) else error)  # a KeyError quotes its message
    return 0
