"""The benchmark's YAML file, checked before anything is trained; docs/benchmark.md explains every key."""
import os
import re
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Union

from basicsr.utils.registry import DATASET_REGISTRY

from dic_plugin.benchmark.options import DECIDED_HERE, check_run_options, merge, with_iterations
from dic_plugin.evaluation.protocols import PROTOCOLS
from dic_plugin.landmarks.errors import ERROR_PROTOCOLS
from dic_plugin.utils.option_check import OptionError, check_keys, unknown
from dic_plugin.utils.option_values import Kind, choice, flag, number, read_value, read_values, text, whole
from dic_plugin.utils.option_values import path as file_path
from dic_plugin.utils.option_yaml import read_yaml

OWN = 'own'  # in place of an evaluator's name: the landmarks that a model itself finds
TIME_SUFFIX = '_time'  # of the runs of the second table
END_SUFFIX = '_end'  # of the runs of the third, before their iterations


def _kind(expected: str, holds: Callable[[Any], Any], kind: Optional[Kind] = None) -> Kind:
    """Return a kind of values for which ``holds`` is true, after they are read as another kind."""

    def read(value: Any) -> Any:
        value = kind.read(value) if kind else value
        if not holds(value):
            raise ValueError
        return value

    return Kind(expected, read)


section = _kind('options (`key: value` lines)', lambda value: isinstance(value, Mapping))
listed = _kind('a list (`- ...` lines)', lambda value: isinstance(value, list))
filled_list = _kind(f'{listed.expected} with at least one item', len, listed)
# BasicSR shortens trainings with 'debug' in their names.
NAME = re.compile(rf'(?!.*debug)(?!.*({TIME_SUFFIX}|{END_SUFFIX}\d*)$)[A-Za-z0-9][\w.+-]*')
folder_name = _kind(
    f'a folder name: letters, digits, . _ + -, no "debug" in it, no {TIME_SUFFIX!r} or {END_SUFFIX!r} at the end',
    NAME.fullmatch, text)
weights_file = _kind('an existing checkpoint', os.path.isfile, file_path)
time = _kind('seconds, or the name of a model trained here',
             lambda value: isinstance(value, str) or number(above=0).read(value))  # yapf: disable

