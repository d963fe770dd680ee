"""One run of BasicSR's pipeline, with the functions of ours that stand in for some that its loops call."""
import copy
import gc
import importlib
import logging
import os
import sys
import time
from contextlib import ExitStack
from functools import partial
from os import path as osp
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import torch
from basicsr.data import build_dataloader, build_dataset, prefetch_dataloader
from basicsr.models import base_model, build_model
from basicsr.utils import get_root_logger
from basicsr.utils import options as basicsr_options
from basicsr.utils.dist_util import master_only
from torch import distributed as dist

from dic_plugin.launch import distributed
from dic_plugin.launch.command_line import check_command_line, forced_value, normalised
from dic_plugin.launch.early_log import EarlyLog
from dic_plugin.launch.iterations import Progress, TellingPrefetcher, training_loader
from dic_plugin.launch.machine_check import check_machine, made_consistent
from dic_plugin.launch.memory import memory_kept
from dic_plugin.launch.randomness import seed_iteration
from dic_plugin.launch.resume import is_of_another_experiment, load_resume_state
from dic_plugin.launch.signals import Stopped, StopRequest, ending_children
from dic_plugin.launch.standing_in import standing_in
from dic_plugin.models.finite import FiniteWatch, NotFiniteError, batch_names
from dic_plugin.utils.atomic_write import atomic_write
from dic_plugin.utils.option_check import check_options
from dic_plugin.utils.option_values import OptionError

__all__ = ['test', 'train']

INTERRUPTED = 130  # the status of a process ended by Ctrl-C


def train(root: Optional[str] = None) -> int:
    """Run BasicSR's ``train_pipeline`` on the command line's options.

    Args:
        root: Where ``experiments/`` and ``tb_logger/`` are put. Default: the current directory.

    Returns:
        The exit status: 0 after the last iteration; 2 after one line on standard error that says what is wrong with
        the options or what they name; 128 and the signal's number after a signal, with network and state saved.
    """
    return _run('train', root)


def test(root: Optional[str] = None) -> int:
    """Run BasicSR's ``test_pipeline`` on the command line's options; ``results/`` is put in ``root``. See ``train``."""
    return _run('test', root)


def _run(what: str, root: Optional[str]) -> int:
    status = _Run(what, root)()
    gc.collect()  # The model holds the process group, whose threads must end before the interpreter does.
    return status


class NotSaved(Exception):
    """The last iteration of a run is lost."""


