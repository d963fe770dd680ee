"""The benchmark's YAML file, read and checked before anything is trained; docs/benchmark.md explains every key."""
import os
import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Union

import yaml
from basicsr.utils.registry import DATASET_REGISTRY

from dic_plugin.benchmark.options import check_run_options, merge, with_iterations
from dic_plugin.benchmark.own_landmarks import OWN
from dic_plugin.evaluation.landmark_errors import ERROR_PROTOCOLS
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.utils.option_check import OptionError, check_keys, unknown

KEYS = ('name', 'title', 'test_set', 'evaluators', 'protocols', 'landmark_error', 'metrics', 'training_time',
        'compare_with', 'gallery', 'speed_batch_size', 'defaults', 'models', 'references')
MODEL_KEYS = ('title', 'note', 'weights', 'param_key', 'starts_from', 'untrained')  # the rest is BasicSR's
EVALUATOR_KEYS = ('title', 'weights', 'recipe', 'options')
REFERENCE_KEYS = ('model', 'data', 'psnr', 'ssim', 'source', 'confirmed')
# of the tables, which a metric's name would hide
TAKEN = re.compile(r'table|model|title|iterations|starts_from|failed|psnr|ssim|params|gflop|faces_per_second|memory|'
                   r'training_minutes|(nrmse|failure_rate)(_own|_low|_high)?|.*_(low|high)')
TIME_SUFFIX = '_time'  # of the runs of the second table


@dataclass(frozen=True)
class ModelPlan:
    """A block of ``models``.

    Attributes:
        name: its key, which names folders.
        title: what the tables call it.
        note: a remark below the tables, or None.
        options: BasicSR's options for training it, with the defaults merged in.
        weights: a given checkpoint, which is tested without training; or None.
        param_key: 'params' or 'params_ema' of the checkpoint that is tested.
        starts_from: the model whose trained weights it starts from; or None.
        untrained: it has nothing to train.
    """
    name: str
    title: str
    note: Optional[str]
    options: Dict[str, Any]
    weights: Optional[str]
    param_key: str
    starts_from: Optional[str]
    untrained: bool

    @property
    def is_trained_here(self) -> bool:
        """Whether the benchmark trains it."""
        return not self.untrained and self.weights is None

    @property
    def iterations(self) -> int:
        """Iterations of its own training."""
        return int(self.options['train']['total_iter']) if self.is_trained_here else 0


