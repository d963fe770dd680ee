"""Resuming a training run: on any machine, and without running code from the file."""
import pickle
import sys
from os import path as osp
from typing import Any, Dict, List, Optional

import torch
from basicsr.utils import check_resume, scandir

from dic_plugin.utils.option_check import OptionError


def load_resume_state(opt: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Find and load the training state to resume from; stands in for ``basicsr.train.load_resume_state``.

    BasicSR's own asks for the current CUDA device, which fails on a machine without one, looks for the experiment in
    the current directory where it was written below the root, and on torch before 2.6 lets the file run code. States
    are loaded to the CPU: optimizers move them to where their parameters are.

    With ``--auto_resume`` a file that was cut short is passed over for the one before it.

    Args:
        opt: The parsed options; ``path:resume_state`` and ``path:pretrain_network_*`` are set as BasicSR sets them.

    Returns:
        The training state, or None when there is nothing to resume from.

    Raises:
        OptionError: The file of ``path:resume_state`` cannot be read.
    """
    state = None
    if opt['auto_resume']:
        for path in _newest_first(opt['path']['training_states']):
            try:
                state = _load_state(path)
            except ValueError as error:
                print(f'{error} Trying an earlier one.', file=sys.stderr, flush=True)
            else:
                opt['path']['resume_state'] = path
                break
    elif opt['path'].get('resume_state'):
        try:
            state = _load_state(opt['path']['resume_state'])
        except ValueError as error:
            raise OptionError(f'path:resume_state: {error}') from error
    if state is not None:
        check_resume(opt, state['iter'])
    return state


def _newest_first(folder: str) -> List[str]:
    if not osp.isdir(folder):
        return []
    names = [name for name in scandir(folder, suffix='.state') if name[:-len('.state')].isdigit()]
    return [osp.join(folder, name) for name in sorted(names, key=lambda name: int(name[:-len('.state')]), reverse=True)]


def _load_state(path: str) -> Dict[str, Any]:
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f'{path}: cannot be loaded as a training state ({str(error).splitlines()[0]}).') from error
    if not isinstance(state, dict) or not {'epoch', 'iter', 'optimizers', 'schedulers'} <= set(state):
        raise ValueError(f'{path}: not a training state, which holds epoch, iter, optimizers and schedulers.')
    return state
