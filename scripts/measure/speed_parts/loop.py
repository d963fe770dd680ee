"""The training loop with real data against the same loop on one batch: does anything hold the network back?"""
import time
from typing import Any, Dict, Iterator, Mapping, NamedTuple

import torch
import yaml
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from basicsr.utils import MessageLogger
from basicsr.utils.options import ordered_yaml

from take_turns import take_turns


class Loop(NamedTuple):
    """Iterations a second.

    Attributes:
        cached: of the network on one batch that is always there.
        real: with loading, target heatmaps, schedulers and logging.
    """
    cached: float
    real: float

    @property
    def share(self) -> float:
        """Rate divided by that of the cached loop."""
        return self.real / self.cached


def read_options(path: str) -> Dict[str, Any]:
    """A training option file, filled up as BasicSR's ``parse_options`` does for one process, without its folders."""
    with open(path, encoding='utf-8') as file:
        opt = yaml.load(file, Loader=ordered_yaml()[0])
    num_gpu = torch.cuda.device_count() if opt['num_gpu'] == 'auto' else opt['num_gpu']
    opt.update(is_train=True, dist=False, rank=0, world_size=1, num_gpu=num_gpu)
    opt['logger']['use_tb_logger'] = False
    opt['datasets']['train'].update(phase='train', scale=opt['scale'])
    return opt


def measure_loop(opt: Dict[str, Any], iterations: int, rounds: int) -> Loop:
    """Run both loops in turns, ``iterations`` at a time.

    Args:
        opt: as read_options gives it.
        iterations: of one turn.
        rounds: turns of each loop.
    """
    dataset = build_dataset(opt['datasets']['train'])
    for index in range(len(dataset)):
        dataset[index]  # faces that are drawn are drawn once
    loader = build_dataloader(
        dataset, opt['datasets']['train'], num_gpu=opt['num_gpu'], dist=False, sampler=None, seed=opt['manual_seed'])
    model = build_model(opt)
    logger = MessageLogger(opt, 0, None)
    batches = _endless(loader)
    cached = next(batches)
    done = {'iterations': 0}

    def run_cached() -> None:
        for _ in range(iterations):
            model.feed_data(cached)
            model.optimize_parameters(1)

    def run_real() -> None:
        for _ in range(iterations):
            done['iterations'] += 1
            number = done['iterations']
            start = time.time()
            batch = next(batches)
            loading = time.time() - start
            model.update_learning_rate(number, warmup_iter=opt['train'].get('warmup_iter', -1))
            model.feed_data(batch)
            model.optimize_parameters(number)
            if number % opt['logger']['print_freq'] == 0:
                message: Dict[str, Any] = {'epoch': 0, 'iter': number, 'time': time.time() - start}
                message.update(data_time=loading, lrs=model.get_current_learning_rate())
                message.update(model.get_current_log())
                logger(message)

    seconds = take_turns(dict(cached=run_cached, real=run_real), rounds)
    return Loop(iterations / seconds['cached'], iterations / seconds['real'])


def _endless(loader: Any) -> Iterator[Mapping[str, Any]]:
    while True:
        yield from loader
