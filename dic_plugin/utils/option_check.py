"""Check a whole option file before anything is built: names and values, exact for our classes.

BasicSR itself reports "No object named X found" for a wrong type, nothing at all for a key that no code reads, and a
traceback from deep inside for a wrong value. Nothing here changes the options given or builds anything.
"""
import difflib
import inspect
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Sequence, Tuple

import torch
from basicsr.models import lr_scheduler
from basicsr.utils.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    Registry,
)

from dic_plugin.utils.option_values import (
    Kind,
    OptionError,
    choice,
    flag,
    number,
    path,
    read_number,
    read_value,
    read_values,
    text,
    whole,
)

__all__ = ['OptionError', 'check_keys', 'check_options', 'dataset_options']

Kinds = Mapping[str, Optional[Kind]]
Warn = Optional[Callable[[str], None]]

# What BasicSR's loops and loaders read, or themselves add to the options before the model sees them.
TOP: Kinds = {
    'name': text, 'model_type': text, 'scale': whole(1), 'num_gpu': None, 'manual_seed': whole(0), 'datasets': None,
    'network_g': None, 'path': None, 'train': None, 'val': None, 'logger': None, 'dist_params': None,
    'find_unused_parameters': flag, 'plugin': None, 'dist': None, 'rank': None, 'world_size': None,
    'auto_resume': None, 'is_train': None, 'root_path': None
}  # yapf: disable
LOGGER: Kinds = {
    'print_freq': whole(1),
    'save_checkpoint_freq': whole(1),
    'use_tb_logger': flag,
    'wandb': None,
}
PATH: Kinds = dict(
    dict.fromkeys(
        ('resume_state', 'experiments_root', 'results_root', 'models', 'training_states', 'log', 'visualization'),
        path),
    ignore_resume_networks=None)
DIST: Kinds = {'backend': choice('nccl', 'gloo'), 'port': whole(1), 'timeout': number(above=0)}
DATASET: Kinds = {
    'name': text,
    'type': text,
    'phase': None,
    'scale': whole(1),
    'batch_size_per_gpu': whole(1),
    'num_worker_per_gpu': whole(0),
    'dataset_enlarge_ratio': number(above=0),
    'prefetch_mode': choice('cpu', 'cuda'),
    'num_prefetch_queue': whole(1),
    'pin_memory': flag,
    'persistent_workers': flag,
    'use_shuffle': flag,
}
# What most datasets of BasicSR read besides, to recognise misspellings.
STOCK_DATASET: Kinds = {
    'dataroot_gt': path, 'dataroot_lq': path, 'io_backend': None, 'filename_tmpl': text, 'meta_info_file': path,
    'gt_size': None, 'use_hflip': flag, 'use_rot': flag, 'mean': None, 'std': None
}  # yapf: disable
# What BasicSR's models read, by class: a model's keys are those of all its bases and its own `option_keys`.
MODELS: Mapping[str, Mapping[str, Kinds]] = {
    'BaseModel': {
        'train': {
            'total_iter': whole(1),
            'warmup_iter': whole(-1),
            'scheduler': None
        },
        'val': {
            'val_freq': whole(1),
            'save_img': flag,
            'metrics': None
        }
    },
    'SRModel': {
        'train': {
            'ema_decay': number(0, below=1),
            'optim_g': None,
            'pixel_opt': None,
            'perceptual_opt': None
        },
        'val': {
            'pbar': flag,
            'suffix': text
        }
    },
    'SRGANModel': {
        'top': {
            'network_d': None
        },
        'train': {
            'gan_opt': None,
            'ldl_opt': None,
            'optim_d': None,
            'net_d_iters': whole(1),
            'net_d_init_iters': whole(0)
        },
    },
}
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}
NEVER_EMPTY = ('name', 'type', 'lr', 'total_iter', 'val_freq', 'print_freq', 'save_checkpoint_freq',
               'batch_size_per_gpu', 'num_worker_per_gpu')  # options for which ~ does not stand for a default
