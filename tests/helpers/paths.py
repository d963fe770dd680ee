"""Paths of the checkout that is tested."""
from pathlib import Path

import dic_plugin

ROOT = Path(dic_plugin.__file__).resolve().parents[1]
OPTIONS = ROOT / 'options'
