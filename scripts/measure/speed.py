"""Speed and cost of DIC compared with the plain formulation (concatenate, convolve, activate; NCHW).

    python scripts/measure/speed.py                      # on the CPU: inference, training, memory, stages, loop
    python scripts/measure/speed.py --device cuda        # the same questions to a GPU, with its own ways
    python scripts/measure/speed.py --parts growth --plot docs/performance.png
    python scripts/measure/speed.py -w experiments/train_DIC/models/net_g_latest.pth --parts inference

Everything that is compared takes turns in one process, and medians count; memory is measured in fresh processes. Prints
tables in Markdown. Use a quiet machine: with another busy process on the same cores no figure means anything.
"""
import argparse
import inspect
import math
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import dic_plugin  # noqa: E402, F401 (before what imports basicsr)
from dic_plugin.archs import DIC  # noqa: E402
from dic_plugin.checkpoints.files import CheckpointError  # noqa: E402
from dic_plugin.checkpoints.weights import build_network, read_weights  # noqa: E402
from dic_plugin.export.onnx_file import synthetic_lq  # noqa: E402
from dic_plugin.ops import lay_out_weights, native_conv  # noqa: E402
from speed_parts import growth  # noqa: E402
from speed_parts.devices import clock_of  # noqa: E402
from speed_parts.inference import compare_inference  # noqa: E402
from speed_parts.memory import peak_memory  # noqa: E402
from speed_parts.roofline import measure_machine, measure_stages  # noqa: E402
from speed_parts.training import compare_training  # noqa: E402

PARTS = ('inference', 'training', 'memory', 'stages', 'growth', 'loop')
DEFAULT_PARTS = {'cpu': PARTS[:4] + PARTS[5:], 'cuda': ('inference', 'training', 'stages')}
ON_CPU_ONLY = ('memory', 'growth', 'loop')
Row = Sequence[Any]


def inference(args: argparse.Namespace, network: DIC) -> Iterator[str]:
    lq = synthetic_lq(max(args.batches), 16).to(args.device)
    rows = [(result.batch, result.name, f'{result.seconds * 1e3:.1f}', f'{result.ratio:.2f}', f'{result.error:.1e}',
             f'{result.psnr:.1f}', megabytes(result.megabytes))
            for result in compare_inference(network, lq, args.batches, args.rounds, args.until)]
    yield from table(('faces', 'way', 'ms', 'times as fast', 'largest difference', 'PSNR to plain (dB)', 'memory (MB)'),
                     rows)


def training(args: argparse.Namespace, network: DIC) -> Iterator[str]:
    for batch in args.train_batches:
        lq = synthetic_lq(batch, 16).to(args.device)
        rows = [(result.name, f'{result.seconds * 1e3:.0f}', f'{result.ratio:.2f}', f'{result.error:.1e}',
                 megabytes(result.megabytes))
                for result in compare_training(network.train(), lq, args.rounds, args.until)]
        yield f'Batch {batch}.\n'
        yield from table(('way', 'ms a step', 'times as fast', 'largest difference of gradient norms', 'memory (MB)'),
                         rows)
        yield ''
    network.eval()


def megabytes(value: Optional[float]) -> str:
    return '-' if value is None else f'{value:.0f}'


def memory(args: argparse.Namespace, network: DIC) -> Iterator[str]:
    rows = []
    for train in (False, True):
        ways = [('plain', dict(plain=True)), ('ours', {})]
        if train:
            ways.append(('ours, MALLOC_MMAP_THRESHOLD_=131072', dict(frees=True)))
            ways.append(('the same, use_checkpoint', dict(frees=True, use_checkpoint=True)))
        for name, options in ways:
            one, two = (peak_memory(batch, train=train, **{**args.options, **options}) for batch in (1, 2))
            rows.append(('training' if train else 'inference', name, f'{one:.0f}', f'{two - one:.0f}'))
    yield from table(('', 'way', 'one face (MB)', 'every further (MB)'), rows)


def stages(args: argparse.Namespace, network: DIC) -> Iterator[str]:
    clock = clock_of(torch.device(args.device))
    machine = measure_machine(torch.device(args.device), clock)
    if args.device == 'cpu':
        lay_out_weights(network)
    lq = synthetic_lq(1, 16).to(args.device)
    yield (
        f'One face, fp32. Machine: {machine.gflops:.0f} GFLOP/s in a matrix product, {machine.gigabytes:.0f} GB/s in a '
        'copy.\n')
    rows = []
    for stage in measure_stages(network, lq, args.rounds, machine, clock):
        rate = f'{stage.gflop / stage.seconds:.0f}' if stage.gflop else '-'
        rows.append((stage.name, f'{stage.gflop:.2f}', f'{stage.gigabytes:.2f}', f'{stage.seconds * 1e3:.1f}', rate,
                     f'{stage.least * 1e3:.1f}', f'{100 * stage.least / stage.seconds:.0f} %'))
    yield from table(('stage', 'GFLOP', 'GB', 'ms', 'GFLOP/s', 'least ms', 'of the roofline'), rows)


