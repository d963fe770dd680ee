"""Measures super-resolved faces against their originals, as the papers did: every number with its protocol.

    dic-evaluate --sr results/test_DIC_CelebA/visualization/celeba --gt datasets/celeba/test.lmdb \\
        --evaluator experiments/pretrained_models/HG_68_CelebA.pth --annotations datasets/celeba/test.npz -o evaluation

PSNR and SSIM under five protocols side by side. With --evaluator the error of the landmarks that it finds on the
results (NRMSE), failures, and the area under the cumulative error curve; without --annotations against what it finds
on the originals. Any model's folder will do: a result belongs to the original whose name is its own, or the longest
beginning of it before an underscore. Files without a partner are named. Exits with 1 where nothing could be measured.
"""
import argparse
import os
import sys
from typing import List, Optional

import torch

from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator
from dic_plugin.evaluation.output import plot_curves, report, unpaired, write_csv, write_evaluation
from dic_plugin.evaluation.perceptual import MetricUnavailable
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.evaluation.run import METRICS, evaluate


def main(argv: Optional[List[str]] = None) -> int:
    """Run it; returns the exit status: 1 if nothing could be measured, with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--sr', type=os.path.expanduser, required=True, metavar='DIR', help='folder of results, of any model')
    parser.add_argument(
        '--gt', type=os.path.expanduser, required=True, metavar='DIR_OR_LMDB', help='originals of the same size')
    parser.add_argument('--protocol', nargs='+', choices=PROTOCOLS, default=list(PROTOCOLS), help='default: all')
    parser.add_argument(
        '--evaluator',
        type=os.path.expanduser,
        metavar='FILE',
        help='weights of the network that finds landmarks on results')
    parser.add_argument(
        '--annotations', type=os.path.expanduser, metavar='FILE', help='true landmarks of the originals (.npz)')
    parser.add_argument('--metrics', nargs='+', choices=METRICS, default=[], help='measured as well')
    parser.add_argument('--trained-on', metavar='TEXT', help="the model's training set, to stand beside its figures")
    parser.add_argument(
        '-o',
        '--out',
        type=os.path.expanduser,
        metavar='OUT',
        help='folder for images.csv, evaluation.json and the plot')
    args = parser.parse_args(argv)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        evaluator = LandmarkEvaluator(args.evaluator, device) if args.evaluator else None
        evaluation = evaluate(args.sr, args.gt, args.protocol, evaluator, args.annotations, args.metrics, device)
        print(report(evaluation, args.trained_on))
        for line in unpaired(evaluation):
            print(f'warning: {line}', file=sys.stderr)
        if args.out:
            os.makedirs(args.out, exist_ok=True)
            write_csv(evaluation, os.path.join(args.out, 'images.csv'))
            write_evaluation(evaluation, os.path.join(args.out, 'evaluation.json'), args.trained_on)
            if evaluator:
                plot_curves(evaluation, os.path.join(args.out, 'cumulative_error.png'))
    except (OSError, KeyError, ValueError, MetricUnavailable, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error  # a KeyError puts its message into quotes
        print(f'error: {message}', file=sys.stderr)
        return 1
    return 0
