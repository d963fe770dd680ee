"""The stages of one run: training and testing by BasicSR in separate processes, cost, and measures.

A stage that finished with equal inputs is not repeated. An interrupted training resumes; if its options have changed
since, it starts again, and the old experiment is renamed.
"""
import hashlib
import inspect
import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np
from basicsr.utils.registry import METRIC_REGISTRY, MODEL_REGISTRY

from dic_plugin import __version__
from dic_plugin.benchmark.machine import Failed, Machine
from dic_plugin.benchmark.measure import measure, own_landmark_errors
from dic_plugin.benchmark.options import option_text, testing_options, training_options
from dic_plugin.benchmark.plan import EvaluatorPlan, ModelPlan, Plan
from dic_plugin.benchmark.test_set import FaceSet
from dic_plugin.benchmark.training_log import read_training_log
from dic_plugin.benchmark.workspace import Workspace, fingerprint, set_aside
from dic_plugin.evaluation.files import open_results, pair_names
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.evaluation.summary import estimate
from dic_plugin.models.face_model import FaceModel
from dic_plugin.models.found_landmarks import found_landmarks_file
from dic_plugin.utils.atomic_write import write_json, write_text

_PIPELINE = ('import sys; from dic_plugin.benchmark.machine import end_with_parent; end_with_parent(); '
             'from dic_plugin.launch import {0}; sys.exit({0}(sys.argv.pop(1)))')


@dataclass
class Run:
    """A model at one budget, with the results of its stages so far.

    Attributes:
        name: Name of its folders.
        model: The model, with the options of this budget.
        training: ``iterations``, ``seconds_per_iteration``, ``first_epoch_only`` and ``curves`` (see TrainingLog),
            ``machine`` and ``date``; empty if it was not trained here.
        cost: See measure_cost.
        measured: See measure.
        failed: The stage that failed, and the reason.
        gain: In the third table, the dB that the last doubling of its iterations gained on the validation set.
    """
    name: str
    model: ModelPlan
    training: Dict[str, Any] = field(default_factory=dict)
    cost: Dict[str, Any] = field(default_factory=dict)
    measured: Dict[str, Any] = field(default_factory=dict)
    failed: Optional[str] = None
    gain: Optional[float] = None

    @property
    def training_seconds(self) -> Optional[float]:
        """Seconds of its own training, from the median iteration."""
        per_iteration = self.training.get('seconds_per_iteration')
        return None if per_iteration is None else per_iteration * self.training['iterations']