def cost_growth(args: argparse.Namespace, network: DIC) -> Iterator[str]:
    costs = growth.measure_growth(args.rounds, growth.AXES, args.options)
    rows = [(growth.TITLES.get(cost.axis, cost.axis), cost.value, f'{cost.seconds * 1e3:.0f}',
             f'{1 / cost.seconds:.1f}', f'{cost.megabytes:.0f}', f'{cost.train_megabytes:.0f}') for cost in costs]
    yield from table(('', '', 'ms a face', 'faces a second', 'memory (MB)', 'training memory (MB)'), rows)
    if args.plot:
        growth.plot_growth(costs, args.plot)
        yield f'\nPlot: {args.plot}'


def loop(args: argparse.Namespace, network: DIC) -> Iterator[str]:
    from speed_parts.loop import measure_loop, read_options  # it imports BasicSR, which takes a while
    rates = measure_loop(read_options(args.opt), args.iterations, args.rounds)
    yield (f'{args.opt}, {args.iterations} iterations in turns: {rates.real:.2f} iterations a second with real data, '
           f'{rates.cached:.2f} with one cached batch: {100 * rates.share:.1f} %.')


MEASURES = dict(inference=inference, training=training, memory=memory, stages=stages, growth=cost_growth, loop=loop)


def table(head: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Lines of Markdown."""
    for row in (head, ['---'] * len(head), *rows):
        yield '| ' + ' | '.join(str(cell) for cell in row) + ' |'


def parse(argv: Optional[List[str]]) -> Tuple[argparse.Namespace, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=PARTS, help='what to measure (default: all but growth)')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '-w',
        '--weights',
        type=os.path.expanduser,
        metavar='FILE',
        help="a trained network (default: the paper's, random weights)")
    parser.add_argument(
        '--network',
        nargs='+',
        default=[],
        metavar='OPTION=NUMBER',
        help="DIC's options where they are not the paper's")
    parser.add_argument('--batches', type=int, nargs='+', help='faces (default: 1 8 32, on a GPU 1 8 64 256)')
    parser.add_argument('--train-batches', type=int, nargs='+', help='faces of a step (default: 2, on a GPU 8 64)')
    parser.add_argument('--minutes', type=float, help='begin no further way after this time (default: on a GPU 9)')
    parser.add_argument('--rounds', type=int, default=5, help='how often everything is timed (default: 5)')
    parser.add_argument('--plot', type=os.path.expanduser, metavar='PNG', help='where growth draws its plot')
    parser.add_argument(
        '--opt',
        type=os.path.expanduser,
        default='options/train_DIC.yml',
        help="the loop's option file (default: %(default)s)")
    parser.add_argument('--iterations', type=int, default=20, help="of one turn of the loop (default: %(default)s)")
    args = parser.parse_args(argv)
    on_gpu = args.device == 'cuda'
    args.batches = args.batches or ([1, 8, 64, 256] if on_gpu else [1, 8, 32])
    args.train_batches = args.train_batches or ([8, 64] if on_gpu else [2])
    args.until = time.monotonic() + 60 * (args.minutes or (9 if on_gpu else math.inf))
    args.parts = args.parts or DEFAULT_PARTS[args.device]
    if min(args.rounds, args.iterations, *args.train_batches, *args.batches) < 1:
        parser.error('--batches, --train-batches, --iterations and --rounds must be at least 1.')
    if on_gpu and not torch.cuda.is_available():
        parser.error('--device cuda: torch sees no GPU.')
    if on_gpu and set(args.parts) & set(ON_CPU_ONLY):
        parser.error(f'--device cuda: {", ".join(ON_CPU_ONLY)} are measured on the CPU only.')
    try:
        args.options = {name: int(value) for name, value in (item.split('=') for item in args.network)}
    except ValueError:
        parser.error(f'--network {" ".join(args.network)}: expected OPTION=NUMBER, such as num_feat=24.')
    known = [name for name in inspect.signature(DIC).parameters if name != 'component_groups']
    for name in args.options:
        if name not in known:
            parser.error(f'--network: DIC has no option {name}; expected one of {", ".join(known)}.')
    if args.weights and args.options:
        parser.error('--network: the weights say what the network is.')
    return args, parser


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the measurements; returns the exit code."""
    args, parser = parse(argv)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    try:
        if args.weights:
            network = build_network(read_weights(args.weights), args.weights)
        else:
            network = DIC(hg_from_scratch=True, **args.options)
    except (CheckpointError, ValueError) as error:
        parser.error(str(error))
    network = network.to(args.device).eval()
    described = args.weights or "the paper's network, random weights" + ''.join(f', {item}' for item in args.network)
    device = torch.cuda.get_device_name(
    ) if args.device == 'cuda' else f'{processor()}, {torch.get_num_threads()} threads'
    native = {0: 'not available', 1: 'AVX2', 2: 'AVX-512'}[native_conv.level()]
    print(
        f'{described}; torch {torch.__version__}; {device}; native operation: {native}; '
        f'medians of {args.rounds} rounds.',
        flush=True)
    for part in args.parts:
        print(f'\n### {part}\n', flush=True)
        for line in MEASURES[part](args, network):
            print(line, flush=True)
    return 0


def processor() -> str:
    """Return the name of the CPU and its bf16 features."""
    try:
        with open('/proc/cpuinfo') as file:
            flags: Dict[str, str] = dict(line.strip().split('\t: ', 1) for line in file if '\t: ' in line)
    except OSError:
        return platform.processor() or platform.machine()
    words = flags.get('flags', '').split()
    return f'{flags.get("model name", platform.machine())} ({"with" if "amx_bf16" in words else "without"} AMX)'


if __name__ == '__main__':
    sys.exit(main())