@dataclass(frozen=True)
class EvaluatorPlan:
    """A network that finds landmarks on results: given weights, or the options that train it once."""
    name: str
    title: str
    weights: Optional[str]
    options: Optional[Dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """A checked benchmark. The attributes are the file's keys; ``text`` is the file itself."""
    name: str
    title: str
    test_set: Dict[str, Any]
    evaluators: List[EvaluatorPlan]
    protocols: List[str]
    landmark_error: str
    metrics: Dict[str, Dict[str, Any]]
    training_time: Union[None, float, str]
    compare_with: Optional[str]
    gallery: int
    speed_batch_size: int
    models: Dict[str, ModelPlan]
    references: List[Dict[str, Any]]
    text: str

    @property
    def scale(self) -> int:
        """Factor of enlargement."""
        return int(self.test_set['scale'])


class _Loader(yaml.SafeLoader):
    """Reads recipes, too, whose `plugin` line asks BasicSR's own loader to import the plugin: here it is a string."""


_Loader.add_multi_constructor('tag:yaml.org,2002:python/name:', lambda loader, suffix, node: suffix)


def read_yaml(path: str) -> Any:
    """The content of a YAML file; runs nothing that it names.

    Raises:
        OptionError: it cannot be read, with the reason.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return yaml.load(file, Loader=_Loader)
    except OSError as error:
        raise OptionError(f'{path}: {error.strerror}.') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f'{path}: not an option file: {error}') from error


def read_plan(path: str, iterations: Optional[int] = None, only: Optional[List[str]] = None) -> Plan:
    """Read and check a benchmark.

    Args:
        path: the YAML file.
        iterations: of the default training; the budgets of all models change in proportion. Default: as in the file.
        only: names of the models to keep, with those that they start from. Default: all.

    Raises:
        OptionError: names the option and what was expected.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise OptionError(f'{path}: expected the keys of a benchmark (`key: value` lines), got {content!r}.')
    check_keys(content, KEYS, '')
    for key in ('name', 'test_set', 'defaults', 'models'):
        _mapping(content, key) if key != 'name' else _name(content.get('name'), 'name')
    defaults, test_set = content['defaults'], _test_set(content)
    metrics = _metrics(content)
    shortened = _shortening(defaults, iterations)
    models = {name: _model(name, block, defaults, shortened, metrics) for name, block in content['models'].items()}
    _check_starts(models)
    _check_titles(models)
    if only:
        models = _only(models, only)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    return Plan(
        name=content['name'],
        title=content.get('title') or content['name'],
        test_set=test_set,
        evaluators=_evaluators(content),
        protocols=_protocols(content),
        landmark_error=_choice(content, 'landmark_error', ERROR_PROTOCOLS, 'inter-ocular'),
        metrics=metrics,
        training_time=_training_time(content, models, shortened),
        compare_with=_compare_with(content, models),
        gallery=_count(content, 'gallery', 6, smallest=0),
        speed_batch_size=_count(content, 'speed_batch_size', 8),
        models=models,
        references=_references(content),
        text=text)


# ---------------------------------------------------------------- blocks
def _model(name: str, block: Any, defaults: Mapping[str, Any], shortened: float,
           metrics: Mapping[str, Mapping[str, Any]]) -> ModelPlan:
    where = f'models:{name}'
    _name(name, where)
    if not isinstance(block, Mapping):
        raise OptionError(f'{where}: expected options (`key: value` lines), got {block!r}.')
    own = {key: block[key] for key in MODEL_KEYS if key in block}
    if not isinstance(own.get('untrained', False), bool):
        raise OptionError(f'{where}:untrained is {own["untrained"]!r}; expected true or false.')
    options = merge(defaults, {key: value for key, value in block.items() if key not in MODEL_KEYS})
    untrained, weights = own.get('untrained', False), own.get('weights')
    if weights is not None:
        weights = os.path.expanduser(weights)
        if not os.path.isfile(weights):
            raise OptionError(f'{where}:weights: there is no file {weights!r}; expected a trained checkpoint.')
    is_trained = not untrained and weights is None
    total = _total_iter(options, where) if is_trained else 0
    check_run_options(options, where, metrics, is_trained)
    if is_trained:
        options = with_iterations(options, max(1, round(total * shortened)))
    ema = ((options.get('train') or {}).get('ema_decay') or 0) > 0
    if own.get('param_key') not in (None, 'params', 'params_ema'):
        raise OptionError(f'{where}:param_key is {own["param_key"]!r}; expected params or params_ema.')
    return ModelPlan(name, own.get('title', name), own.get('note'), options, weights,
                     own.get('param_key', 'params_ema' if ema else 'params'), own.get('starts_from'), untrained)


def _total_iter(options: Mapping[str, Any], where: str) -> int:
    total = (options.get('train') or {}).get('total_iter')
    if not isinstance(total, int) or total < 1:
        raise OptionError(f'{where}:train:total_iter is {total!r}; expected a whole number from 1.')
    return total


def _shortening(defaults: Mapping[str, Any], iterations: Optional[int]) -> float:
    if iterations is None:
        return 1.
    if iterations < 1:
        raise OptionError(f'--iterations {iterations}: expected a whole number from 1.')
    return iterations / _total_iter(defaults, 'defaults')


def _check_starts(models: Mapping[str, ModelPlan]) -> None:
    seen: List[str] = []
    for name, model in models.items():
        if model.starts_from is not None and model.starts_from not in seen:
            raise OptionError(f'models:{name}:starts_from is {model.starts_from!r}; expected a model that stands above '
                              f'it: {", ".join(seen) or "none does"}.')
        if model.starts_from is not None and models[model.starts_from].untrained:
            raise OptionError(f'models:{name}:starts_from is {model.starts_from!r}, which has no weights.')
        seen.append(name)


def _check_titles(models: Mapping[str, ModelPlan]) -> None:
    owners: Dict[str, str] = {}
    for name, model in models.items():
        if not isinstance(model.title, str):
            raise OptionError(f'models:{name}:title is {model.title!r}; expected text.')
        if model.title in owners:
            raise OptionError(
                f'models:{name}:title is {model.title!r}, as that of {owners[model.title]}; expected text '
                'that no other model has.')
        owners[model.title] = name


def _only(models: Mapping[str, ModelPlan], only: List[str]) -> Dict[str, ModelPlan]:
    wanted = set()
    for name in only:
        if name not in models:
            raise unknown(f'--models {name}', name, models, 'model')
        while name is not None:
            wanted.add(name)
            name = models[name].starts_from
    return {name: model for name, model in models.items() if name in wanted}


def _test_set(content: Mapping[str, Any]) -> Dict[str, Any]:
    test_set = content['test_set']
    for key in ('name', 'type'):
        if key not in test_set:
            raise OptionError(f'test_set:{key}: missing.')
    if test_set['type'] not in dict(iter(DATASET_REGISTRY)):
        raise unknown(f'test_set:type: {test_set["type"]}', test_set['type'], dict(iter(DATASET_REGISTRY)), 'dataset')
    return dict(test_set, phase='test', scale=_count(content['defaults'], 'scale', None, where='defaults:'))


def _evaluators(content: Mapping[str, Any]) -> List[EvaluatorPlan]:
    evaluators = []
    for name, block in _optional_mapping(content, 'evaluators').items():
        where = f'evaluators:{name}'
        _name(name, where)
        if name == OWN:
            raise OptionError(
                f'{where}: {OWN!r} stands for the landmarks that a model itself finds; expected another name.')
        if not isinstance(block, Mapping) or ('weights' in block) == ('recipe' in block):
            raise OptionError(f'{where}: expected either weights (a checkpoint) or recipe (an option file that trains '
                              f'one), got {block!r}.')
        check_keys(block, EVALUATOR_KEYS, where)
        options, weights = None, os.path.expanduser(block.get('weights') or '') or None
        if 'recipe' in block:
            options = merge(read_yaml(block['recipe']), block.get('options') or {})
            check_run_options(options, where, {}, is_trained=True)
        elif not os.path.isfile(weights or ''):
            raise OptionError(f'{where}:weights: there is no file {block["weights"]!r}; expected a landmark evaluator, '
                              'such as options/train_landmarks.yml trains.')
        evaluators.append(EvaluatorPlan(name, block.get('title', name), weights, options))
    return evaluators


def _metrics(content: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    metrics = _optional_mapping(content, 'metrics')
    taken = [f'{measure}_{protocol}' for measure in ('psnr', 'ssim') for protocol in _protocols(content)]
    taken += [f'{m}_{judge}' for m in ('nrmse', 'failure_rate') for judge in _optional_mapping(content, 'evaluators')]
    for name, metric in metrics.items():
        _name(name, f'metrics:{name}')
        if TAKEN.fullmatch(name) or name in taken:
            raise OptionError(f'metrics:{name}: the tables have a column of that name; expected another.')
        if not isinstance(metric, Mapping) or 'type' not in metric:
            raise OptionError(f'metrics:{name}: expected `type`, a metric of BasicSR\'s registry, and its options.')
        if metric.get('better') not in ('higher', 'lower'):
            raise OptionError(f'metrics:{name}:better is {metric.get("better")!r}; expected higher or lower.')
        _count(metric, 'digits', 4, smallest=0, where=f'metrics:{name}:')
    return deepcopy(dict(metrics))


def _references(content: Mapping[str, Any]) -> List[Dict[str, Any]]:
    references = content.get('references') or []
    if not isinstance(references, list):
        raise OptionError(f'references: expected a list (`- model: ...` lines), got {references!r}.')
    for number, row in enumerate(references):
        where = f'references:{number}'
        if not isinstance(row, Mapping):
            raise OptionError(f'{where}: expected {", ".join(REFERENCE_KEYS)}; got {row!r}.')
        check_keys(row, REFERENCE_KEYS, where)
        for key in ('model', 'data', 'source', 'confirmed'):
            if key not in row:
                raise OptionError(f'{where}:{key}: missing; a quoted figure needs it.')
        if not isinstance(row['confirmed'], bool):
            raise OptionError(f'{where}:confirmed is {row["confirmed"]!r}; expected true or false.')
        for key in ('psnr', 'ssim'):
            if not isinstance(row.get(key), (int, float, type(None))):
                raise OptionError(f'{where}:{key} is {row[key]!r}; expected a number.')
    return list(references)


# ---------------------------------------------------------------- values
def _mapping(content: Mapping[str, Any], key: str) -> None:
    if not isinstance(content.get(key), Mapping) or not content[key]:
        raise OptionError(f'{key}: expected options (`key: value` lines), got {content.get(key)!r}.')


def _optional_mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if content.get(key) is None:
        return {}
    if not isinstance(content[key], Mapping):
        raise OptionError(f'{key}: expected names with their options (`name: ...` lines), got {content[key]!r}.')
    return content[key]


def _name(name: Any, where: str) -> None:
    # BasicSR shortens the trainings of names with 'debug' in them
    if not isinstance(name, str) or not re.fullmatch(r'[A-Za-z0-9][\w.+-]*', name) or 'debug' in name \
            or name.endswith(TIME_SUFFIX):
        raise OptionError(f'{where}: {name!r} names folders; expected letters, digits, . _ + -, no "debug", no '
                          f'{TIME_SUFFIX!r} at the end.')


def _count(content: Mapping[str, Any], key: str, default: Optional[int], smallest: int = 1, where: str = '') -> int:
    value = content.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise OptionError(f'{where}{key} is {value!r}; expected a whole number from {smallest}.')
    return value


def _choice(content: Mapping[str, Any], key: str, choices: Mapping[str, Any], default: str) -> str:
    value = content.get(key, default)
    if value not in choices:
        raise unknown(f'{key}: {value}', value, choices, 'choice')
    return value


def _protocols(content: Mapping[str, Any]) -> List[str]:
    protocols = content.get('protocols', ['basicsr-y'])
    if not isinstance(protocols, list) or not protocols:
        raise OptionError(f'protocols is {protocols!r}; expected a list of {", ".join(PROTOCOLS)}.')
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            raise unknown(f'protocols: {protocol}', protocol, PROTOCOLS, 'protocol')
    return protocols


def _training_time(content: Mapping[str, Any], models: Mapping[str, ModelPlan],
                   shortened: float) -> Union[None, float, str]:
    value = content.get('training_time')
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return value * shortened
    trained = [name for name in content['models'] if name not in models or models[name].is_trained_here]
    if value not in trained:
        raise OptionError(f'training_time is {value!r}; expected seconds, or the name of a model trained here '
                          f'({", ".join(trained)}) whose time all get.')
    return value if value in models else None


def _compare_with(content: Mapping[str, Any], models: Mapping[str, ModelPlan]) -> Optional[str]:
    value = content.get('compare_with')
    if value is not None and value not in content['models']:
        raise unknown(f'compare_with: {value}', value, content['models'], 'model')
    return value if value in models else None
