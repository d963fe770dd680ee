"""The command dic-prepare, from this checkout: python scripts/prepare_faces.py --help"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import dic_plugin  # noqa: E402, F401 (before what imports basicsr)
from dic_plugin.cli.prepare import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
