"""Turns a trained DIC or DICGAN into an ONNX file for other runtimes.

    dic-export -w experiments/train_DIC/models/net_g_latest.pth -o dic.onnx

Input lq: float32 RGB in [0, 1], B,3,16,16 (--size), any B. Outputs sr: B,3,128,128, about [0, 1], not clipped;
landmarks: B,K,2, (x, y) in pixels of sr. ONNX Runtime's results are compared with PyTorch's before the file gets its
name. Needs `pip install 'dic_plugin[onnx]'`. Exits with 1 if nothing was written. docs/export.md shows how to use it.
"""
import argparse
import os
import sys
from typing import List, Optional

from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.export.onnx_file import ExportError, export_onnx
from dic_plugin.inference import FaceRestorer


def main(argv: Optional[List[str]] = None) -> int:
    """Run it; returns the exit status: 1 if nothing was written, with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '-w',
        '--weights',
        type=os.path.expanduser,
        required=True,
        metavar='FILE',
        help='checkpoint of BasicSR, or a published one')
    parser.add_argument(
        '-o',
        '--output',
        type=os.path.expanduser,
        metavar='FILE',
        help='what to write; default: beside the weights, .onnx')
    parser.add_argument('--size', type=int, metavar='PIXELS', help='height and width of the input; default: as trained')
    parser.add_argument('--steps', type=int, metavar='N', help='stop after so many steps; default: all')
    parser.add_argument('--no-check', action='store_true', help='do not compare with PyTorch; needs no onnxruntime')
    args = parser.parse_args(argv)
    weights = args.weights
    path = args.output or os.path.splitext(weights)[0] + '.onnx'
    try:
        if os.path.realpath(path) == os.path.realpath(weights):
            raise ExportError(f'{path}: expected another file than the weights, which are never overwritten.')
        restorer = FaceRestorer(weights, 'cpu', steps=args.steps)
        size = args.size or restorer.input_size
        about = {'weights': os.path.basename(weights)}
        if restorer.trained_on:
            about['trained_on'] = ', '.join(restorer.trained_on)
        for note in restorer.notes:
            print(f'note: {note}', file=sys.stderr)
        difference = export_onnx(restorer.network, path, size, not args.no_check, about)
    except (CheckpointError, ExportError, ValueError, ModuleNotFoundError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    side = size * restorer.upscale
    print(f'lq: B,3,{size},{size}, RGB, 0 to 1 -> sr: B,3,{side},{side}; landmarks: B,{restorer.num_keypoints},2; '
          f'{restorer.num_steps} steps')
    if difference is None:
        print('not compared with PyTorch (--no-check)')
    else:
        print(f'largest difference between ONNX Runtime and PyTorch: {difference}')
    print(f'wrote {path} ({os.path.getsize(path) / 1e6:.1f} MB)')
    return 0
