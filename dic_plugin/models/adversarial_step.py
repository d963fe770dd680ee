"""One iteration of the trainings against a discriminator whose losses SRGANModel's options cannot say."""
from collections import OrderedDict
from typing import Any, Callable, Mapping

import torch
from torch import Tensor

__all__ = ['adversarial_step']


def adversarial_step(model: Any, generator_losses: Callable[[], Mapping[str, Tensor]],
                     discriminator_losses: Callable[[], Mapping[str, Tensor]]) -> None:
    """Update the generator, then the discriminator, by the sums of their losses; log them and update the EMA.

    Args:
        model: An SRGANModel.
        generator_losses: Runs the generator; gradients pass through the discriminator, which is not trained by them.
        discriminator_losses: Called after the generator's update.
    """
    model.net_d.requires_grad_(False)
    model.optimizer_g.zero_grad()
    losses = OrderedDict(generator_losses())
    torch.stack(list(losses.values())).sum().backward()
    model.optimizer_g.step()
    model.net_d.requires_grad_(True)
    model.optimizer_d.zero_grad()
    losses_d = discriminator_losses()
    torch.stack(list(losses_d.values())).sum().backward()
    model.optimizer_d.step()
    model.log_dict = model.reduce_loss_dict(OrderedDict(losses, **losses_d))
    if model.ema_decay > 0:
        model.model_ema(decay=model.ema_decay)
