"""Finds misspelt options: ``check_keys`` for our classes, ``check_options`` for a whole option file.

BasicSR itself says "No object named X found" of a wrong type, and nothing at all of a key that no code reads.
Nothing here changes the options or builds anything.
"""
import ast
import difflib
import inspect
import sys
from typing import Any, Callable, Dict, Iterable, List, Mapping, Sequence, Set, Tuple

import torch
from basicsr.models import lr_scheduler
from basicsr.utils.registry import (ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY,
                                    Registry)

__all__ = ['OptionError', 'check_keys', 'check_options']

# What BasicSR's loops and loaders read, or themselves add to the options before the model sees them.
TOP_KEYS = ('name', 'model_type', 'scale', 'num_gpu', 'manual_seed', 'datasets', 'network_g', 'path', 'train', 'val',
            'logger', 'dist_params', 'find_unused_parameters', 'plugin', 'dist', 'rank', 'world_size', 'auto_resume',
            'is_train', 'root_path')
LOGGER_KEYS = ('print_freq', 'save_checkpoint_freq', 'use_tb_logger', 'wandb')
PATH_KEYS = ('resume_state', 'ignore_resume_networks', 'experiments_root', 'results_root', 'models', 'training_states',
             'log', 'visualization')
DATASET_KEYS = ('name', 'type', 'phase', 'scale', 'batch_size_per_gpu', 'num_worker_per_gpu', 'dataset_enlarge_ratio',
                'prefetch_mode', 'num_prefetch_queue', 'pin_memory', 'persistent_workers', 'use_shuffle')
# What BasicSR's models read, by class: a model's keys are those of all its bases and its own `option_keys`.
MODEL_KEYS = {
    'BaseModel': {
        'train': ('total_iter', 'warmup_iter', 'scheduler'),
        'val': ('val_freq', 'save_img', 'metrics')
    },
    'SRModel': {
        'train': ('ema_decay', 'optim_g', 'pixel_opt', 'perceptual_opt'),
        'val': ('pbar', 'suffix')
    },
    'SRGANModel': {
        'top': ('network_d', ),
        'train': ('gan_opt', 'ldl_opt', 'optim_d', 'net_d_iters', 'net_d_init_iters')
    },
}
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}
METRIC_INPUTS = ('img', 'img2', 'landmarks', 'gt_landmarks')  # what models hand to every metric
IO_BACKENDS = ('disk', 'memcached', 'lmdb')
NEAR_MISS = 0.85  # likeness above which an unknown key of somebody else's class is taken for a misspelling


class OptionError(ValueError):
    """An option file asks for something that does not exist. The message names the option and the nearest match."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The name in ``known`` most like ``name`` (in any case of letters), or '' if none is similar enough."""
    by_lower = {str(k).lower(): str(k) for k in known}
    match = difflib.get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[match[0]] if match else ''


