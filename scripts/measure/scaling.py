"""Faces per second of a training in one process and in several: python scripts/measure/scaling.py

Trains options/train_DIC.yml, or the recipe given, for some iterations in 1 and in more processes in turn, so that other
load hits all of them, and prints the median of each with its efficiency: 1 is as many times faster as there are
processes. On a CPU every process has one thread; on GPUs each process has one GPU, and --processes says how many.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Sequence

ROOT = Path(__file__).resolve().parents[2]


def faces_per_second(processes: int, args: argparse.Namespace, **environment: str) -> float:
    """Train once. The first half of the iterations, in which faces are drawn, is left out."""
    options = [
        'name=scaling', f'train:total_iter={args.iterations}', f'logger:print_freq={args.iterations // 2}',
        'logger:save_checkpoint_freq=1000000', 'logger:use_tb_logger=false', 'val:val_freq=1000000',
        'datasets:val:num_images=1', f'datasets:train:batch_size_per_gpu={args.batch}',
        f'datasets:train:num_images={processes * args.batch}', 'datasets:train:num_worker_per_gpu=0', *args.force_yml
    ]
    command = [
        sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', processes, '--rdzv_backend=c10d',
        '--rdzv_endpoint=localhost:0',
        Path(sys.executable).with_name('dic-train'), '-opt', args.opt, '--launcher', 'pytorch', '--force_yml', *options
    ]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            list(map(str, command)), cwd=folder, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
            capture_output=True, text=True)  # yapf: disable
    times = list(map(float, re.findall(r'time \(data\): (\S+) ', done.stdout + done.stderr)))
    if done.returncode or len(times) < 2:
        sys.exit(f'{processes} processes failed:\n{(done.stdout + done.stderr)[-3000:]}')
    return processes * args.batch / (2 * times[1] - times[0])  # BasicSR logs the mean since the beginning


def main(argv: Sequence[str] = None) -> None:
    """Run the trainings and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--opt', type=os.path.abspath, default=ROOT / 'options/train_DIC.yml', help='recipe')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2], help='default: 1 2')
    parser.add_argument('--batch', type=int, default=8, help='faces of a process and iteration (default: %(default)s)')
    parser.add_argument('--iterations', type=int, default=20, help='of each training (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=3, help='how often each is run (default: %(default)s)')
    parser.add_argument('--force_yml', nargs='+', default=[], type=str, help='more options of the recipe')
    args = parser.parse_args(argv)
    speeds = {number: [] for number in args.processes}
    for _ in range(args.rounds):
        for number, found in speeds.items():
            found.append(faces_per_second(number, args, OMP_NUM_THREADS='1'))
    print('| processes | faces per second | least and most | efficiency |\n| --- | --- | --- | --- |')
    first = statistics.median(speeds[args.processes[0]]) / args.processes[0]
    for number, found in speeds.items():
        median = statistics.median(found)
        print(f'| {number} | {median:.2f} | {min(found):.2f} to {max(found):.2f} | {median / number / first:.2f} |')


if __name__ == '__main__':
    main()
