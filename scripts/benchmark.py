"""Compares super-resolution models of BasicSR on the same faces: trains, tests and measures all of them in one way.

    python scripts/benchmark.py -opt options/benchmark/synthetic_x8.yml [--jobs 2 | --gpus 0,1]

Results are put into results/benchmark/<name>/: index.html, table.md, table.csv, table.json and plots. What is done is
not done again, and what was interrupted goes on; a model that fails says why in its row. See docs/benchmark.md.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dic_plugin.benchmark.cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main(description=__doc__))
