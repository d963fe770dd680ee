"""Compare super-resolution models of BasicSR on the same faces: train, test and measure all of them in the same way.

    dic-benchmark -opt options/benchmark/synthetic_x8.yml [--jobs 2 | --gpus 0,1]

The results are written to results/benchmark/<name>/: index.html, table.md, table.csv, table.json and plots. Finished
stages are not repeated, interrupted ones resume, and the row of a failed model gives the reason. See docs/benchmark.md.
"""
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

import torch

from dic_plugin.benchmark.machine import Machine, num_cores
from dic_plugin.benchmark.outcome import run_benchmark
from dic_plugin.benchmark.plan import Plan, read_plan
from dic_plugin.benchmark.report import write_report
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.cli.arguments import add_shared, command_parser, failed
from dic_plugin.utils.option_check import OptionError
from dic_plugin.utils.shipped_options import option_file


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; return 0, 1 if a model failed, 2 for an error in the plan, or 130 after an interruption."""
    parser = command_parser('dic-benchmark', __doc__)
    parser.add_argument('-opt', type=option_file, required=True, metavar='FILE', help='the benchmark (YAML)')
    parser.add_argument('--models', nargs='+', metavar='NAME', help='only these models and those that they start from')
    parser.add_argument(
        '--iterations',
        type=int,
        metavar='N',
        help='iterations of the default training; all budgets change in proportion')
    parser.add_argument(
        '--gpus',
        metavar='LIST',
        help='such as 0,1: one model at a time on each GPU; "none": the CPU. Default: all GPUs')
    parser.add_argument(
        '--jobs',
        type=int,
        metavar='N',
        help='models at a time on the CPU, sharing its cores. Default: all, at most one per core')
    add_shared(
        parser,
        '-o/--output',
        '--out',
        default='results/benchmark',
        metavar='DIR',
        help='default: %(default)s/<name>, with --iterations N <name>_<N>')
    args = parser.parse_args(argv)
    # A closed terminal (SIGHUP) interrupts it, unless it was started by nohup.
    ending = [getattr(signal, name) for name in ('SIGTERM', 'SIGHUP') if hasattr(signal, name)]
    handlers = {
        number: signal.signal(number, _interrupt)
        for number in ending if signal.getsignal(number) != signal.SIG_IGN
    }
    pages: List[Path] = []
    try:
        plan = read_plan(args.opt, args.iterations, args.models)
        machine = _machine(args.gpus, args.jobs, len(plan.models))
        # A separate folder, so that a short test does not replace the whole benchmark.
        workspace = Workspace(Path(args.output) / (f'{plan.name}_{args.iterations}' if args.iterations else plan.name))
        with workspace.locked() as machine.kept_open:
            places = list(_test_sets(plan, workspace))
            runs = [run_benchmark(one, place, machine, lambda line: print(line, flush=True)) for one, place in places]
            for outcomes in zip(*runs):  # whenever the tables have grown
                pages = [write_report(outcome, place) for outcome, (_, place) in zip(outcomes, places)]
    except OptionError as error:
        print(f'Error in the options: {error}', file=sys.stderr)
        return 2
    except (OSError, ValueError, ImportError) as error:
        return failed(error)
    except KeyboardInterrupt:
        print('Interrupted; the same command continues where it stopped.', file=sys.stderr)
        return 130
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for page in pages:
        print(f'\n{page.with_name("table.md").read_text(encoding="utf-8")}\nThe page: {page}')
    broken = [row.run.name for outcome in outcomes for row in outcome.rows if row.run.failed]
    broken += [f'evaluator {each.name}' for outcome in outcomes for each in plan.evaluators
               if each.name not in outcome.evaluators]  # yapf: disable
    if broken:
        print(f'Failed: {", ".join(dict.fromkeys(broken))}; the same command tries again.', file=sys.stderr)
    return 1 if broken else 0


def _test_sets(plan: Plan, workspace: Workspace) -> Iterator[Tuple[Plan, Workspace]]:
    """Yield the benchmark of every test set, and where it is; all share the trainings of the first."""
    yield plan, workspace
    for test_set in plan.more_test_sets:
        name = test_set['name']
        yield replace(
            plan, test_set=test_set, title=f'{plan.title}: {name}'), Workspace(workspace.root / name, workspace)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _machine(gpus: Optional[str], jobs: Optional[int], num_models: int) -> Machine:
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus is None:
        chosen = list(range(there))
    elif gpus == 'none':
        chosen = []
    else:
        parts = gpus.split(',')
        if not all(part.isdigit() and int(part) < there for part in parts) or len(set(parts)) < len(parts):
            raise OptionError(f'--gpus {gpus}: expected different numbers below {there}, the number of GPUs, such as '
                              '0,1; or none.')
        chosen = [int(part) for part in parts]
    if jobs is not None and jobs < 1:
        raise OptionError(f'--jobs {jobs}: expected a whole number from 1.')
    return Machine(chosen, jobs or min(num_cores(), num_models))
