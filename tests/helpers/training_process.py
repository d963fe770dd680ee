"""Tiny trainings in processes of their own, alone or several at a time as torchrun and SLURM start them."""
import os
import re
import socket
import subprocess
import sys
import time

import torch
import yaml
from basicsr.utils.options import ordered_yaml

from helpers import forked
from helpers.paths import ROOT

NETWORKS = {
    'train_DIC': dict(num_feat=8, num_groups=1, num_steps=2, hg_num_feat=16, num_fusion_block=1, projection_scale=2),
    'train_hourglass': dict(hg_num_feat=16),
    'train_landmarks': dict(num_feat=8, num_stacks=1),
}
# What a run does: train or test; then every process leaves its weights and last gradients in rank<N>.pth. PREPARE may
# change something before.
SCRIPT = '''
import os, sys, torch
from dic_plugin.launch.pipeline import _Run
PREPARE

def main():
    run = _Run(sys.argv.pop(1), None)
    code = run()
    if run.model is not None:
        nets = {name: run.model.get_bare_model(net) for name, net in vars(run.model).items()
                if name.startswith('net_') and isinstance(net, torch.nn.Module)}
        content = {name: net.state_dict() for name, net in nets.items()}
        content['gradient'] = {name: p.grad for name, p in nets['net_g'].named_parameters() if p.grad is not None}
        torch.save(content, f'rank{os.environ.get("RANK", 0)}.pth')
    return code

if __name__ == '__main__':  # loader workers may import this file
    sys.exit(main())
'''


def write_options(folder, recipe='train_DIC', train=(), **changes):
    """A shipped recipe, made tiny, as ``<folder>/tiny.yml``; ``changes``: 'section__key', ``train``: options there."""
    with open(ROOT / f'options/{recipe}.yml') as file:
        opt = yaml.load(file, Loader=ordered_yaml()[0])
    opt.update(name='tiny', num_gpu=0, dist_params=dict(backend='nccl', port=29500), plugin=None)
    opt['network_g'].update(NETWORKS.get(recipe, NETWORKS['train_DIC']))
    opt['val']['save_img'] = False
    if 'train' in opt:
        opt['train'].update(dict(total_iter=4, warmup_iter=-1), **dict(train))
        opt['val'].update(val_freq=1000)
        opt['logger'].update(print_freq=1, save_checkpoint_freq=1000, use_tb_logger=False)
        opt['datasets']['train'].update(num_images=9, num_worker_per_gpu=0, batch_size_per_gpu=4)
        opt['datasets']['val'].update(num_images=3)
    for name, value in changes.items():
        section = opt
        *sections, key = name.split('__')
        for part in sections:
            section = section[part]
        section[key] = value
    text = yaml.dump({**opt, 'plugin': None}, Dumper=ordered_yaml()[1])
    path = folder / 'tiny.yml'
    path.write_text(text.replace('plugin: null', 'plugin: !!python/name:dic_plugin.__version__'))
    return path


def start(cwd, *arguments, what='train', processes=0, prepare='', launcher=(), before=(), env=()):
    """Begin a run of ``<cwd>/tiny.yml``; ``processes``: 0 without a launcher, else that many by torchrun.

    ``launcher``: torchrun's arguments instead of those for one machine; ``before``: what stands before the command;
    ``env``: more environment variables. It leads a group of its own, see conftest.py. One without a launcher, in which
    nothing is to be prepared, is forked from a process that has imported everything.
    """
    script = cwd / 'run.py'
    script.write_text(SCRIPT.replace('PREPARE', prepare))
    command = [*before, sys.executable]
    if processes:
        where = launcher or ('--nproc_per_node', processes, '--rdzv_backend=c10d', '--rdzv_endpoint=localhost:0')
        command += ['-m', 'torch.distributed.run', *where]
        arguments = ('--launcher', 'pytorch', *arguments)
    arguments = (what, '-opt', cwd / 'tiny.yml', *arguments)
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT), **dict(env))
    if not (processes or prepare or before):
        return forked.start([script, *arguments], cwd, environment)
    command += [script, *arguments]
    return subprocess.Popen(
        list(map(str, command)), cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)  # yapf: disable


def finish(process, code=0, timeout=240):
    """Wait for its end and return what it said."""
    log, _ = process.communicate(timeout=timeout)
    assert process.returncode == code, log[-4000:]
    return log


def run(cwd, *arguments, processes=0, code=0, **kwargs):
    """Start, wait and return what was said; several processes without torchrun, but with the variables that it sets."""
    if not processes:
        return finish(start(cwd, *arguments, **kwargs), code)
    port = free_port()
    started = [
        start(cwd, '--launcher', 'pytorch', *arguments, env=dict(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes), MASTER_ADDR='localhost',
            MASTER_PORT=str(port)), **kwargs) for rank in range(processes)]  # yapf: disable
    return ''.join(finish(process, code) for process in started)


def free_port():
    with socket.socket() as probe:
        probe.bind(('localhost', 0))
        return probe.getsockname()[1]


def wait_for_iteration(process, cwd, number, limit=120):
    """Return when the log of ``cwd``'s run holds this iteration, or when the process has ended."""
    end = time.monotonic() + limit
    logs = cwd / 'experiments/tiny'
    while process.poll() is None and not any(number in iterations(file.read_text()) for file in logs.glob('*.log')):
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError(f'no iteration {number} after {limit} seconds: {process.communicate()[0][-4000:]}')
        time.sleep(0.1)


def iterations(log):
    return [int(number) for number in re.findall(r'iter: +(\d+), lr', log)]


def figures(log):
    """Every metric that was logged, as printed."""
    return re.findall(r'# (\w+): (\S+)', log)


def ranks(cwd, which=(0, 1)):
    """Return each process's last tensors: net -> name -> tensor."""
    return [torch.load(cwd / f'rank{rank}.pth', weights_only=True) for rank in which]


def largest_difference(first, second):
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)
