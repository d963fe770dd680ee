"""Finding the training state to resume from: complete, readable without running code, never silently ignored."""
import sys
import zipfile
from os import path as osp
from typing import Any, Dict, List, Mapping, Optional

from basicsr.utils import check_resume, scandir

from dic_plugin.checkpoints.files import CheckpointError, load_tensors
from dic_plugin.utils.option_values import OptionError
from dic_plugin.utils.schedule import stretch_states

__all__ = ['is_of_another_experiment', 'load_resume_state']


def load_resume_state(opt: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Find and load the training state to resume from; stands in for ``basicsr.train.load_resume_state``.

    BasicSR's own asks for the current CUDA device, which fails on a machine without one, looks for the experiment in
    the current directory where it was written below the root, and takes the network's file for granted. States are
    loaded to the CPU: optimizers move them to where their parameters are.

    With ``--auto_resume`` the newest state is taken that can be read and whose networks are there.
    ``path:resume_state`` may be of an experiment with another name: its networks lie beside it.

    Args:
        opt: The parsed options; ``path:resume_state`` and ``path:pretrain_network_*`` are set as BasicSR sets them.

    Returns:
        The training state, or None when there is nothing to resume from.

    Raises:
        OptionError: ``path:resume_state`` cannot be resumed, or there are states and none of them can be.
    """
    path_opt = opt['path']
    if opt['auto_resume']:
        state = _newest(opt)
    elif path_opt.get('resume_state'):
        try:
            state = _load(path_opt['resume_state'], opt)
        except CheckpointError as error:
            raise OptionError(f'path:resume_state: {error}') from error
    else:
        return None
    if state is not None:
        models = path_opt['models']
        path_opt['models'] = _models_beside(path_opt['resume_state'], opt)  # where check_resume looks for the networks
        check_resume(opt, state['iter'])
        path_opt['models'] = models
        if opt['is_train']:
            stretch_states(state['schedulers'], opt['train']['total_iter'])
    return state


def is_of_another_experiment(opt: Mapping[str, Any]) -> bool:
    """Return whether ``path:resume_state`` is a state of an experiment with another name than this run's."""
    folder = osp.dirname(osp.abspath(opt['path']['resume_state']))
    return osp.realpath(folder) != osp.realpath(opt['path']['training_states'])


def _models_beside(state_path: str, opt: Mapping[str, Any]) -> str:
    """Return the folder with the networks of a training state."""
    if not is_of_another_experiment({**opt, 'path': {**opt['path'], 'resume_state': state_path}}):
        return opt['path']['models']
    return osp.join(osp.dirname(osp.dirname(osp.abspath(state_path))), 'models')


def _newest(opt: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    paths = _newest_first(opt['path']['training_states'])
    for path in paths:
        try:
            state = _load(path, opt)
        except CheckpointError as error:
            print(f'{error} Trying an earlier state.', file=sys.stderr, flush=True)
        else:
            opt['path']['resume_state'] = path
            return state
    if paths:
        raise OptionError(
            f'--auto_resume: none of the {len(paths)} training states in {opt["path"]["training_states"]} '
            'can be resumed. Move the experiment away to begin it again, or name a state as '
            'path:resume_state.')
    return None


def _newest_first(folder: str) -> List[str]:
    if not osp.isdir(folder):
        return []
    names = [name for name in scandir(folder, suffix='.state') if name[:-len('.state')].isdigit()]
    return [osp.join(folder, name) for name in sorted(names, key=lambda name: int(name[:-len('.state')]), reverse=True)]


def _load(path: str, opt: Mapping[str, Any]) -> Dict[str, Any]:
    """Load the training state in a file if its networks exist.

    Raises:
        CheckpointError: the file or a network's cannot be used.
    """
    state = load_tensors(path)
    if not isinstance(state, dict) or not {'epoch', 'iter', 'optimizers', 'schedulers'} <= set(state):
        raise CheckpointError(f'{path}: not a training state, which holds epoch, iter, optimizers and schedulers.')
    ignored = opt['path'].get('ignore_resume_networks') or ()
    for network in opt:
        if not network.startswith('network_') or network in ignored:
            continue
        label = network[len('network_'):]
        model = osp.join(_models_beside(path, opt), f'net_{label}_{state["iter"]}.pth')
        if not osp.isfile(model):
            raise CheckpointError(f'{path}: its network {model} is gone.')
        if not zipfile.is_zipfile(model):  # the directory of a zip file, as torch.save writes, is at its end
            raise CheckpointError(f'{path}: its network {model} is cut off or no file of torch.save.')
    return state
