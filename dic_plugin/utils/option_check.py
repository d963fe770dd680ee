"""Check a whole option file before anything is built: names and values, exact for our classes.

BasicSR itself reports "No object named X found" for a wrong type, nothing at all for a key that no code reads, and a
traceback from deep inside for a wrong value. Nothing here changes the options given or builds anything.
"""
import difflib
import inspect
from functools import partial
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
PATHS = ('resume_state', 'experiments_root', 'results_root', 'models', 'training_states', 'log', 'visualization')
SECTIONS: Mapping[str, Kinds] = {
    'train': {},
    'val': {},
    'path': {**dict.fromkeys(PATHS, path), 'ignore_resume_networks': None},
    'logger': {'print_freq': whole(1), 'save_checkpoint_freq': whole(1), 'use_tb_logger': flag, 'wandb': None},
    'dist_params': {'backend': choice('nccl', 'gloo'), 'port': whole(1), 'timeout': number(above=0)},
}  # yapf: disable
DATASET: Kinds = {
    'name': text, 'type': text, 'phase': None, 'scale': whole(1), 'batch_size_per_gpu': whole(1),
    'num_worker_per_gpu': whole(0), 'dataset_enlarge_ratio': number(above=0), 'prefetch_mode': choice('cpu', 'cuda'),
    'num_prefetch_queue': whole(1), 'pin_memory': flag, 'persistent_workers': flag, 'use_shuffle': flag
}  # yapf: disable
# What most datasets of BasicSR read besides, to recognise misspellings.
STOCK_DATASET: Kinds = {
    'dataroot_gt': path, 'dataroot_lq': path, 'io_backend': None, 'filename_tmpl': text, 'meta_info_file': path,
    'gt_size': None, 'use_hflip': flag, 'use_rot': flag, 'mean': None, 'std': None
}  # yapf: disable
# What BasicSR's models read, by class: a model's keys are those of all its bases and its own `option_keys`.
MODELS: Mapping[str, Mapping[str, Kinds]] = {
    'BaseModel': {
        'train': {'total_iter': whole(1, 10**9), 'warmup_iter': whole(-1), 'scheduler': None},
        'val': {'val_freq': whole(1), 'save_img': flag, 'metrics': None}
    },
    'SRModel': {
        'train': {'ema_decay': number(0, below=1), 'optim_g': None, 'pixel_opt': None, 'perceptual_opt': None},
        'val': {'pbar': flag, 'suffix': text}
    },
    'SRGANModel': {
        'top': {'network_d': None},
        'train': {'gan_opt': None, 'ldl_opt': None, 'optim_d': None, 'net_d_iters': whole(1),
                  'net_d_init_iters': whole(0)}
    },
}  # yapf: disable
# Options without which BasicSR ends in a KeyError, by the section that holds them.
NEEDED = {'': ('name', 'model_type', 'num_gpu', 'datasets', 'path'), 'path': (), 'datasets': ()}
NEEDED_TO_TRAIN = {
    '': ('train', 'logger'), 'datasets': ('train', ), 'datasets:train': ('batch_size_per_gpu', 'num_worker_per_gpu'),
    'train': ('total_iter', ), 'logger': ('print_freq', 'save_checkpoint_freq', 'use_tb_logger')
}  # yapf: disable
NEEDED_TO_VALIDATE = {'val': ('val_freq', 'save_img')}
NEEDED_TO_TEST = {'': ('val', ), 'val': ('save_img', )}
NEEDED_BY_SR_MODELS = {'': ('network_g', ), 'network_g': ('type', )}
NEEDED_TO_TRAIN_SR_MODELS = {
    'train': ('optim_g', 'scheduler'), 'train:optim_g': ('type', ), 'train:scheduler': ('type', )
}  # yapf: disable
NEEDED_TO_TRAIN_GANS = {
    '': ('network_d', ), 'train': ('gan_opt', 'optim_d'), 'train:gan_opt': ('type', ), 'train:optim_d': ('type', )
}  # yapf: disable
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
    _check_needed(opt, is_train)
    return _Check(warn).options(opt)


