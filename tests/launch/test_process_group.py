"""GPU and backend of a process of a distributed run; no GPU is needed."""
import pytest
import torch

from dic_plugin.launch import distributed
from dic_plugin.utils.option_values import OptionError


@pytest.fixture
def join(monkeypatch):
    """``join(num_gpus, local_rank, ...)`` joins rank 3 of 4 there; returns the GPU and the backend that were taken."""

    def join_with(num_gpus, local_rank, num_gpu='auto', **dist_params):
        taken = {}
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: num_gpus)
        monkeypatch.setattr(torch.cuda, 'set_device', lambda device: taken.update(gpu=device))
        monkeypatch.setattr(torch.distributed, 'init_process_group', lambda backend, timeout: taken.update(
            backend=backend, timeout=timeout.total_seconds()))  # yapf: disable
        for name, value in dict(RANK=3, WORLD_SIZE=4, LOCAL_RANK=local_rank, MASTER_ADDR='a', MASTER_PORT=1).items():
            monkeypatch.setenv(name, str(value))
        distributed.init_process_group('pytorch', num_gpu, dist_params)
        return taken.get('gpu'), taken['backend'], taken['timeout']

    return join_with


def test_the_gpu_is_that_of_the_local_rank(join):
    """Of unequal machines, 3 GPUs and 1, BasicSR's rank modulo number of GPUs would be another or none."""
    assert join(1, local_rank=0) == (0, 'cpu:gloo,cuda:nccl', 600)
    assert join(3, local_rank=1, timeout=30) == (1, 'cpu:gloo,cuda:nccl', 30)


@pytest.mark.parametrize('num_gpus, num_gpu', [(0, 'auto'), (2, 0)])
def test_on_cpus_gloo_takes_the_place_of_nccl(join, num_gpus, num_gpu):
    assert join(num_gpus, 1, num_gpu, backend='nccl') == (None, 'gloo', 600)


def test_more_processes_than_gpus(join):
    with pytest.raises(
            OptionError, match='this machine has 2 GPUs, but process 2 of it .* expected at most 2 processes'):
        join(2, local_rank=2)
