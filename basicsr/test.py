"""``python basicsr/test.py -opt options/test_DIC.yml``: BasicSR's testing with the plugin, in this repository."""
import importlib.util
import sys
from os import path as osp

root = osp.dirname(osp.dirname(osp.abspath(__file__)))
if importlib.util.find_spec('dic_plugin') is None:  # not installed: take it from this repository
    sys.path.append(root)

if __name__ == '__main__':
    from dic_plugin import launch
    sys.exit(launch.test(root))
