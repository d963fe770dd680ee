"""Trainings of the networks that the paper compares with, where SRModel's options cannot say them."""
from collections import OrderedDict
from typing import Any, Dict, Mapping

import torch
from basicsr.losses import build_loss
from basicsr.models.sr_model import SRModel
from basicsr.models.srgan_model import SRGANModel
from basicsr.utils.registry import MODEL_REGISTRY

from dic_plugin.landmarks.heatmaps import HEATMAP_STRIDE
from dic_plugin.models.adversarial_step import adversarial_step
from dic_plugin.utils.option_values import OptionError

__all__ = ['FSRGANModel', 'FSRNetModel', 'StepsModel']


class _PartsModel(SRModel):
    """SRModel with losses of several outputs of its network; not registered."""
    option_keys: Mapping[str, Any] = {}

    def optimize_parameters(self, current_iter: int) -> None:
        self.optimizer_g.zero_grad()
        losses = self._losses(self.net_g(self.lq, return_steps=True))
        torch.stack(list(losses.values())).sum().backward()
        self.optimizer_g.step()
        self.log_dict = self.reduce_loss_dict(losses)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def _losses(self, output: Any) -> Dict[str, torch.Tensor]:
        """Return the losses of what the network returns with ``return_steps``, and set ``output``."""
        raise NotImplementedError


@MODEL_REGISTRY.register()
class StepsModel(_PartsModel):
    """SRModel with the sum over the steps of the pixel loss, the published training of SRFBN.

    The network returns the images of all steps for ``return_steps=True``. Options are SRModel's.
    """

    def _losses(self, output: Any) -> Dict[str, torch.Tensor]:
        self.output = output[-1]
        return OrderedDict((f'l_pix_step{step}', self.cri_pix(image, self.gt)) for step, image in enumerate(output, 1))


@MODEL_REGISTRY.register()
class FSRNetModel(_PartsModel):
    """Training of FSRNet: pixel losses of the coarse and the final image, and the loss of the landmark heatmaps.

    Options beside SRModel's:
        train: heatmap_opt: The loss of the prior, ``type: LandmarkHeatmapLoss``; its sigma counts in cells of 2 pixels.

    Raises:
        OptionError: There is no heatmap_opt.
        ValueError: The training set gives no landmarks.
    """
    option_keys = dict(train=dict(heatmap_opt=None))

    def init_training_settings(self) -> None:
        heatmap_opt = self.opt['train'].get('heatmap_opt')
        if not heatmap_opt:
            raise OptionError('train:heatmap_opt: missing; expected the loss of the prior, type: LandmarkHeatmapLoss.')
        super().init_training_settings()
        self.cri_heatmap = build_loss(heatmap_opt).to(self.device)

    def feed_data(self, data: Mapping[str, Any]) -> None:
        super().feed_data(data)
        if self.is_train and 'landmarks' not in data:
            raise ValueError(
                'FSRNetModel trains with landmarks, which the training dataset does not give; expected its '
                'annotation_file.')
        self.landmarks = data['landmarks'].to(self.device) if 'landmarks' in data else None

    def _losses(self, output: Any) -> Dict[str, torch.Tensor]:
        self.output = output.final
        size = tuple(output.prior.shape[2:])
        cells = self.landmarks * (HEATMAP_STRIDE * size[0] / self.gt.shape[2])
        return OrderedDict(
            l_coarse=self.cri_pix(output.coarse, self.gt),
            l_final=self.cri_pix(output.final, self.gt),
            l_prior=self.cri_heatmap(output.prior, self.cri_heatmap.target(cells, size)))


@MODEL_REGISTRY.register()
class FSRGANModel(FSRNetModel, SRGANModel):
    """Training of FSRGAN: FSRNet's losses, a discriminator of the final image and, as an option, perceptual_opt.

    Options are FSRNetModel's and SRGANModel's; both networks are updated in every iteration.
    """

    def optimize_parameters(self, current_iter: int) -> None:
        adversarial_step(self, self._generator_losses, self._discriminator_losses)

    def _generator_losses(self) -> Dict[str, torch.Tensor]:
        losses = self._losses(self.net_g(self.lq, return_steps=True))
        if self.cri_perceptual:
            losses['l_g_percep'] = self.cri_perceptual(self.output, self.gt)[0]
        losses['l_g_gan'] = self.cri_gan(self.net_d(self.output), True, is_disc=False)
        return losses

    def _discriminator_losses(self) -> Dict[str, torch.Tensor]:
        return OrderedDict(
            l_d_real=self.cri_gan(self.net_d(self.gt), True, is_disc=True),
            l_d_fake=self.cri_gan(self.net_d(self.output.detach()), False, is_disc=True))
