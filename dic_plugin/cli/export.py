"""Export a trained DIC or DICGAN as an ONNX file for other runtimes.

    dic-export -o dic.onnx
    dic-export -w experiments/train_DIC/models/net_g_latest.pth

Input lq: float32 RGB in [0, 1], B,3,16,16 (--size), any B. Outputs sr: B,3,128,128, about [0, 1], not clipped;
landmarks: B,K,2, (x, y) in pixels of sr. Before the file is put in place, the results of ONNX Runtime are compared with
PyTorch's. Needs `pip install 'dic_plugin[onnx]'`. Exits with 1 if nothing was written.
"""
import os
import sys
from typing import List, Optional

from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.checkpoints.weights import SHIPPED
from dic_plugin.cli.arguments import WEIGHTS_HELP, add_shared, command_parser, failed
from dic_plugin.export.onnx_file import ExportError, export_onnx
from dic_plugin.inference import FaceRestorer


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit status: 1 if nothing was written, with the reason on standard error."""
    parser = command_parser('dic-export', __doc__)
    add_shared(parser, '-w/--weights', help=WEIGHTS_HELP)
    add_shared(parser, '-o/--output', metavar='FILE', help='file to write (default: beside the weights, .onnx)')
    parser.add_argument(
        '--size', type=int, metavar='PIXELS', help='height and width of the input (default: as trained)')
    parser.add_argument('--steps', type=int, metavar='N', help='number of steps (default: all)')
    parser.add_argument('--opset', type=int, metavar='N', help='ONNX opset; 18 for older runtimes (default: torch\'s)')
    parser.add_argument('--no-check', action='store_true', help='do not compare with PyTorch; needs no onnxruntime')
    args = parser.parse_args(argv)
    weights = args.weights or SHIPPED
    path = args.output or os.path.splitext(args.weights or os.path.basename(SHIPPED))[0] + '.onnx'
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
        difference = export_onnx(restorer.network, path, size, not args.no_check, about, args.opset)
    except (CheckpointError, ExportError, ValueError, ModuleNotFoundError, OSError) as error:
        return failed(error)
    side = size * restorer.upscale
    print(f'lq: B,3,{size},{size}, RGB, 0 to 1 -> sr: B,3,{side},{side}; landmarks: B,{restorer.num_keypoints},2; '
          f'{restorer.num_steps} steps')
    print('not compared with PyTorch (--no-check)' if difference is
          None else f'largest difference between ONNX Runtime and PyTorch: {difference}')
    print(f'wrote {path} ({os.path.getsize(path) / 1e6:.1f} MB)')
    return 0
