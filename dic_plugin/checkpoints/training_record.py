"""The training record of a checkpoint, beside its tensors: the network's options and what it was trained on.

Plain values under a key of its own, which BasicSR's loading passes over and ``weights_only=True`` accepts.
"""
from typing import Any, Dict, Mapping

from dic_plugin.utils.option_values import builtin
from dic_plugin.version import __version__

RECORD = 'dic_plugin'  # the key
GT_SIZE = 128  # side of the faces that a network puts out, in every recipe unless it says otherwise


def training_record(opt: Mapping[str, Any], network: str) -> Dict[str, Any]:
    """Return the record of a training.

    Args:
        opt: the options of the training.
        network: which of its networks, such as 'network_g'.

    Returns:
        ``version`` of the plugin; ``network``, its options; ``trained_on``, name and type of the training set;
        ``input_size``, side of the low-quality images.
    """
    dataset = (opt.get('datasets') or {}).get('train') or {}
    return dict(
        version=__version__,
        network=builtin(opt.get(network) or {}),
        trained_on=[str(dataset.get(key, '')) for key in ('name', 'type')],
        input_size=int(dataset.get('gt_size') or GT_SIZE) // int(opt.get('scale', 1)))