PLAN = {
    'name': folder_name, 'title': text, 'test_set': section, 'more_test_sets': listed, 'evaluators': section,
    'protocols': filled_list, 'landmark_error': text, 'metrics': section, 'training_time': time,
    'to_the_end': number(above=0), 'compare_with': text, 'gallery': whole(0), 'speed_batch_size': whole(1),
    'defaults': section, 'models': section, 'references': listed
}  # yapf: disable
DEFAULTS: Dict[str, Any] = {
    'more_test_sets': [], 'evaluators': {}, 'protocols': ['basicsr-y'], 'landmark_error': 'inter-ocular', 'metrics': {},
    'training_time': None, 'to_the_end': None, 'compare_with': None, 'gallery': 6, 'speed_batch_size': 8,
    'references': []
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
# Folders of a benchmark, see workspace.py.
RESERVED = ('options', 'experiments', 'results', 'test_set', 'records', 'logs')
# Columns of the tables, which a metric of the same name would hide.
TAKEN = re.compile(r'table|model|title|iterations|starts_from|failed|psnr|ssim|params|gflop|faces_per_second|memory|'
                   r'training_minutes|(nrmse|failure_rate)(_own|_low|_high)?|.*_(low|high)')


@dataclass(frozen=True)
class ModelPlan:
    """A block of ``models``.

    Attributes:
        name: Its key, which names folders.
        title: Its name in the report.
        options: BasicSR's options of its training, with the defaults merged in.
        param_key: 'params' or 'params_ema' of the checkpoint that is tested.
        note: A remark below the tables, or None.
        weights: A checkpoint that is tested without training, or None.
        starts_from: The model whose trained weights it starts from, or None.
        untrained: Whether there is nothing to train.
    """
    name: str
    title: str
    options: Dict[str, Any]
    param_key: str
    note: Optional[str] = None
    weights: Optional[str] = None
    starts_from: Optional[str] = None
    untrained: bool = False

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
    more_test_sets: List[Dict[str, Any]]
    evaluators: List[EvaluatorPlan]
    protocols: List[str]
    landmark_error: str
    metrics: Dict[str, Dict[str, Any]]
    training_time: Union[None, float, str]
    to_the_end: Optional[float]
    compare_with: Optional[str]
    gallery: int
    speed_batch_size: int
    models: Dict[str, ModelPlan]
    references: List[Dict[str, Any]]
    text: str


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
    with open(path, encoding='utf-8') as file:
        values = dict(DEFAULTS, text=file.read())
    values.update(_values(content, PLAN, '', ('name', 'test_set', 'defaults', 'models')))
    for protocol in values['protocols']:
        _known(protocol, PROTOCOLS, 'protocols', 'protocol')
    _known(values['landmark_error'], ERROR_PROTOCOLS, 'landmark_error', 'choice')
    defaults = values.pop('defaults')
    values['test_set'] = _test_set(values['test_set'], defaults, 'test_set')
    values['more_test_sets'] = _more_test_sets(values, defaults)
    values['evaluators'] = [_evaluator(name, block) for name, block in values['evaluators'].items()]
    values['metrics'] = _metrics(values)
    scale = 1.
    if iterations is not None:
        scale = read_value(whole(1), iterations, '--iterations') / _total_iter(defaults, 'defaults')
    models = {name: _model(name, block, defaults, scale, values['metrics']) for name, block in values['models'].items()}
    _check_models(models)
    values['models'] = kept = _only(models, only or models)
    values['references'] = [
        _values(row, REFERENCE, f'references:{number}', ('model', 'data', 'source', 'confirmed'))
        for number, row in enumerate(values['references'])
    ]
    if isinstance(values['training_time'], str):
        trained = [name for name, model in models.items() if model.is_trained_here]
        if values['training_time'] not in trained:
            raise OptionError(f'training_time is {values["training_time"]!r}; expected {time.expected} '
                              f'({", ".join(trained)}).')
    elif values['training_time'] is not None:
        values['training_time'] *= scale
    if values['to_the_end'] is not None:
        for name, model in kept.items():
            if model.is_trained_here and 'psnr' not in ((model.options.get('val') or {}).get('metrics') or {}):
                raise OptionError(f'to_the_end: expected val:metrics:psnr of every trained model; {name} has none.')
    if values['compare_with'] is not None:
        _known(values['compare_with'], models, 'compare_with', 'model')
    for key in ('training_time', 'compare_with'):
        if values[key] in models and values[key] not in kept:
            values[key] = None
    return Plan(**{'title': values['name'], **values})


def _values(block: Any,
            kinds: Mapping[str, Optional[Kind]],
            where: str,
            required: Iterable[str] = (),
            has_others: bool = False) -> Dict[str, Any]:
    """Return the options of a block that are in the table of kinds, as meant, without those that are ``~``."""
    if not isinstance(block, Mapping):
        raise OptionError(f'{where}: expected options (`key: value` lines), got {block!r}.')
    if not has_others:
        check_keys(block, kinds, where)
    given = {key: block[key] for key in kinds if block.get(key) is not None}
    values = read_values(given, kinds, where)
    for key in required:
        kind = kinds[key]
        if kind and values.get(key) in (None, {}):
            raise OptionError(f'{where}:{key}: missing; expected {kind.expected}.'.lstrip(':'))
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
    has_ema = ((options.get('train') or {}).get('ema_decay') or 0) > 0
    model = ModelPlan(**{'name': name, 'title': name, 'options': options,
                         'param_key': 'params_ema' if has_ema else 'params', **values})  # yapf: disable
    check_run_options(options, where, metrics, model.is_trained_here)
    if not model.is_trained_here:
        return model
    options['train']['total_iter'] = total = _total_iter(options, where)
    return replace(model, options=with_iterations(options, max(1, round(total * scale))))


def _total_iter(options: Mapping[str, Any], where: str) -> int:
    train = _values(options.get('train'), {'total_iter': whole(1)}, f'{where}:train', ['total_iter'], has_others=True)
    return train['total_iter']


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


# ---------------------------------------------------------------- the rest
def _test_set(block: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> Dict[str, Any]:
    values = _values(block, {'name': text, 'type': text}, where, ('name', 'type'), has_others=True)
    _known(values['type'], dict(iter(DATASET_REGISTRY)), f'{where}:type', 'dataset')
    scale = _values(defaults, {'scale': whole(1)}, 'defaults', ['scale'], has_others=True)['scale']
    return dict(block, phase='test', scale=scale)


def _more_test_sets(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = []
    for index, block in enumerate(values['more_test_sets']):
        where = f'more_test_sets:{index}'
        found.append(_test_set(block, defaults, where))
        name = read_value(folder_name, found[-1]['name'], f'{where}:name')  # of the folder of its results
        if name in RESERVED or name in [each['name'] for each in (values['test_set'], *found[:-1])]:
            raise OptionError(f'{where}:name is {name!r}, which is taken; expected another name.')
    return found


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


def _metrics(values: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    taken = [f'{measure}_{protocol}' for measure in ('psnr', 'ssim') for protocol in values['protocols']]
    taken += [f'{measure}_{each.name}' for measure in ('nrmse', 'failure_rate') for each in values['evaluators']]
    metrics = {}
    for name, block in values['metrics'].items():
        where = f'metrics:{name}'
        read_value(folder_name, name, where)
        if TAKEN.fullmatch(name) or name in taken:
            raise OptionError(f'{where}: the tables have a column with this name; expected another name.')
        values_of = _values(block, METRIC, where, ('type', 'better'), has_others=True)
        metrics[name] = {**block, 'title': name, 'digits': 4, **values_of}
    return metrics
