"""Several processes, as torchrun starts them, and what ends, resumes and counts a training, as real processes."""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import dic_plugin

ROOT = Path(dic_plugin.__file__).resolve().parent.parent
TINY = [
    'name=tiny', 'num_gpu=0', 'val:val_freq=1000', 'logger:print_freq=1', 'logger:save_checkpoint_freq=1000',
    'logger:use_tb_logger=false', 'datasets:train:num_images=9', 'datasets:train:num_worker_per_gpu=0',
    'datasets:train:use_hflip=no', 'datasets:val:num_images=3', 'train:total_iter=4', 'train:warmup_iter=-1',
    'network_g:num_feat=8', 'network_g:num_groups=1', 'network_g:num_steps=2', 'network_g:hg_num_feat=16',
    'network_g:num_fusion_block=1'
]
TRAIN = 'import sys; from dic_plugin.launch import train; sys.exit(train())'


def start(cwd, *changes, processes=0, arguments=()):
    """Start a tiny training; ``processes``: 0 without a launcher, else that many by torchrun."""
    script = cwd / 'train.py'
    script.write_text(TRAIN)
    command = [sys.executable, script]
    launcher = []
    if processes:
        command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', processes, '--rdzv_backend=c10d',
                   '--rdzv_endpoint=localhost:0', script]  # yapf: disable
        launcher = ['--launcher', 'pytorch']
    command += ['-opt', ROOT / 'options/train_DIC.yml', *launcher, *arguments, '--force_yml', *TINY, *changes]
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    return subprocess.Popen(
        list(map(str, command)), cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True)  # yapf: disable


def finish(process, code=0):
    """Wait for its end; the whole group of processes is killed after four minutes."""
    try:
        log, _ = process.communicate(timeout=240)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert process.returncode == code, log[-4000:]
    return log


def weights(cwd, iteration):
    content = torch.load(cwd / f'experiments/tiny/models/net_g_{iteration}.pth', weights_only=True)
    return [tensor for key in ('params', 'params_ema') for tensor in content[key].values()]


def iterations(log):
    return [int(number) for number in re.findall(r'iter: +(\d+), lr', log)]


def figures(log):
    return re.findall(r'# (\w+): (\S+)', log)


def test_two_processes_train_as_one_and_either_resumes(tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    one.mkdir()
    two.mkdir()
    log_of_one = finish(start(one, 'datasets:train:batch_size_per_gpu=8', 'train:optim_g:lr=1e-4'))
    log_of_two = finish(start(two, 'datasets:train:batch_size_per_gpu=4', 'train:optim_g:lr=1e-4', processes=2))
    assert iterations(log_of_one) == iterations(log_of_two) == [1, 2, 3, 4]
    for first, second in zip(weights(one, 4), weights(two, 4)):
        assert torch.allclose(first, second, atol=2e-6)
    assert len(figures(log_of_two)) == 3  # logged once
    for (name, first), (_, second) in zip(figures(log_of_one), figures(log_of_two)):
        assert float(first) == pytest.approx(float(second), abs=2e-3), name
    # a state of two processes goes on in two and in one, with another batch size
    log = finish(
        start(two, 'datasets:train:batch_size_per_gpu=4', 'train:total_iter=5', processes=2,
              arguments=['--auto_resume']))  # yapf: disable
    assert iterations(log) == [5]
    log = finish(start(two, 'datasets:train:batch_size_per_gpu=2', 'train:total_iter=7', arguments=['--auto_resume']))
    assert iterations(log) == [6, 7]


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_save_and_stop(tmp_path, signum):
    process = start(tmp_path, 'datasets:train:batch_size_per_gpu=1', 'train:total_iter=100000')
    log = tmp_path / 'experiments/tiny'
    limit = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < limit:
        if any('iter:       3' in file.read_text() for file in log.glob('train_*.log')):
            break
        time.sleep(0.1)
    process.send_signal(signum)
    said = finish(process, code=128 + signum)
    stopped = int(re.search(rf'Stopped by {signal.Signals(signum).name} after iteration (\d+) of 100000; ', said)[1])
    assert (log / f'models/net_g_{stopped}.pth').is_file() and (log / f'training_states/{stopped}.state').is_file()
    log = finish(
        start(tmp_path, 'datasets:train:batch_size_per_gpu=1', f'train:total_iter={stopped + 1}',
              arguments=['--auto_resume']))  # yapf: disable
    assert iterations(log) == [stopped + 1]


def test_a_killed_process_ends_the_run(tmp_path):
    process = start(tmp_path, 'datasets:train:batch_size_per_gpu=1', 'train:total_iter=100000', processes=2)
    log = tmp_path / 'experiments/tiny'
    limit = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < limit:
        if any('iter:       3' in file.read_text() for file in log.glob('train_*.log')):
            break
        time.sleep(0.1)
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    started = time.monotonic()
    said = finish(process, code=1)
    assert time.monotonic() - started < 60
    assert re.search(r'Error on rank \d of 2 .*another process of this run has ended|Stopped by SIGTERM|SIGKILL', said)
