"""Faces per second of a training by OpenMP's wait policies: python scripts/measure/wait_policy.py

Trains options/train_DIC.yml, or the recipe given, in one process with a thread for every core: with OpenMP's default
policy, whose idle threads spin, and with OMP_WAIT_POLICY=passive, whose idle threads sleep. Each is run on the machine
as it is and beside one process that keeps a core busy; the four take turns, so that other load affects all of them.
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
from typing import Iterator, Sequence

from scaling import ROOT, faces_per_second


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy in a ``with`` statement."""
    process = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main(argv: Sequence[str] = None) -> None:
    """Run the trainings and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--opt', type=os.path.abspath, default=ROOT / 'options/train_DIC.yml', help='recipe')
    parser.add_argument('--batch', type=int, default=8, help='faces per iteration (default: %(default)s)')
    parser.add_argument('--iterations', type=int, default=20, help='of each training (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=3, help='how often each is run (default: %(default)s)')
    parser.add_argument('--force_yml', nargs='+', default=[], type=str, help='more options of the recipe')
    args = parser.parse_args(argv)
    environment = {'OMP_NUM_THREADS': str(os.cpu_count())}  # torchrun would set 1
    policies = {'default': environment, 'passive': {**environment, 'OMP_WAIT_POLICY': 'passive'}}
    loads = {'quiet': contextlib.nullcontext, 'one busy process': busy_core}
    speeds = {(policy, load): [] for policy in policies for load in loads}
    for _ in range(args.rounds):
        for policy, load in speeds:
            with loads[load]():
                speeds[policy, load].append(faces_per_second(1, args, **policies[policy]))
    print('| wait policy | machine | faces per second | least and most |\n| --- | --- | --- | --- |')
    for (policy, load), found in speeds.items():
        print(f'| {policy} | {load} | {statistics.median(found):.2f} | {min(found):.2f} to {max(found):.2f} |')


if __name__ == '__main__':
    main()