class _Check:
    """Checks the parts of an option file. ``exact`` says of a part that all names that exist there are known."""

    def __init__(self, warn: Warn) -> None:
        self.warn = warn or (lambda message: None)

    def options(self, opt: Mapping[str, Any]) -> Dict[str, Any]:
        model = _registered(MODEL_REGISTRY, opt['model_type'], 'model_type')
        exact = _declares(model)
        result = self._keys(opt, {**TOP, **_model_kinds(model, 'top')}, '', exact)
        for section, kinds in SECTIONS.items():
            if isinstance(opt.get(section), Mapping):
                kinds = {**kinds, **_model_kinds(model, section)}
                if section == 'path':
                    for label in (str(key)[len('network_'):] for key in opt if str(key).startswith('network_')):
                        kinds.update({
                            f'pretrain_network_{label}': path,
                            f'strict_load_{label}': flag,
                            f'param_key_{label}': text
                        })
                result[section] = self._keys(opt[section], kinds, section, exact or section == 'dist_params')
        if opt['num_gpu'] != 'auto':
            kind = whole(0)._replace(expected='auto (every GPU there is), 0 for the CPU, or a number of GPUs')
            result['num_gpu'] = read_value(kind, opt['num_gpu'], 'num_gpu')
        result['datasets'] = {
            name: self._dataset(dataset, f'datasets:{name}')
            for name, dataset in opt['datasets'].items()
        }
        return self._visit(result, (), exact)

    def _dataset(self, dataset: Mapping, where: str) -> Dict[str, Any]:
        cls = _registered(DATASET_REGISTRY, dataset['type'], f'{where}:type')
        kinds = dict(DATASET if _declares(cls) else {**DATASET, **STOCK_DATASET})
        for base in reversed(inspect.getmro(cls)):
            kinds.update(_kinds(vars(base).get('option_keys', ())))
        return self._keys(dataset, kinds, where, _declares(cls))

    def _visit(self, node: Mapping, section: Tuple[str, ...], exact: bool) -> Dict[str, Any]:
        """Check every dictionary of options by its place in the file, however deep it stands."""
        result = dict(node)
        for key, value in node.items():
            key = str(key)
            here = (*section, key)
            where = ':'.join(here)
            in_train = here[0] == 'train'
            is_network, is_metric = key.startswith('network_'), section[-1:] == ('metrics', )
            is_loss = in_train and key.endswith('_opt')
            if not isinstance(value, Mapping):
                takes_options = is_network or is_loss and exact or here == ('val', 'metrics')
                if is_metric or takes_options and value is not None:
                    _require(value, (), where)
                continue
            if is_network:
                value = self._built(ARCH_REGISTRY, value, where)
            elif is_metric:
                value = self._built(METRIC_REGISTRY, value, where, METRIC_INPUTS, ('better', 'found_by'))
            elif is_loss and (exact or 'type' in value):
                value = self._built(LOSS_REGISTRY, value, where)
            elif in_train and key.startswith('optim_') and 'type' in value:
                _require(value, ('lr', ), where)
                value = self._chosen(_optimizers(), value, where, 'optimizer', exact, 'params')
            elif in_train and key == 'scheduler' and 'type' in value:
                value = self._chosen(SCHEDULERS, value, where, 'scheduler', exact, 'optimizer')
            elif key == 'io_backend' and 'type' in value:
                _check_choice(value['type'], IO_BACKENDS, f'{where}:type', 'backend', exact)
            result[key] = self._visit(value, here, exact)
        return result

    def _built(self, registry: Registry, given: Mapping, where: str, supplied: Sequence[str] = (),
               extra: Sequence[str] = ()) -> Dict[str, Any]:  # yapf: disable
        _require(given, ('type', ), where)
        return self._call(_registered(registry, given['type'], f'{where}:type'), given, where, supplied, extra)

    def _chosen(self, choices: Mapping[str, Callable], given: Mapping, where: str, kind: str, exact: bool,
                supplied: str) -> Dict[str, Any]:
        _check_choice(given['type'], choices, f'{where}:type', kind, exact)
        target = choices.get(given['type'])
        return self._call(target, given, where, (supplied, )) if target else dict(given)

    def _call(self, target: Callable, given: Mapping, where: str, supplied: Sequence[str],
              extra: Sequence[str] = ()) -> Dict[str, Any]:  # yapf: disable
        """Refuse what ``target`` does not take and name what it needs. ``supplied``: arguments that BasicSR gives it;
        ``extra``: keys that others read from the same place."""
        # of a class, __init__: the mixin of the Hugging Face Hub has a __new__ that takes anything
        constructor = partial(target.__init__, None) if inspect.isclass(target) else target
        parameters = inspect.signature(constructor).parameters.values()
        named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in supplied]
        is_own = target.__module__.startswith('dic_plugin.')
        kinds = {'type': None, **dict.fromkeys(extra), **{p.name: _kind_of(p, is_own) for p in named}}
        exact = is_own or all(p.kind is not p.VAR_KEYWORD for p in parameters)
        result = self._keys(given, kinds, where, exact)
        for parameter in named:
            if is_own and parameter.annotation in (bool, float, int, str) and result.get(parameter.name, 0) is None:
                del result[parameter.name]  # `~` stands for the default
            if parameter.default is parameter.empty and parameter.name not in result:
                raise OptionError(f'{where}:{parameter.name}: missing; {given["type"]} needs it.')
        return {key: value if key == 'type' else read_number(value) for key, value in result.items()}

    def _keys(self, given: Mapping, kinds: Kinds, where: str, exact: bool) -> Dict[str, Any]:
        """Return the values as meant; unknown names are refused or, if not ``exact``, warned of when near a known."""
        if exact:
            check_keys(given, kinds, where)
        for key in given:
            match = '' if key in kinds else nearest(key, kinds, NEAR_MISS)
            if match:
                self.warn(f'{where}:{key}: is this a misspelt {match!r}?'.lstrip(':'))
        return read_values(given, kinds, where)