def check_keys(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse an option that nothing reads.

    Args:
        given: The options as given (a dictionary or its keys); they are read only.
        known: The names of all options that exist there.
        where: Where they stand in the option file, such as ``'datasets:train'`` or ``'network_g'``; '' for its top.

    Raises:
        OptionError: Names the first unknown option, the nearest match and what there is.

    >>> check_keys({'num_featt': 48}, ('num_feat', 'num_steps'), 'network_g')
    Traceback (most recent call last):
    dic_plugin.utils.option_check.OptionError: network_g:num_featt: no such option; did you mean 'num_feat'? \
Known here: num_feat, num_steps.
    """
    known = list(known)
    for key in given:
        if key not in known:
            raise unknown(f'{where}:{key}' if where else str(key), key, known, 'option')


def unknown(path: str, name: str, known: Iterable[str], kind: str) -> OptionError:
    """The error for an unknown name: ``path`` is the whole option, ``kind`` what it should have been."""
    known = sorted(str(k) for k in known)
    match = nearest(name, known)
    hint = f"did you mean '{match}'? " if match else ''
    return OptionError(f'{path}: no such {kind}; {hint}Known here: {", ".join(known) or "none"}.')


def check_options(opt: Mapping[str, Any], is_train: bool) -> None:
    """Examine a whole option file, as BasicSR's ``parse_options`` returns it, before anything is built.

    Every ``type`` must be registered; networks, losses, metrics, optimisers and schedulers must be given what their
    constructors take; the other sections must hold only what is read. Classes say what they read by a class attribute
    ``option_keys``: a model a dictionary of tuples by section ('train', 'val', 'path', 'top'), a dataset one tuple.
    Of classes that do not say, only near-misses of known keys are refused, because any other key may be theirs.

    Raises:
        OptionError: Names the option by its path in the file, such as ``train:pixel_opt:type``.
    """
    _require(opt, ('name', 'model_type', 'num_gpu', 'datasets', 'path'), '')
    model = _registered(MODEL_REGISTRY, opt['model_type'], 'model_type')
    strict = _declares(model)
    _check_required(opt, is_train, model)
    _check_sections(opt, model, strict)
    for name, dataset in opt['datasets'].items():
        _check_dataset(dataset, f'datasets:{name}')
    _visit(opt, (), strict)


def _check_required(opt: Mapping, is_train: bool, model: type) -> None:
    _require(opt['path'], (), 'path')
    is_sr_model = any(base.__name__ == 'SRModel' for base in model.__mro__)
    if is_sr_model:
        _require(opt, ('network_g', ), '')
        _require(opt['network_g'], ('type', ), 'network_g')
    for name, dataset in opt['datasets'].items():
        _require(dataset, ('name', 'type'), f'datasets:{name}')
    if is_train:
        _require(opt, ('train', 'logger'), '')
        _require(opt['datasets'], ('train', ), 'datasets')
        _require(opt['datasets']['train'], ('batch_size_per_gpu', 'num_worker_per_gpu'), 'datasets:train')
        _require(opt['train'], ('total_iter', ), 'train')
        if is_sr_model:
            _require(opt['train'], ('optim_g', 'scheduler'), 'train')
            _require(opt['train']['optim_g'], ('type', ), 'train:optim_g')
            _require(opt['train']['scheduler'], ('type', ), 'train:scheduler')
        if 'network_d' in _model_keys(model, 'top'):
            _require(opt, ('network_d', ), '')
            _require(opt['train'], ('gan_opt', 'optim_d'), 'train')
            for key in ('gan_opt', 'optim_d'):
                _require(opt['train'][key], ('type', ), f'train:{key}')
        _require(opt['logger'], ('print_freq', 'save_checkpoint_freq', 'use_tb_logger'), 'logger')
        if opt.get('val') is not None:
            _require(opt['val'], ('val_freq', 'save_img'), 'val')
    else:
        _require(opt, ('val', ), '')
        _require(opt['val'], ('save_img', ), 'val')


def _require(given: Any, needed: Sequence[str], where: str) -> None:
    if not isinstance(given, Mapping):
        raise OptionError(f'{where}: expected options (`key: value` lines), got {given!r}.')
    for key in needed:
        if key not in given:
            raise OptionError(f'{where}:{key}: missing.' if where else f'{key}: missing.')


def _check_sections(opt: Mapping, model: type, strict: bool) -> None:
    of_networks = []
    for key in opt:
        if str(key).startswith('network_'):
            label = key[len('network_'):]
            of_networks += [f'pretrain_network_{label}', f'strict_load_{label}', f'param_key_{label}']
    sections = {
        'top': (opt, TOP_KEYS, ''),
        'train': (opt.get('train'), (), 'train'),
        'val': (opt.get('val'), (), 'val'),
        'path': (opt['path'], (*PATH_KEYS, *of_networks), 'path'),
        'logger': (opt.get('logger'), LOGGER_KEYS, 'logger'),
    }
    also_read = set() if strict else _mentioned(model)
    for section, (given, known, where) in sections.items():
        if isinstance(given, Mapping):
            known = (*known, *_model_keys(model, section))
            _check_keys_of(given, known, where, strict, also_read)


def _check_dataset(dataset: Mapping, where: str) -> None:
    cls = _registered(DATASET_REGISTRY, dataset['type'], f'{where}:type')
    own = [key for base in inspect.getmro(cls) for key in vars(base).get('option_keys', ())]
    also_read = set() if _declares(cls) else _mentioned(cls)
    _check_keys_of(dataset, (*DATASET_KEYS, *own), where, _declares(cls), also_read)


def _visit(node: Mapping, path: Tuple[str, ...], strict: bool) -> None:
    """Check every dictionary of options by its place in the file, however deep it stands."""
    for key, value in node.items():
        if not isinstance(value, Mapping):
            continue
        key = str(key)
        here = (*path, key)
        where = ':'.join(here)
        if key.startswith('network_'):
            _check_built(ARCH_REGISTRY, value, where)
        elif path[-1:] == ('metrics', ):
            _check_built(METRIC_REGISTRY, value, where, supplied=METRIC_INPUTS, extra=('better', 'found_by'))
        elif here[0] == 'train' and key.endswith('_opt') and (strict or 'type' in value):
            _check_built(LOSS_REGISTRY, value, where)
        elif here[0] == 'train' and key.startswith('optim_') and 'type' in value:
            _require(value, ('lr', ), where)
            _check_chosen(_optimizers(), value, where, 'optimizer', strict, supplied=('params', ))
        elif here[0] == 'train' and key == 'scheduler' and 'type' in value:
            _check_chosen(SCHEDULERS, value, where, 'scheduler', strict, supplied=('optimizer', ))
        elif key == 'io_backend' and 'type' in value:
            _check_choice(value['type'], IO_BACKENDS, f'{where}:type', 'backend', strict)
        _visit(value, here, strict)


def _check_built(registry: Registry,
                 given: Mapping,
                 where: str,
                 supplied: Sequence[str] = (),
                 extra: Sequence[str] = ()) -> None:
    _require(given, ('type', ), where)
    target = _registered(registry, given['type'], f'{where}:type')
    _check_call(target, given, where, supplied, extra)


def _check_chosen(choices: Dict[str, Callable], given: Mapping, where: str, kind: str, strict: bool,
                  supplied: Sequence[str]) -> None:
    _check_choice(given['type'], choices, f'{where}:type', kind, strict)
    if given['type'] in choices:
        _check_call(choices[given['type']], given, where, supplied)


def _check_call(target: Callable, given: Mapping, where: str, supplied: Sequence[str] = (),
                extra: Sequence[str] = ()) -> None:
    """Refuse what ``target`` does not take and name what it needs. ``supplied``: arguments that BasicSR gives it;
    ``extra``: keys that others read from the same place."""
    parameters = inspect.signature(target).parameters.values()
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in supplied]
    known = ['type', *extra, *(p.name for p in named)]
    _check_keys_of(given, known, where, strict=not takes_any)
    for parameter in named:
        if parameter.default is parameter.empty and parameter.name not in given:
            raise OptionError(f'{where}:{parameter.name}: missing; {given["type"]} needs it.')


def _check_keys_of(given: Iterable[str], known: Sequence[str], where: str, strict: bool,
                   also_read: Iterable[str] = ()) -> None:
    """``check_keys`` where all keys are known; elsewhere only refuse what looks like a misspelling of a known one."""
    if strict:
        check_keys(given, known, where)
        return
    may_be = {*known, *also_read}
    for key in given:
        match = '' if key in may_be else nearest(key, may_be, NEAR_MISS)
        if match:
            raise unknown(f'{where}:{key}' if where else str(key), key, {*known, match}, 'option')


def _check_choice(name: Any, choices: Iterable[str], path: str, kind: str, strict: bool) -> None:
    if name not in choices and (strict or nearest(name, choices, NEAR_MISS)):
        raise unknown(f'{path}: {name}', name, choices, kind)


def _registered(registry: Registry, name: Any, path: str) -> Callable:
    # A registry offers BasicSR's own objects under 'NAME_basicsr' too; its `get` prints when it falls back on that.
    names = dict(iter(registry))
    found = names.get(str(name), names.get(f'{name}_basicsr'))
    if found is None:
        raise unknown(f'{path}: {name}', str(name), names, registry._name)
    return found


def _declares(cls: type) -> bool:
    return hasattr(cls, 'option_keys')


def _model_keys(model: type, section: str) -> List[str]:
    keys = []
    for base in inspect.getmro(model):
        keys += MODEL_KEYS.get(base.__name__, {}).get(section, ())
        keys += vars(base).get('option_keys', {}).get(section, ())
    return keys


def _mentioned(cls: type) -> Set[str]:
    """Every string in the modules of a class and its bases: keys that it may read without declaring them."""
    strings = set()
    for base in inspect.getmro(cls):
        if base.__module__.split('.')[0] in ('builtins', 'torch', 'typing'):
            continue
        try:
            tree = ast.parse(inspect.getsource(sys.modules[base.__module__]))
        except OSError:  # a class without source, such as a compiled one
            continue
        strings.update(
            node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier())
    return strings


def _optimizers() -> Dict[str, Callable]:
    return {
        name: cls
        for name, cls in vars(torch.optim).items()
        if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer
    }
