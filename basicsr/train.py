"""``python basicsr/train.py -opt options/train_DIC.yml``: BasicSR's training with the plugin, in this repository."""
import importlib.util
import sys
from os import path as osp

root = osp.dirname(osp.dirname(osp.abspath(__file__)))
if importlib.util.find_spec('dic_plugin') is None:  # not installed: take it from this repository
    sys.path.append(root)

if __name__ == '__main__':
    from dic_plugin import launch
    sys.exit(launch.train(root))
