"""Measures super-resolved faces against their originals, as the papers did: every number with its protocol.

    python scripts/evaluate.py --sr results/test_DIC_CelebA/visualization/celeba --gt datasets/celeba/test.lmdb \\
        --evaluator experiments/pretrained_models/HG_68_CelebA.pth --annotations datasets/celeba/test.npz -o evaluation

PSNR and SSIM under five protocols side by side. With --evaluator the error of the landmarks that it finds on the
results (NRMSE), failures, and the area under the cumulative error curve; without --annotations against what it finds
on the originals. Any model's folder will do: a result belongs to the original whose name is its own, or the longest
beginning of it before an underscore. Files without a partner are named. Exits with 1 where nothing could be measured.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dic_plugin.evaluation.cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main(description=__doc__))
