"""The whole benchmark: all runs, side by side, with equal iterations, equal training time, and trained to the end."""
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from dic_plugin.benchmark.machine import Failed, Machine
from dic_plugin.benchmark.options import with_iterations
from dic_plugin.benchmark.plan import END_SUFFIX, TIME_SUFFIX, Plan
from dic_plugin.benchmark.stages import Run, Stages
from dic_plugin.benchmark.test_set import FaceSet, write_test_set
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.utils.atomic_write import write_text

SAME_BUDGET = 0.03  # relative difference of lengths below which a training is used for both tables
NUM_BEST = 5  # models of the third table


class Row(NamedTuple):
    """A row of the table of equal iterations ('iterations'), of equal training time ('time') or of the end ('end')."""
    table: str
    run: Run


@dataclass(frozen=True)
class Outcome:
    """The results of a benchmark.

    Attributes:
        plan, test_set: The plan and its test images.
        rows: In the plan's order, one table after the other.
        evaluators: The networks that find landmarks, by name, without those that failed.
        seconds: The training time of the second table; None if there is none.
        warnings: Failures that are not those of a row.
        machine: The description of the machine.
    """
    plan: Plan
    test_set: FaceSet
    rows: List[Row]
    evaluators: Dict[str, LandmarkEvaluator]
    seconds: Optional[float]
    warnings: List[str]
    machine: str

    def of(self, table: str) -> List[Run]:
        """Return the runs in one table."""
        return [row.run for row in self.rows if row.table == table]

    @property
    def tables(self) -> List[str]:
        """Names of the tables that have rows."""
        return list(dict.fromkeys(row.table for row in self.rows))


def run_benchmark(plan: Plan,
                  workspace: Workspace,
                  machine: Machine,
                  say: Callable[[str], None] = print) -> Iterator[Outcome]:
    """Do everything in a plan that is not done yet; a failure is noted in its row and does not stop the others.

    Yields the outcome when the first two tables are complete, and again whenever the third has grown by a doubling of
    its models' iterations.

    Args:
        plan: The models to compare.
        workspace: The results folder.
        machine: The devices on which processes run.
        say: Called with a line about each step.

    Raises:
        FileNotFoundError, ValueError: The test set cannot be made, or given weights are not those of an evaluator.
        KeyboardInterrupt: Passed on after all processes have been ended; the next run continues.
    """
    write_text(workspace.root / 'benchmark.yml', plan.text)
    for each in plan.evaluators:
        if each.weights is not None:
            LandmarkEvaluator(each.weights, machine.device)  # errors are raised before hours of training
    stages = Stages(plan, workspace, machine, write_test_set(plan.test_set, workspace), say)
    networks: Dict[str, LandmarkEvaluator] = {}
    weights: Dict[str, Path] = {}
    warnings: List[str] = []
    # One thread for each, so that models that wait for others do not keep ready ones from the machine.
    pool = ThreadPoolExecutor(len(plan.models) + len(plan.evaluators))
    try:
        evaluators = {each.name: pool.submit(stages.train_evaluator, each) for each in plan.evaluators}
        runs = {name: Run(name, model) for name, model in plan.models.items()}
        _train_and_test(pool, stages, runs)
        time = plan.training_time
        seconds = runs[time].training_seconds if isinstance(time, str) else time
        timed = {} if seconds is None else _timed_runs(runs, seconds)
        _train_and_test(pool, stages, {name: run for name, run in timed.items() if name not in runs})
        for name, future in evaluators.items():
            try:
                path = future.result()
                networks[name], weights[name] = LandmarkEvaluator(str(path), machine.device), path
            except Exception as error:  # the models are measured without it
                warnings.append(f'There are no landmarks by the evaluator {name}: {_reason(error)}')
                say(warnings[-1])
        if plan.training_time is not None and seconds is None:
            warnings.append(f'There is no table of equal training time: the log of {plan.training_time} has no times.')
        elif seconds is not None:
            warnings += [
                f'{run.model.title} is not in the table of equal training time: its log has no times.'
                for run in runs.values() if run.training and run.training['seconds_per_iteration'] is None
            ]
        longest = growing = {} if plan.to_the_end is None else _best([*runs.values(), *timed.values()])
        new = {**runs, **timed}
        while True:
            for run in new.values():
                if run.failed is None:
                    _guarded(stages, run, 'measuring', lambda: stages.measure(run, networks, weights))
                    _guarded(stages, run, 'cost', lambda: stages.cost(run))
            rows = [Row('iterations', run) for run in runs.values()] + [Row('time', run) for run in timed.values()]
            rows += [Row('end', run) for run in longest.values() if run.gain is not None or run.failed]
            yield Outcome(plan, stages.test_set, rows, networks, seconds, list(warnings), machine.description())
            if not growing:
                break
            doubled = {name: _twice_as_long(run) for name, run in growing.items()}
            new = {run.name: run for run in doubled.values()}
            _train_and_test(pool, stages, new)
            for name, run in doubled.items():
                if run.failed is None:
                    run.gain = _validation_psnr(run) - _validation_psnr(longest[name])
            longest = {**longest, **doubled}
            growing = {name: run for name, run in doubled.items() if (run.gain or 0) >= (plan.to_the_end or 0)}
    except BaseException:
        machine.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _train_and_test(pool: ThreadPoolExecutor, stages: Stages, runs: Dict[str, Run]) -> None:
    futures: Dict[str, 'Future[None]'] = {}

    def one(run: Run, start: Optional[Run]) -> None:
        if start is not None:
            futures[start.name].result()  # submitted earlier, so that this always ends
            if start.failed is not None:
                run.failed = f'training: {start.model.title}, from which it starts, failed'
                return
        _guarded(stages, run, 'training', lambda: stages.train(run, start))
        if run.failed is None:
            _guarded(stages, run, 'testing', lambda: stages.test(run))

    for name, run in runs.items():
        futures[name] = pool.submit(one, run, runs.get(run.model.starts_from or ''))
    for future in futures.values():
        future.result()


