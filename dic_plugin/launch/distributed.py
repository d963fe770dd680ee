"""Several processes: joining them, on CPUs and GPUs, by torchrun or SLURM; and what is said when one of them fails."""
import os
import shutil
import socket
import subprocess
import sys
import traceback
from datetime import timedelta
from typing import Any, Mapping, NoReturn, Optional

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dic_plugin.utils.option_values import OptionError

__all__ = ['any_rank', 'barrier', 'end_failed_process', 'init_process_group', 'model_to_cpu_device']

TIMEOUT = 600  # seconds that a process waits for the others
DEFAULT_PORT = 29500


def init_process_group(launcher: str, num_gpu: Any, dist_params: Mapping[str, Any]) -> None:
    """Join the processes of a run; stands in for BasicSR's ``init_dist``.

    Gradients go by NCCL between GPUs and by Gloo between CPUs; everything else goes by Gloo. The GPU is that of
    LOCAL_RANK: BasicSR's choice, the rank modulo the number of GPUs, is wrong where machines have different numbers.

    Args:
        launcher: pytorch (torchrun) or slurm.
        num_gpu: the option; 0 runs on CPUs also where there are GPUs.
        dist_params: backend (of GPUs, default nccl), port (of rank 0's machine, for SLURM), timeout: seconds that a
            process waits for the others before the run ends. Default: 600.

    Raises:
        OptionError: the launcher's environment variables are missing, or there is no GPU of this number.
    """
    if launcher == 'slurm':
        _adopt_slurm(dist_params.get('port'))
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if name not in os.environ]
    if missing:
        raise OptionError(f'--launcher {launcher}: {missing[0]} is not set; expected a start by ' +
                          ('srun.' if launcher == 'slurm' else 'torchrun, such as `torchrun --nproc_per_node=2 ...`.'))
    backend = 'gloo'
    num_gpus = torch.cuda.device_count()
    if num_gpus and num_gpu != 0:
        local_rank = int(os.environ.get('LOCAL_RANK', 0))
        if local_rank >= num_gpus:
            raise OptionError(
                f'--launcher {launcher}: this machine has {num_gpus} GPUs, but process {local_rank} of it '
                f'(counted from 0) was started; expected at most {num_gpus} processes a machine.')
        torch.cuda.set_device(local_rank)
        backend = f'cpu:gloo,cuda:{dist_params.get("backend") or "nccl"}'
    dist.init_process_group(backend, timeout=timedelta(seconds=float(dist_params.get('timeout') or TIMEOUT)))


def _adopt_slurm(port: Optional[int]) -> None:
    """Set torch's environment variables from SLURM's."""
    for name, slurm_name in (('RANK', 'SLURM_PROCID'), ('WORLD_SIZE', 'SLURM_NTASKS'), ('LOCAL_RANK', 'SLURM_LOCALID')):
        if slurm_name not in os.environ:
            raise OptionError(f'--launcher slurm: {slurm_name} is not set; expected a start by srun.')
        os.environ[name] = os.environ[slurm_name]
    if 'MASTER_ADDR' not in os.environ:
        nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ.get('SLURM_NODELIST', '')
        if not shutil.which('scontrol'):
            raise OptionError(
                '--launcher slurm: scontrol, which names the first machine, is not installed; expected it, '
                'or MASTER_ADDR in the environment.')
        hosts = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, timeout=60)
        if hosts.returncode or not hosts.stdout.split():
            raise OptionError(f'--launcher slurm: scontrol cannot name the machines {nodes!r}: {hosts.stderr.strip()}')
        os.environ['MASTER_ADDR'] = hosts.stdout.split()[0]
    if port is not None or 'MASTER_PORT' not in os.environ:
        os.environ['MASTER_PORT'] = str(port or DEFAULT_PORT)


def model_to_cpu_device(self: Any, net: nn.Module) -> nn.Module:
    """Replace BaseModel's ``model_to_device`` of a distributed run, which asks for the current GPU, on a CPU."""
    return DistributedDataParallel(
        net.to(self.device), find_unused_parameters=bool(self.opt.get('find_unused_parameters')))


def barrier() -> None:
    """Wait until all processes are here."""
    any_rank(0)


def any_rank(value: int) -> int:
    """Return the largest value of all processes; alone, the value itself. On the CPU, so that no GPU is waited for."""
    if not dist.is_initialized():
        return value
    tensor = torch.tensor(value)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return int(tensor)


def end_failed_process(error: BaseException) -> NoReturn:
    """End this process of a distributed run at once, with status 1 and one line that says what failed where.

    A process whose partner has gone says so and no more: the partner has said why, unless it was killed. Nothing is
    waited for: a queue of operations with a partner that has gone would wait for its timeout.
    """
    place = f'rank {dist.get_rank()} of {dist.get_world_size()} ({socket.gethostname()})'
    if _is_lost_contact(error):
        line = f'Error on {place}: another process of this run has ended or cannot be reached; this one also ends.'
    else:
        traceback.print_exception(type(error), error, error.__traceback__)
        line = f'Error on {place}: {type(error).__name__}: {error}'
    sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)
    os._exit(1)


def _is_lost_contact(error: BaseException) -> bool:
    is_gloo = isinstance(error, RuntimeError) and ('gloo' in str(error) or 'onnection' in str(error))
    return isinstance(error, dist.DistError) or is_gloo