METRIC_INPUTS = ('img', 'img2', 'landmarks', 'gt_landmarks')  # what models hand to every metric
IO_BACKENDS = ('disk', 'memcached', 'lmdb')
NEAR_MISS = 0.85  # likeness above which an unknown key of somebody else's class may be a misspelling


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the name in ``known`` most like ``name`` (in any case of letters), or '' if none is similar enough."""
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
    dic_plugin.utils.option_values.OptionError: network_g:num_featt: no such option; did you mean 'num_feat'? \
Known here: num_feat, num_steps.
    """
    known = list(known)
    for key in given:
        if key not in known:
            raise unknown(f'{where}:{key}' if where else str(key), key, known, 'option')


def unknown(path: str, name: str, known: Iterable[str], kind: str) -> OptionError:
    """Return the error for an unknown name: ``path`` is the whole option, ``kind`` what it should have been."""
    known = sorted(str(k) for k in known)
    match = nearest(name, known)
    hint = f"did you mean '{match}'? " if match else ''
    return OptionError(f'{path}: no such {kind}; {hint}Known here: {", ".join(known) or "none"}.')


def dataset_options(opt: Mapping[str, Any], own: Kinds, where: str) -> Dict[str, Any]:
    """Return the options of a dataset of ours as meant, for its constructor.

    Args:
        opt: as given; read only.
        own: the dataset's ``option_keys``; those of BasicSR's loops are added.
        where: see check_keys.

    Raises:
        OptionError: an option is unknown or its value impossible.
    """
    kinds = {**DATASET, **own}
    check_keys(opt, kinds, where)
    return read_values(opt, kinds, where)


def check_options(opt: Mapping[str, Any], is_train: bool, warn: Warn = None) -> Dict[str, Any]:
    """Examine a whole option file, as BasicSR's ``parse_options`` returns it, before anything is built.

    Every ``type`` must be registered; networks, losses, metrics, optimisers and schedulers must be given what their
    constructors take; the other sections must hold only what is read, with possible values. Classes declare what they
    read by a class attribute ``option_keys`` of names and kinds (see option_values; a tuple of names where values are
    not checked): a model by section ('train', 'val', 'path', 'top'), a dataset its own. Of classes that declare
    nothing, keys are not refused, because any may be theirs.

    Args:
        opt: the options; read only.
        is_train: whether they are for training or for testing.
        warn: called with a message for every key of such a class that looks like a misspelling.

    Returns:
        A copy with values as meant: ``1e-4`` and ``'no'`` are text to PyYAML.

    Raises:
        OptionError: Names the option by its path in the file, such as ``train:pixel_opt:type``.
    """
    return _Check(is_train, warn).atomic_write(opt)