class Stages:
    """The stages of the runs of a plan. They raise Failed, OSError or ValueError if they fail."""

    def __init__(self, plan: Plan, workspace: Workspace, machine: Machine, test_set: FaceSet,
                 say: Callable[[str], None]) -> None:
        self.plan, self.workspace, self.machine, self.test_set, self.say = plan, workspace, machine, test_set, say
        self.trainings = workspace.trainings

    def train(self, run: Run, start: Optional[Run] = None) -> None:
        """Train a run, unless its weights are given; ``start`` is the run whose weights it starts from."""
        if run.model.is_trained_here:
            pretrained = None if start is None else self.weights(start)
            param_key = 'params' if start is None else start.model.param_key
            run.training = self._train(run.name, run.model.options, pretrained, param_key)

    def train_evaluator(self, plan: EvaluatorPlan) -> Path:
        """Return the weights of an evaluator, which is trained first if its plan has a recipe."""
        if plan.weights is not None:
            return Path(plan.weights)
        name = f'evaluator_{plan.name}'
        self._train(name, plan.options or {}, None, 'params')
        return self.trainings.weights(name)

    def _train(self, name: str, options: Mapping[str, Any], pretrained: Optional[Path],
               param_key: str) -> Dict[str, Any]:
        experiment, total = self.trainings.experiment(name), options['train']['total_iter']

        def reset() -> None:
            if experiment.exists():
                self.say(f'[{name}] options have changed: trains again; the earlier training is set aside')
                set_aside(experiment)

        def work() -> Dict[str, Any]:
            content = training_options(options, name, self.machine.num_gpu, _text(pretrained), param_key)
            self._pipeline('train', name, content, f'trains {total} iterations', '--auto_resume')
            log = read_training_log(experiment, total)._asdict()
            return dict(iterations=total, machine=self.machine.description(), date=date.today().isoformat(), **log)

        inputs = dict(options=options, starts_from=pretrained and fingerprint(pretrained))
        return self.trainings.once(name, 'train', inputs, work, self.trainings.weights(name).is_file(), reset)

    def weights(self, run: Run) -> Optional[Path]:
        """Return the checkpoint of a run; None if there is nothing to train."""
        if run.model.untrained:
            return None
        return Path(run.model.weights) if run.model.weights else self.trainings.weights(run.name)

    def test(self, run: Run) -> None:
        """Write the results of a run by BasicSR's test loop."""
        weights = self.weights(run)

        def work() -> Dict[str, Any]:
            set_aside(self.workspace.root / 'results' / run.name)
            content = testing_options(run.model.options, run.name, self.machine.num_gpu, self.test_set.dataset(),
                                      _text(weights), run.model.param_key)
            self._pipeline('test', run.name, content, f'tests {len(self.test_set.names)} images')
            return {}

        self.workspace.once(run.name, 'test', self._test_inputs(run), work, self._has_all_pictures(run))

    def _test_inputs(self, run: Run) -> Dict[str, Any]:
        weights, options = self.weights(run), run.model.options
        return dict(
            weights=weights and fingerprint(weights),
            param_key=run.model.param_key,
            network_g=options['network_g'],
            model_type=options['model_type'],
            test_set=self.test_set.inputs)

    def _has_all_pictures(self, run: Run) -> bool:
        folder, names = self.workspace.pictures(run.name, self.test_set.name), self.test_set.names
        if not folder.is_dir() or not any(folder.iterdir()):
            return False
        if issubclass(MODEL_REGISTRY.get(run.model.options['model_type']), FaceModel):
            if not self._found_landmarks(run).is_file():  # earlier versions did not save it
                return False
        return len(pair_names(open_results(str(folder)).names, names).pairs) == len(names)

    def _found_landmarks(self, run: Run) -> Path:
        return Path(found_landmarks_file(self.workspace.pictures(run.name, self.test_set.name)))

    def _pipeline(self, what: str, name: str, options: Mapping[str, Any], said: str, *arguments: str) -> None:
        """Run BasicSR's train_pipeline or test_pipeline with an option file that is written for it."""
        workspace = self.trainings if what == 'train' else self.workspace
        file, log = workspace.root / 'options' / f'{name}_{what}.yml', workspace.log(name, what)
        write_text(file, option_text(options, f'{name}: written by dic-benchmark'))
        code, root = _PIPELINE.format(what), str(workspace.root)
        self.machine.run(['-c', code, root, '-opt', str(file), *arguments], log,
                         lambda: self.say(f'[{name}] {said} (log: {log})'))

    def cost(self, run: Run) -> None:
        """Measure the cost of a run's network, once for all runs of a model."""
        name = run.model.name
        inputs = dict(
            network_g=run.model.options['network_g'],
            lq_size=self.test_set.lq_size,
            batch_size=self.plan.speed_batch_size,
            device='cuda' if self.machine.gpus else 'cpu')

        def work() -> Dict[str, Any]:
            log = self.trainings.log(name, 'cost')
            options = self.trainings.root / 'options' / f'{name}_cost.json'
            write_json(options, inputs)
            log.unlink(missing_ok=True)
            self.machine.run(['-m', 'dic_plugin.benchmark.cost', str(options)], log,
                             lambda: self.say(f'[{name}] measures speed and memory'))
            return json.loads(log.read_text(encoding='utf-8').splitlines()[-1])

        run.cost = self.trainings.once(name, 'cost', dict(inputs, machine=self.machine.description()), work)

    def measure(self, run: Run, evaluators: Mapping[str, LandmarkEvaluator], weights: Mapping[str, Path]) -> None:
        """Measure the results of a run; ``weights``: the files of the evaluators."""
        plan = self.plan

        def work() -> Dict[str, Any]:
            pictures = self.workspace.pictures(run.name, self.test_set.name)
            if not pictures.is_dir():
                raise Failed(f'BasicSR\'s test loop wrote no pictures into {pictures}')
            self.say(f'[{run.name}] measures {len(self.test_set.names)} results')
            result = measure(str(pictures), self.test_set, evaluators, plan.protocols, plan.metrics)
            own = {} if run.model.untrained else own_landmark_errors(self._found_landmarks(run), self.test_set)
            result['values'].update(own)
            result['estimates'].update({key: estimate(np.array(errors))._asdict() for key, errors in own.items()})
            return result

        inputs = dict(
            self._test_inputs(run),
            evaluators={name: fingerprint(path) for name, path in weights.items()},
            protocols=plan.protocols,
            metrics={name: dict(option, source=_source(option['type'])) for name, option in plan.metrics.items()},
            dic_plugin=__version__)  # yapf: disable
        run.measured = self.workspace.once(run.name, 'measure', inputs, work)


def _text(path: Optional[Path]) -> Optional[str]:
    return None if path is None else str(path)


def _source(metric: str) -> str:
    """Return a fingerprint of a metric's code, so that an edited metric is measured again; '' if there is none."""
    try:
        return hashlib.sha256(inspect.getsource(METRIC_REGISTRY.get(metric)).encode()).hexdigest()
    except (OSError, TypeError):  # compiled, or defined interactively
        return ''
