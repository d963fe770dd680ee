"""The whole benchmark: all runs, side by side, first with equal iterations, then with equal training time."""
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from dic_plugin.benchmark.machine import Failed, Machine
from dic_plugin.benchmark.options import with_iterations
from dic_plugin.benchmark.plan import TIME_SUFFIX, Plan
from dic_plugin.benchmark.stages import Run, Stages
from dic_plugin.benchmark.test_set import TestSet, write_test_set
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator
from dic_plugin.utils.atomic_write import write_text

SAME_BUDGET = 0.03  # a second training whose length would differ by less is not done


class Row(NamedTuple):
    """A row of the tables of equal iterations ('iterations') and of equal training time ('time')."""
    table: str
    run: Run


@dataclass(frozen=True)
class Outcome:
    """What the report is of.

    Attributes:
        plan, test_set: as run.
        rows: in the plan's order, one table after the other.
        evaluators: those that could be had, by name.
        seconds: the training time that all have in the second table; None if there is none.
        warnings: what went wrong beside the rows.
        machine: on what, in words.
    """
    plan: Plan
    test_set: TestSet
    rows: List[Row]
    evaluators: Dict[str, LandmarkEvaluator]
    seconds: Optional[float]
    warnings: List[str]
    machine: str

    def of(self, table: str) -> List[Run]:
        """The runs in one table."""
        return [row.run for row in self.rows if row.table == table]

    @property
    def tables(self) -> List[str]:
        """Names of the tables: 'iterations', and 'time' if it has rows."""
        return ['iterations'] + ['time'] * any(row.table == 'time' for row in self.rows)


def run_benchmark(plan: Plan, workspace: Workspace, machine: Machine, say: Callable[[str], None] = print) -> Outcome:
    """Do whatever of a plan is not done yet; what fails leaves its reason in its row and the others alone.

    Args:
        plan: what to compare.
        workspace: its folder.
        machine: where processes run.
        say: is told what happens.

    Raises:
        FileNotFoundError, ValueError: the test set cannot be made, or the weights of an evaluator are none.
        KeyboardInterrupt: passed on after all processes have been ended; the next run goes on.
    """
    write_text(workspace.root / 'benchmark.yml', plan.text)
    for each in plan.evaluators:
        if each.weights is not None:
            LandmarkEvaluator(each.weights, machine.device)  # said before hours of training
    stages = Stages(plan, workspace, machine, write_test_set(plan.test_set, workspace), say)
    # a thread for each, so that one that waits for another's weights keeps none from the free slots of the machine
    pool = ThreadPoolExecutor(len(plan.models) + len(plan.evaluators))
    try:
        evaluators = {each.name: pool.submit(stages.train_evaluator, each) for each in plan.evaluators}
        runs = {name: Run(name, model) for name, model in plan.models.items()}
        _train_and_test(pool, stages, runs)
        seconds = _seconds(plan, runs)
        timed = _timed_runs(runs, seconds)
        _train_and_test(pool, stages, {name: run for name, run in timed.items() if name not in runs})
        weights, networks, warnings = _finished(evaluators, machine.device, say)
        for run in {**runs, **timed}.values():
            if run.failed is None:
                _guarded(stages, run, 'measuring', lambda: stages.measure(run, networks, weights))
                _guarded(stages, run, 'cost', lambda: stages.cost(run))
    except BaseException:
        machine.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

    rows = [Row('iterations', run) for run in runs.values()] + [Row('time', run) for run in timed.values()]
    if plan.training_time is not None and seconds is None:
        warnings.append(f'There is no table of equal training time: the log of {plan.training_time} tells none.')
    warnings += [
        f'{run.model.title} is not in the table of equal training time: its log tells no time.'
        for run in runs.values()
        if seconds is not None and run.training and run.training['seconds_per_iteration'] is None
    ]
    return Outcome(plan, stages.test_set, rows, networks, seconds, warnings, machine.description())


# ---------------------------------------------------------------- runs side by side
def _train_and_test(pool: ThreadPoolExecutor, stages: Stages, runs: Dict[str, Run]) -> None:
    futures: Dict[str, 'Future[None]'] = {}
    for name, run in runs.items():
        # earlier ones have been submitted before, so that waiting for them in the pool always ends
        start = run.model.starts_from
        futures[name] = pool.submit(_one, stages, run, runs.get(start), futures.get(start))
    for future in futures.values():
        future.result()


def _one(stages: Stages, run: Run, start: Optional[Run], started: 'Optional[Future[None]]') -> None:
    if start is not None:
        started.result()
        if start.failed is not None:
            run.failed = f'training: {start.model.title}, from which it starts, failed'
            return
    _guarded(stages, run, 'training', lambda: stages.train(run, start))
    if run.failed is None:
        _guarded(stages, run, 'testing', lambda: stages.test(run))


def _guarded(stages: Stages, run: Run, stage: str, work: Callable[[], Any]) -> None:
    try:
        work()
    except Exception as error:  # whatever it is, the other models' figures are not to be lost
        stages.say(f'[{run.name}] {stage}: {_words(error)}')
        run.failed = run.failed or f'{stage}: {_words(error)}'


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, (Failed, OSError, ValueError)) else f'{type(error).__name__}: {error}'


def _finished(evaluators: Dict[str, 'Future[Path]'], device: str,
              say: Callable[[str], None]) -> Tuple[Dict[str, Path], Dict[str, LandmarkEvaluator], List[str]]:
    """Weights and networks by evaluator, and warnings about those that there are not."""
    weights, networks, warnings = {}, {}, []
    for name, future in evaluators.items():
        try:
            path = future.result()
            networks[name] = LandmarkEvaluator(str(path), device)
            weights[name] = path
        except Exception as error:
            warnings.append(f'There are no landmarks by the evaluator {name}: {_words(error)}')
            say(warnings[-1])
    return weights, networks, warnings


# ---------------------------------------------------------------- equal time
def _seconds(plan: Plan, runs: Dict[str, Run]) -> Optional[float]:
    if isinstance(plan.training_time, str):
        return runs[plan.training_time].training_seconds
    return plan.training_time


def _timed_runs(runs: Dict[str, Run], seconds: Optional[float]) -> Dict[str, Run]:
    """One run for every model of the second table: the first one's where it took that long, or else a new one.

    Models that continue another's training have no place there, nor have given weights, whose time is not known.
    """
    timed: Dict[str, Run] = {}
    for name, run in runs.items() if seconds is not None else ():
        model = run.model
        if model.starts_from is not None or model.weights is not None:
            continue
        if model.untrained or run.failed is not None:
            timed[name] = run
            continue
        per_iteration = run.training['seconds_per_iteration']
        if per_iteration is None:
            continue
        total = max(1, round(seconds / per_iteration))
        if abs(total - model.iterations) <= SAME_BUDGET * model.iterations:
            timed[name] = run
        else:
            longer = replace(model, options=with_iterations(model.options, total))
            timed[name + TIME_SUFFIX] = Run(name + TIME_SUFFIX, longer)
    return timed