def _kind_of(parameter: inspect.Parameter, is_own: bool) -> Optional[Kind]:
    """Return the kind of an argument's values, as far as its default or, in our own code, its type shows."""
    if parameter.name.endswith('path'):
        return path
    if isinstance(parameter.default, bool):
        return flag
    if is_own and parameter.annotation in (int, Optional[int]):
        return whole()
    if is_own and parameter.annotation in (float, Optional[float]):
        return number()
    is_number = isinstance(parameter.default, (int, float)) or parameter.annotation in (int, float)
    return _loose_number if is_number else None


# A number where it is one; constructors check the rest, and may take lists or tensors too.
_loose_number = Kind('a number', lambda value: number().read(value) if isinstance(value, str) else value)


def _check_needed(opt: Mapping, is_train: bool) -> None:
    _require_all(opt, NEEDED)
    model = _registered(MODEL_REGISTRY, opt['model_type'], 'model_type')
    is_sr_model = any(base.__name__ == 'SRModel' for base in inspect.getmro(model))
    if is_sr_model:
        _require_all(opt, NEEDED_BY_SR_MODELS)
    for name in opt['datasets']:
        _require_all(opt, {f'datasets:{name}': ('name', 'type')})
    if not is_train:
        _require_all(opt, NEEDED_TO_TEST)
        return
    _require_all(opt, NEEDED_TO_TRAIN)
    if is_sr_model:
        _require_all(opt, NEEDED_TO_TRAIN_SR_MODELS)
    if 'network_d' in _model_kinds(model, 'top'):
        _require_all(opt, NEEDED_TO_TRAIN_GANS)
    if opt.get('val') is not None:
        _require_all(opt, NEEDED_TO_VALIDATE)


def _require_all(opt: Mapping, needed: Mapping[str, Sequence[str]]) -> None:
    for where, keys in needed.items():
        given: Any = opt
        for part in filter(None, where.split(':')):
            given = given[part]
        _require(given, keys, where)


def _require(given: Any, needed: Sequence[str], where: str) -> None:
    if not isinstance(given, Mapping):
        raise OptionError(f'{where}: expected options (`key: value` lines), got {given!r}.')
    for key in needed:
        if key not in given or (given[key] is None and key in NEVER_EMPTY):
            raise OptionError(f'{where}:{key}: missing.' if where else f'{key}: missing.')


def _check_choice(name: Any, choices: Iterable[str], path: str, kind: str, exact: bool) -> None:
    if name not in choices and (exact or nearest(name, choices, NEAR_MISS)):
        raise unknown(f'{path}: {name}', name, choices, kind)


def _registered(registry: Registry, name: Any, path: str) -> Any:
    # A registry offers BasicSR's own objects under 'NAME_basicsr' too; its `get` prints when it falls back on that.
    names = dict(iter(registry))
    found = names.get(str(name), names.get(f'{name}_basicsr'))
    if found is None:
        raise unknown(f'{path}: {name}', str(name), names, registry._name)
    return found


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