class _Run:
    """State that is shared by the functions that replace BasicSR's.

    Everything is built while the options are parsed, so that whatever cannot be built ends the run before a folder is
    made or the finished experiment of that name is put aside; the loop is handed what is there already.
    """

    def __init__(self, what: str, root: Optional[str]) -> None:
        self.is_train = what == 'train'
        self.loop = importlib.import_module(f'basicsr.{what}')
        self.pipeline = getattr(self.loop, f'{what}_pipeline')
        self.root = osp.abspath(root or os.getcwd())
        self.stop = StopRequest(insist='LOCAL_RANK' not in os.environ)
        self.early_log = EarlyLog()
        self.datasets: Dict[str, Any] = {}
        self.model: Any = None
        self.state: Optional[Dict[str, Any]] = None
        self.saved_iter = -1
        self.tb_logger: Any = None

    def __call__(self) -> int:
        sys.argv[1:] = normalised(sys.argv[1:])
        stock = {name: getattr(self.loop, name) for name in ('parse_options', 'make_exp_dirs', 'get_root_logger')}
        with ExitStack() as stack:
            stack.enter_context(self.early_log.own_logger())
            try:
                command = check_command_line(sys.argv[1:])
                stack.enter_context(
                    standing_in(
                        basicsr_options,
                        open=lambda path, mode='r': open(path, mode, encoding='utf-8'),
                        init_dist=lambda launcher, **_: distributed.init_process_group(
                            launcher, command.num_gpu, command.dist_params),
                        _postprocess_yml_value=forced_value))
                stack.enter_context(standing_in(self.loop, **self._functions(stock)))
                stack.enter_context(standing_in(prefetch_dataloader, PrefetchGenerator=TellingPrefetcher))
                stack.enter_context(standing_in(base_model.BaseModel, save_training_state=self._save_training_state()))
                on_cpu = command.num_gpu == 0 or not torch.cuda.is_available()
                if command.launcher != 'none' and on_cpu:
                    stack.enter_context(
                        standing_in(base_model.BaseModel, model_to_device=distributed.model_to_cpu_device))
                if self.is_train:
                    stack.enter_context(self.stop.listening())
                    stack.enter_context(ending_children())
                if self.is_train and on_cpu:
                    stack.enter_context(memory_kept())
                self.pipeline(self.root)
            except OptionError as error:
                _report(error)
                return 2
            except (NotFiniteError, NotSaved) as error:
                print(f'Error: {error}', file=sys.stderr, flush=True)
                return 1
            except Stopped as stopped:
                if _rank() == 0:
                    print(stopped, file=sys.stderr, flush=True)
                return 128 + stopped.signum
            except KeyboardInterrupt:
                print('Ended by Ctrl-C.', file=sys.stderr, flush=True)
                return INTERRUPTED
            except Exception as error:
                if dist.is_initialized() and dist.get_world_size() > 1:
                    distributed.end_failed_process(error)
                raise
            finally:
                if self.tb_logger:
                    self.tb_logger.close()
                if dist.is_initialized():
                    dist.destroy_process_group()
        return 0

    def _functions(self, stock: Mapping[str, Callable]) -> Dict[str, Callable]:
        """Return the functions that replace those of the loop's module with these names."""

        def parse_options(root_path: str, is_train: bool = True) -> Tuple[Dict[str, Any], Any]:
            opt, args = stock['parse_options'](root_path, is_train=is_train)
            opt['root_path'] = root_path
            opt = self._prepared(opt)
            return opt, args

        def make_exp_dirs(opt: Dict[str, Any]) -> None:
            distributed.barrier()  # nothing is put aside unless all processes have built everything
            stock['make_exp_dirs'](opt)
            distributed.barrier()

        def get_logger(*args: Any, **kwargs: Any) -> logging.Logger:
            self.early_log.make_way()
            return stock['get_root_logger'](*args, **kwargs)

        functions: Dict[str, Callable] = dict(
            parse_options=parse_options,
            make_exp_dirs=make_exp_dirs,
            get_root_logger=get_logger,
            build_model=lambda opt: self.model)
        if not self.is_train:
            return dict(functions, build_dataset=self._built_dataset)

        copy_opt_file, init_tb_loggers = self.loop.copy_opt_file, self.loop.init_tb_loggers

        def copy_options(path: str, experiments_root: str) -> None:
            if self.state is not None and is_of_another_experiment(self.opt):
                make_exp_dirs(self.opt)
            copy_opt_file(path, experiments_root)

        def init_loggers(opt: Dict[str, Any]) -> Any:
            self.tb_logger = init_tb_loggers(opt)
            return self.tb_logger

        return dict(
            functions,
            load_resume_state=lambda opt: self.state,
            copy_opt_file=copy_options,
            init_tb_loggers=init_loggers,
            create_train_val_dataloader=self._loaders,
            CPUPrefetcher=self._prefetcher(self.loop.CPUPrefetcher),
            CUDAPrefetcher=self._prefetcher(self.loop.CUDAPrefetcher))

    # ------------------------------------------------------------- before anything is written
    def _prepared(self, given: Dict[str, Any]) -> Dict[str, Any]:
        """Build everything that the options name; returns the options as meant.

        Raises:
            OptionError: something of them is impossible or cannot be built.
        """
        logger = get_root_logger()
        if 'pretrain_hourglass' in given['path']:
            given['path']['pretrain_network_hourglass'] = given['path'].pop('pretrain_hourglass')
            logger.warning('path:pretrain_hourglass is called pretrain_network_hourglass now, and read as that.')
        opt = check_options(given, self.is_train, logger.warning)
        self.opt = opt
        for change in made_consistent(opt, self.is_train):
            logger.info(change)
        check_machine(opt, self.is_train)
        try:
            if self.is_train:
                self.state = load_resume_state(opt)
            for phase, dataset_opt in opt['datasets'].items():
                if self.is_train and phase != 'train' and phase.split('_')[0] != 'val':
                    raise OptionError(f'datasets:{phase}: expected train, val, or val_ and a name.')
                self.datasets[phase] = build_dataset(dataset_opt)
            if self.is_train:
                self.train_loader = training_loader(self.datasets['train'], opt)
            self.model = build_model(copy.deepcopy(opt))
        except OptionError:
            raise
        except (AssertionError, NotImplementedError, OSError, ValueError) as error:
            raise OptionError(str(error) or repr(error)) from error
        if self.is_train:
            faces = self.train_loader.batch_size * opt['world_size']
            seed = partial(seed_iteration, opt['manual_seed'], opt['rank'])
            self.progress = Progress(self.train_loader, opt['train']['total_iter'], self.state, faces, seed)
            self.progress.between = self._between_iterations
            if not hasattr(self.model, 'watch'):
                self._watch_numbers()
            self._watch_validation()
        return opt

    # ------------------------------------------------------------- what the loops call
    def _built_dataset(self, dataset_opt: Mapping[str, Any]) -> Any:
        self.early_log.replay()
        return next(self.datasets[phase] for phase, opt in self.opt['datasets'].items() if opt is dataset_opt)

    def _loaders(self, opt: Mapping[str, Any], logger: logging.Logger) -> Tuple[Any, Any, List[Any], int, int]:
        """Replace BasicSR's ``create_train_val_dataloader``."""
        self.early_log.replay()
        train_opt = opt['datasets']['train']
        logger.info('Training statistics:'
                    f'\n\tNumber of train images: {len(self.datasets["train"])}'
                    f'\n\tDataset enlarge ratio: {train_opt.get("dataset_enlarge_ratio") or 1}'
                    f'\n\tFaces per iteration: {self.progress.faces_per_iteration}, of {opt["world_size"]} processes'
                    f'\n\tIterations per epoch: {len(self.train_loader)}'
                    f'\n\tTotal iterations: {opt["train"]["total_iter"]}')
        val_loaders = []
        for phase, dataset in self.datasets.items():
            if phase != 'train':
                dataset_opt = opt['datasets'][phase]
                val_loaders.append(
                    build_dataloader(
                        dataset,
                        dataset_opt,
                        num_gpu=opt['num_gpu'],
                        dist=opt['dist'],
                        sampler=None,
                        seed=opt['manual_seed']))
                logger.info(f'Number of val images/folders in {dataset_opt["name"]}: {len(dataset)}')
        return (self.train_loader, self.train_loader.sampler, val_loaders, self.progress.total_epochs,
                opt['train']['total_iter'])

    def _prefetcher(self, stock: Callable) -> Callable:

        def build(*args: Any) -> Progress:
            self.progress.prefetcher = stock(*args)
            return self.progress

        return build

    def _save_training_state(self) -> Callable:
        run = self

        @master_only
        def save_training_state(self: Any, epoch: int, current_iter: int) -> None:
            """Save as BaseModel does, but atomically, and with the position among the faces of the epoch."""
            if current_iter == -1:
                return
            state = dict(
                epoch=epoch,
                iter=current_iter,
                optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
                schedulers=[scheduler.state_dict() for scheduler in self.schedulers],
                sampler=run.progress.position())
            path = osp.join(self.opt['path']['training_states'], f'{current_iter}.state')
            try:
                with atomic_write(path) as temporary:
                    torch.save(state, temporary)
            except (OSError, RuntimeError) as error:  # as in BasicSR this does not end the training
                get_root_logger().warning(f'{path}: not saved: {error}')

        return save_training_state

    def _between_iterations(self) -> None:
        """Stop if any process was asked to; save the last iteration."""
        progress = self.progress
        signum = distributed.any_rank(self.stop.signum or 0)
        if signum:
            self._stop(signum)
        if progress.is_finished and progress.current_iter > progress.first_iter:
            self._save()

    def _save(self) -> None:
        """Save this iteration unless the loop has.

        Raises:
            NotSaved: it could not; BasicSR and FaceModel only log why, because a training may go on without.
        """
        current_iter = self.progress.current_iter
        if self.saved_iter != current_iter and current_iter % self.opt['logger']['save_checkpoint_freq']:
            self.model.save(self.progress.sampler.epoch, current_iter)
        self.saved_iter = current_iter
        path_opt = self.opt['path']
        files = [osp.join(path_opt['training_states'], f'{current_iter}.state')]
        files += [
            osp.join(path_opt['models'], f'net_{label}_{current_iter}.pth') for label in ('g', 'd')
            if f'network_{label}' in self.opt
        ]
        if _rank() == 0 and not all(map(osp.isfile, files)):
            raise NotSaved(f'iteration {current_iter} could not be saved in {path_opt["experiments_root"]}; the log '
                           'says why.')

    def _stop(self, signum: int) -> None:
        import signal
        name, current_iter = signal.Signals(signum).name, self.progress.current_iter
        if current_iter == self.progress.first_iter:
            raise Stopped(signum, f'Stopped by {name} before the first iteration; nothing had to be saved.')
        self._save()
        raise Stopped(
            signum, f'Stopped by {name} after iteration {current_iter} of {self.progress.total_iter}; network and '
            f'training state are saved in {self.opt["path"]["experiments_root"]}. --auto_resume goes on.')

    def _watch_numbers(self) -> None:
        """Do for BasicSR's own models what FaceModel does for ours."""
        watch, stock = FiniteWatch(self.model), self.model.optimize_parameters

        def begin(iteration: int, batch: Mapping[str, Any]) -> None:
            watch.iteration, watch.names = iteration, batch_names(batch)

        def optimize_parameters(current_iter: int) -> None:
            stock(current_iter)
            watch.check_losses(self.model.log_dict)

        self.progress.begin = begin
        self.model.optimize_parameters = optimize_parameters

    def _watch_validation(self) -> None:
        """Let a single process stop also within a validation. Several wait for its end, as for one another."""
        stock = self.model.validation

        def validation(*args: Any, **kwargs: Any) -> None:
            if not self.opt['dist']:
                self.stop.at_once = self._stop
                if self.stop.signum:
                    self._stop(self.stop.signum)
            try:
                stock(*args, **kwargs)
            finally:
                self.stop.at_once = None

        self.model.validation = validation


def _rank() -> int:
    return int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0)))


def _report(error: OptionError) -> None:
    """Say once what is wrong, whatever the number of processes."""
    if _rank() == 0:
        print(f'Error in the options: {error}', file=sys.stderr, flush=True)
    else:
        time.sleep(1)  # the first process to fail makes torchrun stop the others; leave rank 0 the time to speak
