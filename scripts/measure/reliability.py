"""Measures how reliable the project is: bad input, interruptions, fuzzing, load.

    python scripts/measure/reliability.py bad-input --number 2000
    python scripts/measure/reliability.py kills --number 300
    python scripts/measure/reliability.py load
    python scripts/measure/reliability.py fuzzing --number 10

Each campaign writes RELIABILITY/<campaign>.json (-o) and prints a table in Markdown; the exit status is 1 if anything
went wrong. The same --seed gives the same cases. A case may take 20 s; RELIABILITY_SECONDS=60 allows more to a machine
that does other work.
"""
import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(OMP_NUM_THREADS='1', OPENCV_FOR_THREADS_NUM='1')  # children are forked: no threads before
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reliability_parts.bad_input import run_bad_input  # noqa: E402
from reliability_parts.fuzzing import run_fuzzing  # noqa: E402
from reliability_parts.kills import run_kills  # noqa: E402
from reliability_parts.load import run_load  # noqa: E402

import dic_plugin  # noqa: E402,F401
from dic_plugin.utils.atomic_write import write_json  # noqa: E402

CAMPAIGNS = {
    'bad-input': (run_bad_input, 2000),
    'kills': (run_kills, 300),
    'load': (run_load, 1000),
    'fuzzing': (run_fuzzing, 10)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('campaign', choices=CAMPAIGNS)
    parser.add_argument(
        '--number',
        type=int,
        metavar='N',
        help='of cases; load: thousandths of the full size; fuzzing: minutes for each reader')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('-o', '--output', type=os.path.expanduser, default='results/reliability', metavar='DIR')
    args = parser.parse_args()
    run, number = CAMPAIGNS[args.campaign]
    with tempfile.TemporaryDirectory() as work:
        result = run(Path(work), args.number or number, args.seed)
    os.makedirs(args.output, exist_ok=True)
    write_json(os.path.join(args.output, f'{args.campaign}.json'), dict(result, seed=args.seed))
    for kind, counts in result['by_kind'].items():
        print('|', kind, '|', ', '.join(f'{how}: {count}' for how, count in sorted(counts.items())), '|')
    for finding in result['findings'][:50]:
        print(finding['kind'], finding['way'], ':', finding['wrong'], '|', finding['said'][-200:].replace('\n', ' / '))
    return int(bool(result['findings']))


if __name__ == '__main__':
    sys.exit(main())
