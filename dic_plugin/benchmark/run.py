"""The whole benchmark: all runs, side by side, first with equal iterations, then with equal training time."""
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from dic_plugin.benchmark.machine import Failed, Machine
from dic_plugin.benchmark.options import with_iterations
from dic_plugin.benchmark.plan import TIME_SUFFIX, Plan
from dic_plugin.benchmark.stages import Run, Stages
from dic_plugin.benchmark.test_set import TestSet, write_test_set
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator

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


def run_benchmark(plan: Plan, workspace: Workspace, machine: Machine, say: Callable[[str], None] = print) -> Outcome:
    """Do whatever of a plan is not done yet; what fails leaves its reason in its row and the others alone.

    Args:
        plan: what to compare.
        workspace: its folder.
        machine: where processes run.
        say: is told what happens.

    Raises:
        FileNotFoundError, ValueError: the test set cannot be made.
        KeyboardInterrupt: passed on after all processes have been ended; the next run goes on.
    """
    workspace.write_text(workspace.root / 'benchmark.yml', plan.text)
    stages = Stages(plan, workspace, machine, write_test_set(plan.test_set, workspace), say)
    pool = ThreadPoolExecutor(machine.jobs)
    try:
        evaluators = {each.name: pool.submit(stages.train_evaluator, each) for each in plan.evaluators}
        runs = {name: Run(name, model) for name, model in plan.models.items()}
        _train_and_test(pool, stages, runs)
        seconds = _seconds(plan, runs)
        timed = _timed_runs(runs, seconds)
        _train_and_test(pool, stages, {name: run for name, run in timed.items() if name not in runs})
        weights, warnings = _finished(evaluators, say)
    except BaseException:
        machine.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

    networks = {name: LandmarkEvaluator(str(path), machine.device) for name, path in weights.items()}
    for run in {**runs, **timed}.values():
        if run.failed is None:
            _guarded(stages, run, 'measuring', lambda: stages.measure(run, networks, weights))
            _guarded(stages, run, 'cost', lambda: stages.cost(run))
    rows = [Row('iterations', run) for run in runs.values()] + [Row('time', run) for run in timed.values()]
    if plan.training_time is not None and seconds is None:
        warnings.append(f'There is no table of equal training time: the log of {plan.training_time} tells none.')
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
    except (Failed, OSError, ValueError) as error:
        stages.say(f'[{run.name}] {stage}: {error}')
        run.failed = run.failed or f'{stage}: {error}'


def _finished(evaluators: Dict[str, 'Future[Path]'], say: Callable[[str], None]) -> Any:
    """Weights by evaluator, and warnings about those that there are not."""
    weights, warnings = {}, []
    for name, future in evaluators.items():
        try:
            weights[name] = future.result()
        except (Failed, OSError, ValueError) as error:
            warnings.append(f'There are no landmarks by the evaluator {name}, whose training failed: {error}')
            say(warnings[-1])
    return weights, warnings


# ---------------------------------------------------------------- equal time
def _seconds(plan: Plan, runs: Dict[str, Run]) -> Optional[float]:
    if isinstance(plan.training_time, str):
        return runs[plan.training_time].training_seconds
    return plan.training_time


def _timed_runs(runs: Dict[str, Run], seconds: Optional[float]) -> Dict[str, Run]:
    """One run for every model of the second table: the first one's where it took that long, or else a new one.

    Models that continue another's training have no place there.
    """
    timed: Dict[str, Run] = {}
    for name, run in runs.items() if seconds is not None else ():
        model = run.model
        if model.starts_from is not None:
            continue
        if not model.is_trained_here or run.failed is not None:
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
