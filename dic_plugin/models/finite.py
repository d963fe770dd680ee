"""Ends a training whose numbers have gone bad, before its weights do."""
from glob import escape, glob
from os import path as osp
from typing import Any, Mapping, Sequence

import torch
from basicsr.utils import get_root_logger
from torch.optim import Optimizer

__all__ = ['FiniteWatch', 'NotFiniteError', 'batch_names', 'spread_nan']


class NotFiniteError(ArithmeticError):
    """Losses, gradients or weights of a training are NaN or infinite. The message is for the user."""


def batch_names(batch: Mapping[str, Any]) -> Sequence[str]:
    """Return the paths of a batch's images, as BasicSR's datasets give them."""
    return batch.get('gt_path') or batch.get('lq_path') or ()


def spread_nan(loss: torch.Tensor) -> torch.Tensor:
    """Return a loss that, if it is NaN or infinite, makes all gradients NaN, of all processes.

    The gradient of ``|x|`` at NaN is 0 in torch, and a single process sees only its own loss.
    """
    return loss * torch.where(loss.detach().isfinite(), 1., float('nan'))


class FiniteWatch:
    """Checks the losses of each iteration, and the gradients before an optimizer uses them.

    With ``train: skip_nonfinite: true`` an iteration with bad gradients changes no weight, is logged and counted; by
    default it ends the training. Gradients that overflow in fp16 are left to the gradient scaler.

    Args:
        model: A BasicSR model in training.

    Attributes:
        iteration, names: The current iteration and the paths of its faces, for messages.
        skipped: Number of iterations that were skipped.
    """

    def __init__(self, model: Any) -> None:
        self.opt = model.opt
        self.skips = bool(self.opt['train'].get('skip_nonfinite'))
        self.iteration, self.names, self.skipped = 0, (), 0  # type: int, Sequence[str], int
        for label, optimizer in vars(model).items():
            if isinstance(optimizer, Optimizer):
                optimizer.register_step_pre_hook(lambda each, *_, label=label: self._check_gradients(each, label))

    def _check_gradients(self, optimizer: Optimizer, label: str) -> None:
        params = [param for group in optimizer.param_groups for param in group['params'] if param.grad is not None]
        if not params or torch.stack([param.grad.isfinite().all() for param in params]).all():
            return
        if not self.skips:
            raise self._error(f'gradients of {label}')
        for param in params:
            param.grad = None  # optimizers leave out parameters without gradients
        self.skipped += 1
        get_root_logger().warning(f'Iteration {self.iteration}: gradients of {label} are not finite; skipped, '
                                  f'{self.skipped} so far. Faces: {self._faces()}.')

    def check_losses(self, losses: Mapping[str, Any]) -> None:
        """Check an iteration's losses.

        Raises:
            NotFiniteError: One is NaN or infinite, and such iterations are not skipped.
        """
        bad = [name for name, loss in losses.items() if not torch.as_tensor(loss).isfinite().all()]
        if bad and not self.skips:
            raise self._error(', '.join(bad))

    def check_weights(self, weights: Mapping[str, torch.Tensor], label: str) -> None:
        """Check weights before they are saved.

        Raises:
            NotFiniteError: One is NaN or infinite, in any case.
        """
        bad = [name for name, weight in weights.items() if not weight.isfinite().all()]
        if bad:
            raise self._error(f'weights of {label} ({bad[0]})')

    def _faces(self) -> str:
        return ', '.join(self.names) or 'unknown'

    def _error(self, what: str) -> NotFiniteError:
        return NotFiniteError(
            f'Iteration {self.iteration}: {what}: NaN or infinite; the training ends. Faces: '
            f'{self._faces()}. Last checkpoint: {_newest_network(self.opt)}. Expected finite numbers: '
            'lower the learning rate or examine these faces; train:skip_nonfinite: true skips such '
            'iterations.')


def _newest_network(opt: Mapping[str, Any]) -> str:
    return max(glob(osp.join(escape(opt['path']['models']), 'net_g_*.pth')), key=osp.getmtime, default='none yet')