def _guarded(stages: Stages, run: Run, stage: str, work: Callable[[], Any]) -> None:
    try:
        work()
    except Exception as error:  # of whatever kind, it must not lose the other models' figures
        stages.say(f'[{run.name}] {stage}: {_reason(error)}')
        run.failed = run.failed or f'{stage}: {_reason(error)}'


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, (Failed, OSError, ValueError)) else f'{type(error).__name__}: {error}'


def _timed_runs(runs: Dict[str, Run], seconds: float) -> Dict[str, Run]:
    """Return the runs of the second table: a model's first run if it took that long, or else a new one.

    Models that start from another one's training are left out, and so are given weights, whose time is not known.
    """
    timed: Dict[str, Run] = {}
    for name, run in runs.items():
        model = run.model
        if model.starts_from is not None or model.weights is not None:
            continue
        if model.untrained or run.failed is not None:
            timed[name] = run
        elif run.training['seconds_per_iteration'] is not None:
            total = max(1, round(seconds / run.training['seconds_per_iteration']))
            if abs(total - model.iterations) <= SAME_BUDGET * model.iterations:
                timed[name] = run
            else:
                name += TIME_SUFFIX
                timed[name] = Run(name, replace(model, options=with_iterations(model.options, total)))
    return timed


def _best(runs: List[Run]) -> Dict[str, Run]:
    """Return the longest training of each of the NUM_BEST models that are the best on the validation set by then."""
    longest: Dict[str, Run] = {}
    for run in runs:
        name, model = run.model.name, run.model
        is_trained = bool(run.training) and run.failed is None and model.starts_from is None
        if is_trained and (name not in longest or model.iterations > longest[name].model.iterations):
            longest[name] = run
    ranked = sorted(longest.items(), key=lambda item: _validation_psnr(item[1]), reverse=True)
    return dict(ranked[:NUM_BEST])


def _validation_psnr(run: Run) -> float:
    """Return the PSNR on the validation set after the last iteration; NaN if there was no validation."""
    return run.training['curves'].get('psnr', [(0, float('nan'))])[-1][1]


def _twice_as_long(run: Run) -> Run:
    total = 2 * run.model.iterations
    return Run(f'{run.model.name}{END_SUFFIX}{total}',
               replace(run.model, options=with_iterations(run.model.options, total)))
