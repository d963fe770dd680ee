"""Options against each other and against this machine, before anything is built."""
import os
import tempfile
from importlib.util import find_spec
from os import path as osp
from typing import Any, Dict, List, Mapping

import torch

from dic_plugin.utils.option_values import OptionError
from dic_plugin.utils.schedule import stretch_schedule

__all__ = ['check_machine', 'made_consistent']


def made_consistent(opt: Dict[str, Any], is_train: bool) -> List[str]:
    """Bring options into line that contradict each other but can only mean one thing, in place; what was changed."""
    changes = []
    for phase, dataset in opt['datasets'].items():
        has_workers = phase == 'train' and dataset['num_worker_per_gpu'] > 0
        if dataset.get('persistent_workers') and not has_workers:
            dataset['persistent_workers'] = False
            if phase == 'train':
                changes.append('datasets:train:persistent_workers has no effect: num_worker_per_gpu is 0.')
    if is_train:
        stretched = stretch_schedule(opt['train'])
        changes += [stretched] if stretched else []
    return changes


def check_machine(opt: Mapping[str, Any], is_train: bool) -> None:
    """Refuse what this machine cannot do.

    Raises:
        OptionError: names the option.
    """
    if opt['num_gpu'] > torch.cuda.device_count():
        raise OptionError(
            f'num_gpu is {opt["num_gpu"]}, but torch finds {torch.cuda.device_count()} GPUs here; expected '
            'auto, or 0 for the CPU.')
    num_cores = os.cpu_count() or 1
    most = max(64, 4 * num_cores)  # more would start for minutes, and fill the memory
    for phase, dataset in opt['datasets'].items():
        if phase == 'train' and dataset['num_worker_per_gpu'] > most:
            raise OptionError(f'datasets:train:num_worker_per_gpu is {dataset["num_worker_per_gpu"]}; expected at most '
                              f'{most} processes on this machine, which has {num_cores} cores.')
        if dataset.get('prefetch_mode') == 'cuda' and phase == 'train':
            if opt['num_gpu'] == 0:
                raise OptionError('datasets:train:prefetch_mode is cuda, but the run is on the CPU; expected ~ or cpu.')
            if not dataset.get('pin_memory'):
                raise OptionError('datasets:train:prefetch_mode is cuda; expected pin_memory: true with it.')
    folder = osp.join(opt['root_path'], 'experiments' if is_train else 'results', opt['name'])
    if is_train:
        _check_loggers(opt['logger'], opt['name'])
    while not osp.lexists(folder):
        folder = osp.dirname(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OptionError(f'name: what the run writes goes to {folder}, where nothing can be written '
                          f'({error.strerror}).') from error


def _check_loggers(logger_opt: Mapping[str, Any], name: str) -> None:
    wandb = logger_opt.get('wandb') or {}
    if wandb.get('project') is not None and 'debug' not in name:
        if find_spec('wandb') is None:
            raise OptionError(f'logger:wandb:project is {wandb["project"]!r}, but wandb is not installed; expected '
                              '`pip install wandb`, or ~.')
        if not logger_opt.get('use_tb_logger'):
            raise OptionError('logger:wandb:project is set; expected logger:use_tb_logger: true with it.')
