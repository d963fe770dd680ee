"""The iterations that BasicSR's own training loop, in an unmodified checkout, makes of its options.

It counts epochs, rounds the iterations of an epoch up although its loader drops the rest, and resumes at the start of
the saved epoch. A run can therefore end before ``total_iter``; with our launchers it does not.
"""
import math
import sys
from typing import Any, Mapping, Optional

from basicsr.data import build_dataset
from basicsr.utils import get_root_logger

from dic_plugin.utils.option_values import OptionError


def stock_iterations(num_images: int, opt: Mapping[str, Any], state: Optional[Mapping[str, Any]] = None) -> int:
    """Return the iteration at which BasicSR's own loop ends.

    Args:
        num_images: Of the training set.
        opt: The options of the run.
        state: The training state that it resumes from, if any.

    Raises:
        OptionError: There would be no iteration.
    """
    dataset_opt = opt['datasets']['train']
    ratio, world_size = dataset_opt.get('dataset_enlarge_ratio') or 1, opt['world_size']
    batch_size = dataset_opt['batch_size_per_gpu']
    counted = math.ceil(num_images * ratio / (batch_size * world_size))
    if not opt['dist']:
        batch_size *= max(1, opt['num_gpu'])
    given = math.ceil(num_images * ratio / world_size) // batch_size
    if given == 0:
        raise OptionError(too_few(num_images, ratio, batch_size * world_size))
    epochs = math.ceil(opt['train']['total_iter'] / counted) + 1
    first_epoch, first_iter = (state['epoch'], state['iter']) if state else (0, 0)
    return min(opt['train']['total_iter'], first_iter + max(0, epochs - first_epoch) * given)


def too_few(num_images: int, ratio: float, batch: int) -> str:
    """Return the error message for fewer images than ``batch``, the batch of all processes together."""
    return (
        f'datasets:train: {num_images} images' + (f' (times dataset_enlarge_ratio {ratio:g})' if ratio != 1 else '') +
        f' are fewer than one batch of {batch}, so that there would be no iteration; expected more images, a smaller '
        'batch_size_per_gpu or a larger dataset_enlarge_ratio.')


def warn_of_early_end(opt: Mapping[str, Any], state: Optional[Mapping[str, Any]] = None) -> None:
    """Log a warning if BasicSR's own loop is running and will end before ``total_iter``; see stock_iterations."""
    # An unmodified checkout's script is the main module and holds BasicSR's pipeline; our launchers do not.
    if not hasattr(sys.modules['__main__'], 'train_pipeline'):
        return
    total_iter = opt['train']['total_iter']
    end = stock_iterations(len(build_dataset(opt['datasets']['train'])), opt, state)
    if end < total_iter:
        get_root_logger().warning(
            f"BasicSR's own loop, which runs here, will end this training after iteration {end} of {total_iter}: it "
            'counts whole epochs. Start it by dic-train, or by basicsr/train.py of the plugin, to reach all of them.')
