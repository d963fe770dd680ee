"""The stages of one run: training and testing by BasicSR in processes of their own, cost, and measuring.

A stage that finished with equal inputs is not done again. A training that was interrupted goes on where it stopped;
one whose options have changed since starts again, and the old one is set aside.
"""
import hashlib
import inspect
import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np
from basicsr.utils.registry import METRIC_REGISTRY

from dic_plugin import __version__
from dic_plugin.benchmark.machine import Failed, Machine
from dic_plugin.benchmark.measure import measure
from dic_plugin.benchmark.options import option_text, testing_options, training_options
from dic_plugin.benchmark.own_landmarks import own_landmark_errors
from dic_plugin.benchmark.plan import EvaluatorPlan, ModelPlan, Plan
from dic_plugin.benchmark.test_set import TestSet
from dic_plugin.benchmark.training_log import read_training_log
from dic_plugin.benchmark.workspace import Workspace, fingerprint, set_aside
from dic_plugin.evaluation.files import open_results, pair_names
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator
from dic_plugin.evaluation.summary import estimate
from dic_plugin.utils.atomic_write import write_text

_PIPELINE = 'import sys; from dic_plugin.launch import {0}; sys.exit({0}(sys.argv.pop(1)))'


@dataclass
class Run:
    """A model at one budget, and what is known of it so far.

    Attributes:
        name: of its folders.
        model: as planned, with the options of this budget.
        training: ``iterations``, ``seconds_per_iteration`` (None if its log has none), ``first_epoch_only`` (faces were
            being drawn meanwhile), ``curves``, and on what ``machine`` and ``date``; empty if it was not trained here.
        cost: see dic_plugin.benchmark.cost.
        measured: see dic_plugin.benchmark.measure.
        failed: the stage that failed, and why.
    """
    name: str
    model: ModelPlan
    training: Dict[str, Any] = field(default_factory=dict)
    cost: Dict[str, Any] = field(default_factory=dict)
    measured: Dict[str, Any] = field(default_factory=dict)
    failed: Optional[str] = None

    @property
    def training_seconds(self) -> Optional[float]:
        """Seconds of its own training, from the median iteration."""
        per_iteration = self.training.get('seconds_per_iteration')
        return None if per_iteration is None else per_iteration * self.training['iterations']


