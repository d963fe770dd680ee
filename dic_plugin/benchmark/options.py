"""BasicSR option files made from a plan: merged sections, scaled schedules, and the options that the benchmark sets."""
from copy import deepcopy
from itertools import accumulate, pairwise
from typing import Any, Dict, Mapping, Optional

import yaml

from dic_plugin.utils.option_check import OptionError, check_options
from dic_plugin.utils.option_values import builtin

# Options that count iterations, in train and in train:scheduler; `periods` are scaled separately.
ITERATIONS = ('total_iter', 'warmup_iter', 'release_hourglass_iter', 'net_d_init_iters', 'milestones', 'restarts')
DECIDED_HERE = ('name', 'num_gpu', 'rank', 'dist')
REPORT_KEYS = ('title', 'digits')  # keys of a plan's metric that BasicSR does not know
PLUGIN = 'plugin: !!python/name:dic_plugin.__version__  # makes BasicSR import the plugin; keep this line\n'


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a copy of ``base`` updated with ``changes``, section by section.

    A section with another ``type`` replaces the whole section, because its other keys belong to the old type.

    >>> merge({'a': {'type': 'x', 'b': 1}, 'c': {'d': 1}}, {'a': {'type': 'y'}, 'c': {'e': 2}})
    {'a': {'type': 'y'}, 'c': {'d': 1, 'e': 2}}
    """
    merged = deepcopy(dict(base))
    for key, value in changes.items():
        old = merged.get(key)
        if (isinstance(old, Mapping) and isinstance(value, Mapping)
                and value.get('type', old.get('type')) == old.get('type')):
            merged[key] = merge(old, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def with_iterations(options: Mapping[str, Any], total: int) -> Dict[str, Any]:
    """Return the options of the same training with ``total`` iterations.

    Schedules are scaled in proportion, and so is the number of iterations that the EMA averages, 1 / (1 - ema_decay): a
    longer one would still hold the beginning at the end of a short training. The log interval of very short trainings
    becomes shorter, because times are read from the log.
    """
    scaled_options = deepcopy(dict(options))
    train, logger = scaled_options['train'], scaled_options.get('logger') or {}
    scheduler = train.get('scheduler') or {}
    ratio = total / train['total_iter']

    def scaled(value: Any) -> Any:
        if isinstance(value, list):
            return [scaled(each) for each in value]
        return max(1, round(value * ratio)) if value and value > 0 else value

    for section in (train, scheduler):
        section.update({key: scaled(section[key]) for key in ITERATIONS if key in section})
    if train.get('ema_decay'):
        train['ema_decay'] = max(0., 1 - (1 - train['ema_decay']) / ratio)
    if scheduler.get('periods'):
        # Their ends are rounded, not their lengths: BasicSR has no learning rate after the sum of the periods.
        ends = [0, *(round(end * ratio) for end in accumulate(scheduler['periods']))]
        scheduler['periods'] = [max(1, end - start) for start, end in pairwise(ends)]
    longest = max(1, total // 4)
    if logger.get('print_freq', 0) > longest:
        logger['print_freq'] = max(n for n in range(1, longest + 1) if logger['print_freq'] % n == 0)
    return scaled_options


def check_run_options(options: Mapping[str, Any], where: str, metrics: Mapping[str, Mapping[str, Any]],
                      is_trained: bool) -> None:
    """Check the options of one run as BasicSR will get them.

    Args:
        options: The options, with the defaults.
        where: Their place in the plan, for messages.
        metrics: The metrics of the plan, which are checked with them.
        is_trained: False for a model that is only tested.

    Raises:
        OptionError: Names the place and the option.
    """
    complete = training_options(options, 'x', num_gpu=0)
    if metrics:
        own = {name: {k: v for k, v in opt.items() if k not in REPORT_KEYS} for name, opt in metrics.items()}
        val = complete.get('val') or dict(val_freq=1, save_img=False)
        complete['val'] = dict(val, metrics={**(val.get('metrics') or {}), **own})
    if not is_trained:
        complete['val'] = dict(complete.get('val') or {}, save_img=True)
    try:
        checked = check_options(complete, is_train=is_trained)
    except OptionError as error:
        raise OptionError(f'{where}: {error}') from error
    if not is_trained:
        return
    print_freq = checked['logger']['print_freq']
    for section, key in (('logger', 'save_checkpoint_freq'), ('val', 'val_freq')):
        value = (checked.get(section) or {}).get(key, print_freq)
        if value % print_freq:
            raise OptionError(f'{where}:{section}:{key} is {value}; expected a multiple of logger:print_freq '
                              f'({print_freq}), because times and learning curves are read from the log.')


def training_options(options: Mapping[str, Any],
                     name: str,
                     num_gpu: int,
                     pretrained: Optional[str] = None,
                     param_key: str = 'params') -> Dict[str, Any]:
    """Return the options for BasicSR's ``train.py``; ``pretrained`` is the checkpoint that the training starts from."""
    rest = {key: deepcopy(value) for key, value in options.items() if key not in ('plugin', 'path', *DECIDED_HERE)}
    path = {'strict_load_g': True, 'resume_state': None, **(options.get('path') or {})}
    if pretrained is not None:
        path.update(pretrain_network_g=pretrained, param_key_g=param_key)
    return {'name': name, **rest, 'num_gpu': num_gpu, 'path': path}


def testing_options(options: Mapping[str, Any], name: str, num_gpu: int, test_set: Mapping[str, Any],
                    weights: Optional[str], param_key: str) -> Dict[str, Any]:
    """Return the options for BasicSR's ``test.py``: model and network of the training, on the benchmark's images."""
    kept = ('model_type', 'scale', 'manual_seed', 'network_g')
    return {
        'name': name,
        **{key: deepcopy(options[key]) for key in kept if key in options},
        'num_gpu': num_gpu,
        'datasets': {'test': dict(test_set)},
        'path': {'pretrain_network_g': weights, 'param_key_g': param_key, 'strict_load_g': True},
        'val': {'save_img': True, 'suffix': None},
    }  # yapf: disable


def option_text(options: Mapping[str, Any], comment: str) -> str:
    """Return an option file that any BasicSR checkout can read, with ``comment`` as its first line."""
    return f'# {comment}\n\n{PLUGIN}\n' + yaml.safe_dump(
        builtin(options), sort_keys=False, default_flow_style=None, width=120)
