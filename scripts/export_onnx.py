"""Turns a trained DIC or DICGAN into an ONNX file for other runtimes.

    python scripts/export_onnx.py -w experiments/train_DIC/models/net_g_latest.pth -o dic.onnx

Input lq: float32 RGB in [0, 1], B,3,16,16 (--size), any B. Outputs sr: B,3,128,128, about [0, 1], not clipped;
landmarks: B,K,2, (x, y) in pixels of sr. ONNX Runtime's results are compared with PyTorch's before the file gets its
name. Needs `pip install 'dic_plugin[onnx]'`. Exits with 1 if nothing was written. docs/export.md shows how to use it.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import dic_plugin  # noqa: E402, F401 (before what imports basicsr)
from dic_plugin.export.cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main(description=__doc__))