class Stages:
    """Does the stages of runs of a plan. They raise Failed, OSError or ValueError where they fail."""

    def __init__(self, plan: Plan, workspace: Workspace, machine: Machine, test_set: TestSet,
                 say: Callable[[str], None]) -> None:
        self.plan, self.workspace, self.machine, self.test_set, self.say = plan, workspace, machine, test_set, say

    # ---------------------------------------------------------------- training
    def train(self, run: Run, start: Optional[Run] = None) -> None:
        """Train a run that is trained here; ``start``: the one whose weights it starts from."""
        if not run.model.is_trained_here:
            return
        pretrained = None if start is None else self.weights(start)
        param_key = 'params' if start is None else start.model.param_key
        run.training = self._train(run.name, run.model.options, pretrained, param_key)

    def train_evaluator(self, plan: EvaluatorPlan) -> Path:
        """Weights of an evaluator; trained first if its plan says so."""
        if plan.weights is not None:
            return Path(plan.weights)
        name = f'evaluator_{plan.name}'
        self._train(name, plan.options, None, 'params')
        return self.workspace.weights(name)

    def _train(self, name: str, options: Mapping[str, Any], pretrained: Optional[Path],
               param_key: str) -> Dict[str, Any]:
        inputs = dict(options=options, starts_from=None if pretrained is None else fingerprint(pretrained))
        done = self.workspace.finished(name, 'train', inputs)
        if done is not None and self.workspace.weights(name).is_file():
            return done
        experiment = self.workspace.experiment(name)
        if experiment.exists() and not self.workspace.began(name, 'train', inputs):
            self.say(f'[{name}] options have changed: trains again; the earlier training is set aside')
            set_aside(experiment)
        self.workspace.begin(name, 'train', inputs)
        content = training_options(options, name, self.machine.num_gpu, pretrained and str(pretrained), param_key)
        total = options['train']['total_iter']
        self._pipeline('train', name, content, f'trains {total} iterations', '--auto_resume')
        log = read_training_log(experiment, total)
        return self.workspace.finish(
            name, 'train', inputs,
            dict(iterations=total, machine=self.machine.description(), date=date.today().isoformat(), **log._asdict()))

    def weights(self, run: Run) -> Optional[Path]:
        """The checkpoint of a run; None if it has nothing to train."""
        if run.model.untrained:
            return None
        return Path(run.model.weights) if run.model.weights else self.workspace.weights(run.name)

    # ---------------------------------------------------------------- testing
    def test(self, run: Run) -> None:
        """Let BasicSR's test loop write the results of a run."""
        inputs = self._test_inputs(run)
        if self.workspace.finished(run.name, 'test', inputs) is not None and self._has_all_pictures(run):
            return
        weights = self.weights(run)
        content = testing_options(run.model.options, run.name, self.machine.num_gpu, self.test_set.dataset(), weights
                                  and str(weights), run.model.param_key)
        self.workspace.begin(run.name, 'test', inputs)
        set_aside(self.workspace.root / 'results' / run.name)
        self._pipeline('test', run.name, content, f'tests {len(self.test_set.names)} images')
        self.workspace.finish(run.name, 'test', inputs, {})

    def _test_inputs(self, run: Run) -> Dict[str, Any]:
        weights, options = self.weights(run), run.model.options
        return dict(
            weights=None if weights is None else fingerprint(weights),
            param_key=run.model.param_key,
            network_g=options['network_g'],
            model_type=options['model_type'],
            test_set=self.test_set.inputs)

    def _pictures(self, run: Run) -> Path:
        return self.workspace.pictures(run.name, self.test_set.name)

    def _has_all_pictures(self, run: Run) -> bool:
        folder, names = self._pictures(run), self.test_set.names
        if not folder.is_dir() or not any(folder.iterdir()):
            return False
        return len(pair_names(open_results(str(folder)).names, names).pairs) == len(names)

    def _pipeline(self, what: str, name: str, options: Mapping[str, Any], said: str, *arguments: str) -> None:
        """Run BasicSR's train_pipeline or test_pipeline on an option file that is written for it."""
        file, log = self.workspace.option_file(name, what), self.workspace.log(name, what)
        root = str(self.workspace.root)
        write_text(file, option_text(options, f'{name}: written by dic-benchmark'))
        with self.machine.slot() as slot:
            self.say(f'[{name}] {said} (log: {log})')
            self.machine.run(['-c', _PIPELINE.format(what), root, '-opt', str(file), *arguments], log, slot)

    # ---------------------------------------------------------------- measuring
    def cost(self, run: Run) -> None:
        """Measure what the network of a run costs; once for all runs with the same network."""
        inputs = dict(
            network_g=run.model.options['network_g'],
            lq_size=self.test_set.lq_size,
            batch_size=self.plan.speed_batch_size,
            device='cuda' if self.machine.gpus else 'cpu')
        key = dict(inputs, machine=self.machine.description())
        done = self.workspace.finished(run.model.name, 'cost', key)
        if done is None:
            log = self.workspace.log(run.model.name, 'cost')
            options = self.workspace.root / 'options' / f'{run.model.name}_cost.json'
            write_text(options, json.dumps(inputs))
            log.unlink(missing_ok=True)
            with self.machine.slot() as slot:
                self.say(f'[{run.model.name}] measures speed and memory')
                self.machine.run(['-m', 'dic_plugin.benchmark.cost', str(options)], log, slot)
            result = json.loads(log.read_text(encoding='utf-8').splitlines()[-1])
            done = self.workspace.finish(run.model.name, 'cost', key, result)
        run.cost = done

    def measure(self, run: Run, evaluators: Mapping[str, LandmarkEvaluator], weights: Mapping[str, Path]) -> None:
        """Measure the results of a run; ``weights``: the evaluators' files."""
        inputs = dict(
            self._test_inputs(run),
            evaluators={
                name: fingerprint(path)
                for name, path in weights.items()
            },
            protocols=self.plan.protocols,
            metrics={
                name: dict(option, source=_source(option['type']))
                for name, option in self.plan.metrics.items()
            },
            dic_plugin=__version__)
        done = self.workspace.finished(run.name, 'measure', inputs)
        if done is None:
            pictures = self._pictures(run)
            if not pictures.is_dir():
                raise Failed(f'BasicSR\'s test loop wrote no pictures into {pictures}')
            self.say(f'[{run.name}] measures {len(self.test_set.names)} results')
            result = measure(str(pictures), self.test_set, evaluators, self.plan.protocols, self.plan.metrics)
            own = own_landmark_errors(run.model.options['network_g'], self.weights(run), run.model.param_key,
                                      self.test_set, self.machine.device)
            result['values'].update(own)
            result['estimates'].update({key: estimate(np.array(errors))._asdict() for key, errors in own.items()})
            done = self.workspace.finish(run.name, 'measure', inputs, result)
        run.measured = done


def _source(metric: str) -> str:
    """Fingerprint of a registered metric's code, so that an edited one is measured anew; '' where there is none."""
    try:
        return hashlib.sha256(inspect.getsource(METRIC_REGISTRY.get(metric)).encode()).hexdigest()
    except (OSError, TypeError):  # compiled, or typed in
        return ''
