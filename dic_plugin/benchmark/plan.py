"""The benchmark's YAML file, checked before anything is trained; docs/benchmark.md explains every key."""
import os
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

import yaml
from basicsr.utils.registry import DATASET_REGISTRY

from dic_plugin.benchmark.options import DECIDED_HERE, check_run_options, merge, with_iterations
from dic_plugin.evaluation.landmark_errors import ERROR_PROTOCOLS
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.utils.option_check import OptionError, check_keys, unknown
from dic_plugin.utils.option_values import Kind, choice, flag, number, read_value, read_values, text, whole
from dic_plugin.utils.option_values import path as file_path

OWN = 'own'  # in place of an evaluator's name: the landmarks that a model itself finds
TIME_SUFFIX = '_time'  # of the runs of the second table


def _read_section(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    return value


def _read_list(value: Any) -> List[Any]:
    if not isinstance(value, list):
        raise ValueError
    return value


def _read_name(value: Any) -> str:
    # BasicSR shortens trainings with 'debug' in their names.
    if not re.fullmatch(r'[A-Za-z0-9][\w.+-]*', value) or 'debug' in value or value.endswith(TIME_SUFFIX):
        raise ValueError
    return value


def _read_weights(value: Any) -> str:
    path = os.path.expanduser(value)
    if not os.path.isfile(path):
        raise ValueError
    return path


def _read_time(value: Any) -> Union[float, str]:
    return value if isinstance(value, str) else number(above=0).read(value)


section = Kind('options (`key: value` lines)', _read_section)
listed = Kind('a list (`- ...` lines)', _read_list)
folder_name = Kind(f'a folder name: letters, digits, . _ + -, no "debug" in it, no {TIME_SUFFIX!r} at the end',
                   _read_name)
weights_file = Kind('an existing checkpoint', _read_weights)
time = Kind('seconds, or the name of a model trained here', _read_time)

PLAN = {
    'name': folder_name, 'title': text, 'test_set': section, 'evaluators': section, 'protocols': listed,
    'landmark_error': text, 'metrics': section, 'training_time': time, 'compare_with': text, 'gallery': whole(0),
    'speed_batch_size': whole(1), 'defaults': section, 'models': section, 'references': listed
}  # yapf: disable
MODEL = {
    'title': text, 'note': text, 'weights': weights_file, 'param_key': choice('params', 'params_ema'),
    'starts_from': text, 'untrained': flag
}  # yapf: disable
EVALUATOR = {'title': text, 'weights': weights_file, 'recipe': file_path, 'options': section}
METRIC = {'type': text, 'better': choice('higher', 'lower'), 'title': text, 'digits': whole(0)}
REFERENCE = {
    'model': text, 'data': text, 'psnr': number(), 'ssim': number(), 'source': text, 'confirmed': flag
}  # yapf: disable
# Columns of the tables, which a metric of the same name would hide.
TAKEN = re.compile(r'table|model|title|iterations|starts_from|failed|psnr|ssim|params|gflop|faces_per_second|memory|'
                   r'training_minutes|(nrmse|failure_rate)(_own|_low|_high)?|.*_(low|high)')


@dataclass(frozen=True)
class ModelPlan:
    """A block of ``models``.

    Attributes:
        name: Its key, which names folders.
        title: Its name in the report.
        note: A remark below the tables, or None.
        options: BasicSR's options of its training, with the defaults merged in.
        weights: A checkpoint that is tested without training, or None.
        param_key: 'params' or 'params_ema' of the checkpoint that is tested.
        starts_from: The model whose trained weights it starts from, or None.
        untrained: Whether there is nothing to train.
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
    """A network that finds landmarks on results: given weights, or the options of its training."""
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


class _Loader(yaml.SafeLoader):
    """Reads recipes also: a tag that asks BasicSR's loader to import the plugin becomes a string."""


_Loader.add_multi_constructor('tag:yaml.org,2002:python/name:', lambda loader, suffix, node: suffix)


def read_yaml(path: str) -> Any:
    """Read a YAML file without running anything that it names.

    Raises:
        OptionError: The file cannot be read; gives the reason.
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
        path: The YAML file.
        iterations: Iterations of the default training; the budgets of all models change in proportion. Default: as in
            the file.
        only: Names of the models to keep, with those that they start from. Default: all.

    Raises:
        OptionError: Names the option and what was expected.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise OptionError(f'{path}: expected the keys of a benchmark (`key: value` lines), got {content!r}.')
    values = _values(content, PLAN, '', ('name', 'test_set', 'defaults', 'models'))
    protocols = values.get('protocols') or ['basicsr-y']
    for protocol in protocols:
        _known(protocol, PROTOCOLS, 'protocols', 'protocol')
    error = values.get('landmark_error', 'inter-ocular')
    _known(error, ERROR_PROTOCOLS, 'landmark_error', 'choice')
    evaluators = [_evaluator(name, block) for name, block in values.get('evaluators', {}).items()]
    metrics = _metrics(values.get('metrics', {}), protocols, evaluators)
    scale = _scale(values['defaults'], iterations)
    models = {name: _model(name, block, values['defaults'], scale, metrics) for name, block in values['models'].items()}
    _check_models(models)
    kept = _only(models, only) if only else models
    with open(path, encoding='utf-8') as file:
        content_text = file.read()
    return Plan(
        name=values['name'],
        title=values.get('title', values['name']),
        test_set=_test_set(values),
        evaluators=evaluators,
        protocols=protocols,
        landmark_error=error,
        metrics=metrics,
        training_time=_training_time(values.get('training_time'), models, kept, scale),
        compare_with=_compare_with(values.get('compare_with'), models, kept),
        gallery=values.get('gallery', 6),
        speed_batch_size=values.get('speed_batch_size', 8),
        models=kept,
        references=[_values(row, REFERENCE, f'references:{number}', ('model', 'data', 'source', 'confirmed'))
                    for number, row in enumerate(values.get('references', []))],
        text=content_text)  # yapf: disable


def _values(block: Any,
            kinds: Mapping[str, Optional[Kind]],
            where: str,
            required: Iterable[str] = (),
            has_others: bool = False) -> Dict[str, Any]:
    """Return the options of a block by the table of their kinds, without those that are ``~``."""
    if not isinstance(block, Mapping):
        raise OptionError(f'{where}: expected options (`key: value` lines), got {block!r}.')
    if not has_others:
        check_keys(block, kinds, where)
    values = {key: value for key, value in read_values(block, kinds, where).items() if value is not None}
    for key in required:
        if values.get(key) in (None, {}):
            raise OptionError(f'{where}:{key}: missing; expected {kinds[key].expected}.'.lstrip(':'))
    return values


def _known(value: Any, known: Iterable[str], where: str, what: str) -> None:
    if value not in known:
        raise unknown(f'{where}: {value}', str(value), known, what)


# ---------------------------------------------------------------- models
def _model(name: str, block: Any, defaults: Mapping[str, Any], scale: float,
           metrics: Mapping[str, Mapping[str, Any]]) -> ModelPlan:
    where = f'models:{name}'
    read_value(folder_name, name, where)
    values = _values(block, MODEL, where, has_others=True)
    options = merge(defaults, {key: value for key, value in block.items() if key not in MODEL})
    for key in DECIDED_HERE:
        if key in options:
            raise OptionError(f'{where}:{key}: the benchmark sets this option; remove it.')
    untrained, weights = values.get('untrained', False), values.get('weights')
    is_trained = not untrained and weights is None
    check_run_options(options, where, metrics, is_trained)
    if is_trained:
        options['train']['total_iter'] = total = _total_iter(options, where)
        options = with_iterations(options, max(1, round(total * scale)))
    has_ema = ((options.get('train') or {}).get('ema_decay') or 0) > 0
    return ModelPlan(
        name=name,
        title=values.get('title', name),
        note=values.get('note'),
        options=options,
        weights=weights,
        param_key=values.get('param_key', 'params_ema' if has_ema else 'params'),
        starts_from=values.get('starts_from'),
        untrained=untrained)


def _total_iter(options: Mapping[str, Any], where: str) -> int:
    train = _values(options.get('train'), {'total_iter': whole(1)}, f'{where}:train', ['total_iter'], has_others=True)
    return train['total_iter']


def _scale(defaults: Mapping[str, Any], iterations: Optional[int]) -> float:
    """Return the ratio by which ``--iterations`` changes all budgets."""
    if iterations is None:
        return 1.
    return read_value(whole(1), iterations, '--iterations') / _total_iter(defaults, 'defaults')


def _check_models(models: Mapping[str, ModelPlan]) -> None:
    above: Dict[str, ModelPlan] = {}
    for name, model in models.items():
        start = model.starts_from
        if start is not None and start not in above:
            raise OptionError(f'models:{name}:starts_from is {start!r}; expected a model listed above it: '
                              f'{", ".join(above) or "there is none"}.')
        if start is not None and above[start].untrained:
            raise OptionError(
                f'models:{name}:starts_from is {start!r}, which has no weights; expected a trained model.')
        same = [other.name for other in above.values() if other.title == model.title]
        if same:
            raise OptionError(f'models:{name}:title is {model.title!r}, which is also the title of {same[0]}; expected '
                              'different titles.')
        above[name] = model


def _only(models: Mapping[str, ModelPlan], only: Iterable[str]) -> Dict[str, ModelPlan]:
    wanted = set()
    for name in only:
        _known(name, models, '--models', 'model')
        start: Optional[str] = name
        while start is not None:
            wanted.add(start)
            start = models[start].starts_from
    return {name: model for name, model in models.items() if name in wanted}


def _training_time(value: Union[None, float, str], models: Mapping[str, ModelPlan], kept: Mapping[str, ModelPlan],
                   scale: float) -> Union[None, float, str]:
    if not isinstance(value, str):
        return value and value * scale
    trained = [name for name, model in models.items() if model.is_trained_here]
    if value not in trained:
        raise OptionError(f'training_time is {value!r}; expected {time.expected} ({", ".join(trained)}).')
    return value if value in kept else None


def _compare_with(value: Optional[str], models: Mapping[str, ModelPlan], kept: Mapping[str,
                                                                                       ModelPlan]) -> Optional[str]:
    if value is not None:
        _known(value, models, 'compare_with', 'model')
    return value if value in kept else None


# ---------------------------------------------------------------- the rest
def _test_set(values: Mapping[str, Any]) -> Dict[str, Any]:
    test_set = _values(values['test_set'], {'name': text, 'type': text}, 'test_set', ('name', 'type'), has_others=True)
    _known(test_set['type'], dict(iter(DATASET_REGISTRY)), 'test_set:type', 'dataset')
    defaults = _values(values['defaults'], {'scale': whole(1)}, 'defaults', ['scale'], has_others=True)
    return dict(values['test_set'], phase='test', scale=defaults['scale'])


def _evaluator(name: str, block: Any) -> EvaluatorPlan:
    where = f'evaluators:{name}'
    read_value(folder_name, name, where)
    if name == OWN:
        raise OptionError(f'{where}: {OWN!r} denotes the landmarks that a model itself finds; expected another name.')
    values = _values(block, EVALUATOR, where)
    if ('weights' in values) == ('recipe' in values):
        raise OptionError(
            f'{where}: expected either weights (a checkpoint) or recipe (an option file that trains one), '
            f'got {block!r}.')
    options = None
    if 'recipe' in values:
        options = merge(read_yaml(values['recipe']), values.get('options', {}))
        check_run_options(options, where, {}, is_trained=True)
    return EvaluatorPlan(name, values.get('title', name), values.get('weights'), options)


def _metrics(blocks: Mapping[str, Any], protocols: List[str],
             evaluators: List[EvaluatorPlan]) -> Dict[str, Dict[str, Any]]:
    taken = [f'{measure}_{protocol}' for measure in ('psnr', 'ssim') for protocol in protocols]
    taken += [f'{measure}_{each.name}' for measure in ('nrmse', 'failure_rate') for each in evaluators]
    metrics = {}
    for name, block in blocks.items():
        where = f'metrics:{name}'
        read_value(folder_name, name, where)
        if TAKEN.fullmatch(name) or name in taken:
            raise OptionError(f'{where}: the tables have a column with this name; expected another name.')
        metrics[name] = _values(block, METRIC, where, ('type', 'better'), has_others=True)
    return metrics
