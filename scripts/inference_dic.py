"""Restores small faces with DIC, eight times enlarged: from photographs or from face crops.

    python scripts/inference_dic.py -i photo.png -w DIC_CelebA.pth --paste-back
    python scripts/inference_dic.py -i 'photos/**/*.png' -w DIC_CelebA.pth -o results/mine
    python scripts/inference_dic.py -i faces_16x16 --aligned --visualise \\
        -w experiments/train_DIC/models/net_g_latest.pth

Faces are found (`pip install -e '.[faces]'`), cut out as in the training set, brought to 16x16 and restored, the
largest first. Writes into the output folder: faces/ (the restored faces), landmarks/ (JSON), photos/ (--paste-back) and
strips/ (--visualise). Exits with 1 where nothing was written. docs/inference.md says what can be expected.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import dic_plugin  # noqa: E402, F401
from dic_plugin.inference.cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main(description=__doc__))