class _Check:

    def __init__(self, is_train: bool, warn: Warn) -> None:
        self.is_train = is_train
        self.warn = warn or (lambda message: None)

    def atomic_write(self, opt: Mapping[str, Any]) -> Dict[str, Any]:
        _require(opt, ('name', 'model_type', 'num_gpu', 'datasets', 'path'), '')
        model = _registered(MODEL_REGISTRY, opt['model_type'], 'model_type')
        is_known = _declares(model)
        _check_required(opt, self.is_train, model)
        result = self._sections(opt, model, is_known, _is_of(model, 'basicsr'))
        for name, dataset in result['datasets'].items():
            result['datasets'][name] = self._dataset(dataset, f'datasets:{name}')
        return self._visit(result, (), is_known)

    def _sections(self, opt: Mapping, model: type, is_known: bool, is_stock: bool) -> Dict[str, Any]:
        path_kinds = dict(PATH)
        for key in opt:
            if str(key).startswith('network_'):
                label = key[len('network_'):]
                path_kinds.update({
                    f'pretrain_network_{label}': path,
                    f'strict_load_{label}': flag,
                    f'param_key_{label}': text
                })
        kinds = {'train': {}, 'val': {}, 'path': path_kinds, 'logger': LOGGER}
        result = self._keys(opt, {**TOP, **_model_kinds(model, 'top')}, '', is_known, is_stock)
        result['datasets'] = dict(opt['datasets'])
        for section, known in kinds.items():
            if isinstance(opt.get(section), Mapping):
                all_kinds = {**known, **_model_kinds(model, section)}
                result[section] = self._keys(opt[section], all_kinds, section, is_known, is_stock)
        if isinstance(opt.get('dist_params'), Mapping):
            result['dist_params'] = self._keys(opt['dist_params'], DIST, 'dist_params', is_known=True)
        if opt['num_gpu'] != 'auto':
            result['num_gpu'] = read_value(
                whole(0)._replace(expected='auto (every GPU there is), 0 for the CPU, or a number of GPUs'),
                opt['num_gpu'], 'num_gpu')
        return result

    def _dataset(self, dataset: Mapping, where: str) -> Dict[str, Any]:
        cls = _registered(DATASET_REGISTRY, dataset['type'], f'{where}:type')
        own = {} if _declares(cls) else dict(STOCK_DATASET)
        for base in reversed(inspect.getmro(cls)):
            own.update(_kinds(vars(base).get('option_keys', ())))
        return self._keys(dataset, {**DATASET, **own}, where, _declares(cls))

    def _visit(self, node: Mapping, path: Tuple[str, ...], is_known: bool) -> Dict[str, Any]:
        """Check every dictionary of options by its place in the file, however deep it stands."""
        result = dict(node)
        for key, value in node.items():
            if not isinstance(value, Mapping):
                continue
            key = str(key)
            here = (*path, key)
            where = ':'.join(here)
            if key.startswith('network_'):
                value = self._built(ARCH_REGISTRY, value, where)
            elif path[-1:] == ('metrics', ):
                value = self._built(METRIC_REGISTRY, value, where, supplied=METRIC_INPUTS, extra=('better', 'found_by'))
            elif here[0] == 'train' and key.endswith('_opt') and (is_known or 'type' in value):
                value = self._built(LOSS_REGISTRY, value, where)
            elif here[0] == 'train' and key.startswith('optim_') and 'type' in value:
                _require(value, ('lr', ), where)
                value = self._chosen(_optimizers(), value, where, 'optimizer', is_known, supplied=('params', ))
            elif here[0] == 'train' and key == 'scheduler' and 'type' in value:
                value = self._chosen(SCHEDULERS, value, where, 'scheduler', is_known, supplied=('optimizer', ))
            elif key == 'io_backend' and 'type' in value:
                _check_choice(value['type'], IO_BACKENDS, f'{where}:type', 'backend', is_known)
            result[key] = self._visit(value, here, is_known)
        return result

    def _built(self,
               registry: Registry,
               given: Mapping,
               where: str,
               supplied: Sequence[str] = (),
               extra: Sequence[str] = ()) -> Dict[str, Any]:
        _require(given, ('type', ), where)
        target = _registered(registry, given['type'], f'{where}:type')
        return self._call(target, given, where, supplied, extra)

    def _chosen(self, choices: Dict[str, Callable], given: Mapping, where: str, kind: str, is_known: bool,
                supplied: Sequence[str]) -> Dict[str, Any]:
        _check_choice(given['type'], choices, f'{where}:type', kind, is_known)
        return self._call(choices[given['type']], given, where, supplied) if given['type'] in choices else dict(given)

    def _call(self,
              target: Callable,
              given: Mapping,
              where: str,
              supplied: Sequence[str] = (),
              extra: Sequence[str] = ()) -> Dict[str, Any]:
        """Refuse what ``target`` does not take and name what it needs. ``supplied``: arguments that BasicSR gives it;
        ``extra``: keys that others read from the same place."""
        parameters = inspect.signature(target).parameters.values()
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in supplied]
        kinds = {'type': None, **dict.fromkeys(extra), **{p.name: _kind_of(p) for p in named}}
        is_known = not takes_any or _is_of(target, 'dic_plugin')
        result = self._keys(given, kinds, where, is_known, _is_of(target, 'basicsr'))
        for parameter in named:
            if parameter.default is parameter.empty and parameter.name not in given:
                raise OptionError(f'{where}:{parameter.name}: missing; {given["type"]} needs it.')
        return {key: value if key == 'type' else read_number(value) for key, value in result.items()}

    def _keys(self, given: Mapping, kinds: Kinds, where: str, is_known: bool, is_stock: bool = False) -> Dict[str, Any]:
        """Values as meant. Unknown keys are refused where all are known; misspelt ones (near misses) of BasicSR's own
        loops and classes (``is_stock``) are refused, those of others only warned of: they may be theirs."""
        if is_known:
            check_keys(given, kinds, where)
        for key in given:
            match = '' if key in kinds else nearest(key, kinds, NEAR_MISS)
            if match:
                path = f'{where}:{key}' if where else str(key)
                if is_stock:
                    raise unknown(path, key, kinds, 'option')
                self.warn(f'{path}: is this a misspelt {match!r}?')
        return read_values(given, kinds, where)


