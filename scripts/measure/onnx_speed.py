"""Times ONNX Runtime, and OpenVINO if installed, beside PyTorch on the CPU: the paper's network, or a trained one.

    python scripts/measure/onnx_speed.py
    python scripts/measure/onnx_speed.py -w experiments/train_DIC/models/net_g_latest.pth --batches 1 8

One process, as many threads for each, the same faces, the same outputs (last SR image and landmarks). All take turns;
the figures are medians over the rounds, milliseconds per call, as a table in Markdown.
"""
import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import List, Optional

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import dic_plugin  # noqa: E402, F401 (before what imports basicsr)
from dic_plugin.archs import DIC  # noqa: E402
from dic_plugin.export.onnx_file import ExportError, export_onnx, need  # noqa: E402
from dic_plugin.inference import FaceRestorer  # noqa: E402
from dic_plugin.ops import lay_out_weights  # noqa: E402
from onnx_parts import compare_speed, speed_lines  # noqa: E402


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the measurements; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '-w',
        '--weights',
        type=os.path.expanduser,
        metavar='FILE',
        help="a trained network; default: the paper's, random weights")
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8, 32], help='faces per call (default: 1 8 32)')
    parser.add_argument('--rounds', type=int, default=5, help='how often everything is timed (default: 5)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help="default: torch's own choice")
    args = parser.parse_args(argv)
    if min(args.rounds, args.threads, *args.batches) < 1:
        parser.error('--batches, --rounds and --threads must be at least 1.')
    try:
        onnxruntime = need('onnxruntime')
        if args.weights:
            restorer = FaceRestorer(args.weights, 'cpu')
            network, size, described = restorer.network, restorer.input_size, args.weights
        else:
            torch.manual_seed(0)
            network, size, described = lay_out_weights(DIC().eval()), 16, "the paper's network, random weights"
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'dic.onnx')
            export_onnx(network, path, size, check=False)  # random weights give heatmaps without peaks to agree on
            print(f'{described}; {size}x{size}, {args.threads} threads, median of {args.rounds}; torch '
                  f'{torch.__version__}, onnxruntime {onnxruntime.__version__}, {platform.machine()}\n')
            speeds = compare_speed(network, path, size, args.batches, args.rounds, args.threads)
    except (ExportError, ValueError, ModuleNotFoundError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print('\n'.join(speed_lines(speeds)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
