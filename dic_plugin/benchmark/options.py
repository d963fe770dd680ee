"""From the plan to BasicSR's option files: merging, budgets, and what the benchmark itself decides."""
from copy import deepcopy
from itertools import accumulate
from typing import Any, Dict, List, Mapping, Optional

import yaml

from dic_plugin.utils.option_check import OptionError, check_options

# Options that count iterations: a training that is made longer or shorter stretches all of them.
ITERATIONS = (('train', 'total_iter'), ('train', 'warmup_iter'), ('train', 'release_hourglass_iter'),
              ('train', 'net_d_init_iters'), ('train', 'scheduler', 'periods'), ('train', 'scheduler', 'milestones'),
              ('train', 'scheduler', 'restarts'))
PLUGIN = 'plugin: !!python/name:dic_plugin.__version__  # makes BasicSR import the plugin; keep this line\n'


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Dict[str, Any]:
    """``base`` with ``changes`` laid over it, section by section; neither is changed.

    A section that names another ``type`` takes the place of the whole: a MultiStepLR has no use for the periods of a
    cosine schedule.

    >>> merge({'a': {'type': 'x', 'b': 1}, 'c': {'d': 1}}, {'a': {'type': 'y'}, 'c': {'e': 2}})
    {'a': {'type': 'y'}, 'c': {'d': 1, 'e': 2}}
    """
    merged = deepcopy(dict(base))
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and value.get('type',
                                                                                 old.get('type')) == old.get('type'):
            merged[key] = merge(old, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def with_iterations(options: Mapping[str, Any], total: int) -> Dict[str, Any]:
    """The same training, stretched or shortened to ``total`` iterations; see ITERATIONS.

    Very short ones print their log more often, since times are read there.
    """
    options = deepcopy(dict(options))
    ratio = total / options['train']['total_iter']

    def stretched(value: Any) -> Any:
        return max(1, round(value * ratio)) if value and value > 0 else value

    def stretched_list(key: str, values: List[int]) -> List[int]:
        if key != 'periods':
            return [stretched(value) for value in values]
        # their ends, so that their sum is not rounded again and again: a training longer than it has no learning rate
        ends = [round(end * ratio) for end in accumulate(values)]
        return [max(1, end - start) for start, end in zip([0, *ends], ends)]

    for *sections, key in ITERATIONS:
        section: Any = options
        for name in sections:
            section = section.get(name) or {}
        if section.get(key) is not None:
            value = section[key]
            section[key] = stretched_list(key, value) if isinstance(value, list) else stretched(value)
    logger = options.get('logger') or {}
    if logger.get('print_freq', 0) > max(1, total // 4):
        logger['print_freq'] = max(n for n in range(1, max(1, total // 4) + 1) if logger['print_freq'] % n == 0)
    return options


def check_run_options(options: Mapping[str, Any], where: str, metrics: Mapping[str, Mapping[str, Any]],
                      is_trained: bool) -> None:
    """Check the options of one training as BasicSR will get them.

    Args:
        options: as in the plan, with the defaults.
        where: their place in the plan, for messages.
        metrics: the plan's own, which are checked along.
        is_trained: otherwise it is only tested.

    Raises:
        OptionError: names the place and the option.
    """
    for key in ('name', 'num_gpu', 'rank', 'dist'):
        if key in options and not where.startswith('evaluators'):
            raise OptionError(f'{where}:{key}: the benchmark decides this; remove it.')
    complete = dict(training_options(options, 'x', num_gpu=0), rank=0)
    if metrics:
        own = {name: {k: v for k, v in opt.items() if k not in ('title', 'digits')} for name, opt in metrics.items()}
        val = complete.get('val') or dict(val_freq=1, save_img=False)  # to check at least the metrics
        complete['val'] = dict(val, metrics={**(val.get('metrics') or {}), **own})
    if not is_trained:
        complete['val'] = dict(complete.get('val') or {}, save_img=True)
    try:
        check_options(complete, is_train=is_trained)
    except OptionError as error:
        raise OptionError(f'{where}: {error}') from error
    if not is_trained:
        return
    logger = options['logger']
    if not isinstance(logger['print_freq'], int) or logger['print_freq'] < 1:
        raise OptionError(f'{where}:logger:print_freq is {logger["print_freq"]!r}; expected a whole number from 1.')
    if options['train']['total_iter'] != int(options['train']['total_iter']):
        raise OptionError(f'{where}:train:total_iter: expected a whole number.')
    frequencies = {'logger:save_checkpoint_freq': logger['save_checkpoint_freq']}
    if options.get('val'):
        frequencies['val:val_freq'] = options['val']['val_freq']
    for name, value in frequencies.items():
        if value % logger['print_freq']:
            raise OptionError(f'{where}:{name} is {value}; expected a multiple of logger:print_freq '
                              f'({logger["print_freq"]}): times and learning curves are read off the log.')


def training_options(options: Mapping[str, Any],
                     name: str,
                     num_gpu: int,
                     pretrained: Optional[str] = None,
                     param_key: str = 'params') -> Dict[str, Any]:
    """What BasicSR's ``train.py`` gets: the plan's options, the run's name, and the weights that it starts from."""
    options = deepcopy(dict(options))
    options.pop('plugin', None)
    path = {'strict_load_g': True, 'resume_state': None, **(options.pop('path', None) or {})}
    if pretrained is not None:
        path.update(pretrain_network_g=pretrained, param_key_g=param_key)
    return {'name': name, **{k: v for k, v in options.items() if k not in ('name', 'num_gpu')},
            'num_gpu': num_gpu, 'path': path}  # yapf: disable


def testing_options(options: Mapping[str, Any], name: str, num_gpu: int, test_set: Mapping[str, Any],
                    weights: Optional[str], param_key: str) -> Dict[str, Any]:
    """What BasicSR's ``test.py`` gets: network and model of the training, its weights, and the benchmark's images."""
    test = {
        'name': name,
        **{
            key: deepcopy(options[key])
            for key in ('model_type', 'scale', 'manual_seed', 'network_g') if key in options
        },
        'num_gpu': num_gpu,
        'datasets': {
            'test': dict(test_set)
        },
        'path': {
            'pretrain_network_g': weights,
            'param_key_g': param_key,
            'strict_load_g': True
        },
        'val': {
            'save_img': True,
            'suffix': None
        },
    }
    return test


def option_text(options: Mapping[str, Any], comment: str) -> str:
    """An option file for BasicSR, also for an unmodified checkout of it."""
    return f'# {comment}\n\n{PLUGIN}\n' + yaml.safe_dump(
        _plain(options), sort_keys=False, default_flow_style=None, width=120)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
