"""Peak memory of one forward pass or training step, each in a process of its own."""
import json
import os
import os.path as osp
import subprocess
import sys
from contextlib import nullcontext
from typing import Any, Dict

import torch

from dic_plugin.archs import DIC
from dic_plugin.ops import lay_out_weights
from speed_parts.plain_dic import plain_forward
from speed_parts.training import make_targets, training_step

MEGABYTE = 2**20


def peak_memory(batch: int,
                size: int = 16,
                plain: bool = False,
                train: bool = False,
                frees: bool = False,
                **options: Any) -> float:
    """Megabytes beyond network and input, measured in a fresh process (Linux).

    Args:
        batch: faces.
        size: height and width of the input.
        plain: the plain formulation in place of the network's own.
        train: a training step in place of a forward pass without gradients.
        frees: hand freed maps back to the system at once (MALLOC_MMAP_THRESHOLD_, glibc), which by default keeps them.
        options: of DIC.

    Raises:
        RuntimeError: the process failed; the message has its last words.
    """
    if not osp.exists('/proc/self/clear_refs'):
        raise RuntimeError('Peak memory is read from /proc, which this system does not have.')
    case = json.dumps(dict(batch=batch, size=size, plain=plain, train=train, options=options))
    # not `-m`: the plugin is found as it was found here
    code = f'import sys; sys.path[:] = {sys.path!r}; from speed_parts.memory import main; main({case!r})'
    env = dict(os.environ, **({'MALLOC_MMAP_THRESHOLD_': '131072'} if frees else {}))
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f'Measuring memory failed: {done.stderr.strip().splitlines()[-1:]}')
    return float(done.stdout.split()[-1])


def main(case: str) -> None:
    """Print the peak of one case."""
    print(_measure(**json.loads(case)))


def _measure(batch: int, size: int, plain: bool, train: bool, options: Dict[str, Any]) -> float:
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    network = DIC(hg_from_scratch=True, **options)
    if not plain:
        lay_out_weights(network)
    forward = (lambda x: plain_forward(network, x)) if plain else (lambda x: network(x, return_steps=train))
    lq = torch.rand(batch, 3, size, size)
    targets = make_targets(network, lq)
    with nullcontext() if train else torch.no_grad():
        before = _status('VmRSS')
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')  # the peak starts from here
        if train:
            training_step(network, forward, lq, targets)
        else:
            forward(lq)
        return (_status('VmHWM') - before) / MEGABYTE


def _status(name: str) -> int:
    with open('/proc/self/status') as file:
        lines = dict(line.split(':', 1) for line in file)
    return int(lines[name].split()[0]) * 1024