def _kind_of(parameter: inspect.Parameter) -> Optional[Kind]:
    """What an argument may hold, as far as its default shows."""
    if parameter.name.endswith('path'):
        return path
    if isinstance(parameter.default, bool):
        return flag
    is_number = isinstance(parameter.default, (int, float)) or parameter.annotation in (int, float)
    return _loose_number if is_number else None


# A number where it is one; constructors check the rest, and may take lists or tensors too.
_loose_number = Kind('a number', lambda value: number().read(value) if isinstance(value, str) else value)


def _check_required(opt: Mapping, is_train: bool, model: type) -> None:
    _require(opt['path'], (), 'path')
    is_sr_model = any(base.__name__ == 'SRModel' for base in model.__mro__)
    if is_sr_model:
        _require(opt, ('network_g', ), '')
        _require(opt['network_g'], ('type', ), 'network_g')
    _require(opt['datasets'], (), 'datasets')
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
        if 'network_d' in _model_kinds(model, 'top'):
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
        if key not in given or (given[key] is None and key in NEVER_EMPTY):
            raise OptionError(f'{where}:{key}: missing.' if where else f'{key}: missing.')


def _check_choice(name: Any, choices: Iterable[str], path: str, kind: str, is_known: bool) -> None:
    if name not in choices and (is_known or nearest(name, choices, NEAR_MISS)):
        raise unknown(f'{path}: {name}', name, choices, kind)


def _registered(registry: Registry, name: Any, path: str) -> Callable:
    # A registry offers BasicSR's own objects under 'NAME_basicsr' too; its `get` prints when it falls back on that.
    names = dict(iter(registry))
    found = names.get(str(name), names.get(f'{name}_basicsr'))
    if found is None:
        raise unknown(f'{path}: {name}', str(name), names, registry._name)
    return found


def _is_of(target: Callable, package: str) -> bool:
    return target.__module__.split('.')[0] == package


def _declares(cls: type) -> bool:
    return hasattr(cls, 'option_keys')


def _kinds(keys: Any) -> Kinds:
    return keys if isinstance(keys, Mapping) else dict.fromkeys(keys)


def _model_kinds(model: type, section: str) -> Dict[str, Optional[Kind]]:
    kinds: Dict[str, Optional[Kind]] = {}
    for base in reversed(inspect.getmro(model)):
        kinds.update(MODELS.get(base.__name__, {}).get(section, {}))
        kinds.update(_kinds(vars(base).get('option_keys', {}).get(section, ())))
    return kinds


def _optimizers() -> Dict[str, Callable]:
    return {
        name: cls
        for name, cls in vars(torch.optim).items()
        if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer
    }
