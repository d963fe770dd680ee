"""Two machines, as two network namespaces joined by a cable that can be cut."""
import os
import re
import shutil
import subprocess

import pytest

from helpers.training_process import (
    finish,
    iterations,
    largest_difference,
    ranks,
    start,
    wait_for_iteration,
    write_options,
)

pytestmark = pytest.mark.slow

HOSTS = ('dic-host-a', 'dic-host-b')
ADDRESSES = ('10.231.0.1', '10.231.0.2')


def ip(*arguments):
    subprocess.run(['ip', *arguments], check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture
def hosts():
    """Names of two namespaces with a veth pair, of the same names, between them."""
    if not hasattr(os, 'geteuid') or os.geteuid() != 0 or not shutil.which('ip'):
        pytest.skip('needs root and iproute2 to make network namespaces')
    tag = f'-{os.getpid()}'
    names = [name + tag for name in HOSTS]
    cables = [f'dic{side}{tag}' for side in 'ab']
    try:
        for name in names:
            try:
                ip('netns', 'add', name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f'network namespaces cannot be made here: {error.stderr.strip()}')
        ip('link', 'add', cables[0], 'netns', names[0], 'type', 'veth', 'peer', 'name', cables[1], 'netns', names[1])
        for name, cable, address in zip(names, cables, ADDRESSES):
            ip('-n', name, 'address', 'add', f'{address}/24', 'dev', cable)
            ip('-n', name, 'link', 'set', cable, 'up')
            ip('-n', name, 'link', 'set', 'lo', 'up')
        yield list(zip(names, cables))
    finally:
        for name in names:
            subprocess.run(['ip', 'netns', 'delete', name], capture_output=True, timeout=30)


def start_on(hosts, folders, rendezvous, *arguments):
    """One process on each; they have nothing in common but the cable."""
    processes = []
    for rank, ((name, cable), folder) in enumerate(zip(hosts, folders)):
        folder.mkdir()
        write_options(folder, train=dict(total_iter=10), dist_params=dict(backend='nccl', timeout=10))
        launcher = ['--nnodes=2', '--nproc_per_node=1']
        if rendezvous == 'static':
            launcher += [f'--node_rank={rank}', f'--master_addr={ADDRESSES[0]}', '--master_port=29400']
        else:
            launcher += [
                '--rdzv_backend=c10d', f'--rdzv_endpoint={ADDRESSES[0]}:29400', '--rdzv_id=faces',
                f'--local_addr={ADDRESSES[rank]}', f'--rdzv_conf=is_host={int(rank == 0)}'
            ]
        processes.append(
            start(folder, *arguments, processes=1, launcher=launcher, before=['ip', 'netns', 'exec', name],
                  env=dict(GLOO_SOCKET_IFNAME=cable, TP_SOCKET_IFNAME=cable)))  # yapf: disable
    return processes


def test_two_hosts_train_as_one(hosts, tmp_path):
    folders = [tmp_path / 'a', tmp_path / 'b']
    processes = start_on(hosts, folders, 'c10d')
    logs = [finish(process) for process in processes]
    assert sorted(map(iterations, logs)) == [[], list(range(1, 11))]  # the first process logs
    ends = [weights for folder in folders for weights in ranks_of(folder)]
    assert len(ends) == 2
    assert largest_difference(ends[0]['net_g_ema'], ends[1]['net_g_ema']) == 0


def ranks_of(folder):
    return [ranks(folder, [rank])[0] for rank in (0, 1) if (folder / f'rank{rank}.pth').is_file()]


def test_a_cut_cable_ends_the_run_with_a_message(hosts, tmp_path):
    folders = [tmp_path / 'a', tmp_path / 'b']
    processes = start_on(hosts, folders, 'static', '--force_yml', 'train:total_iter=100000')
    wait_for_iteration(processes[0], folders[0], 3)
    ip('-n', hosts[0][0], 'link', 'set', hosts[0][1], 'down')
    logs = [finish(process, code=1, timeout=120) for process in processes]
    for log in logs:
        assert re.search(r'^Error on rank \d of 2 \(\S+\): another process of this run has ended or cannot be reached',
                         log, re.M)  # yapf: disable
