"""Trains DICGAN: DIC, with a discriminator of its last image."""
import math
from collections import OrderedDict
from typing import Dict

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY

from dic_plugin.models.dic_model import DICModel
from dic_plugin.models.finite import spread_nan
from dic_plugin.models.speed_options import float32, grad_scaler
from dic_plugin.utils.option_values import whole


@MODEL_REGISTRY.register()
class DICGANModel(DICModel):
    """DICModel with a discriminator and a GAN loss on the last step (paper section 3.4 and the published recipe).

    It continues from a trained DIC and leaves the hourglass as it is. The perceptual loss is FaceFeatureLoss in the
    paper. The order of an iteration, the turns of the two networks and the saved files are those of SRGANModel.

    Options beside DICModel's, for training only:
        network_d: The discriminator; path: pretrain_network_d, strict_load_d, param_key_d: its weights.
        train: gan_opt: The GAN loss, ``type: GANLoss``; its ``loss_weight`` is the generator's.
        train: grid_opt: A loss of the last step against dots that a discriminator brings, ``type: GridLoss``. Default:
            none, as in the paper.
        train: optim_d: The optimiser of the discriminator.
        train: net_d_iters: The generator is trained in iterations divisible by this. Default: 1.
        train: net_d_init_iters: The generator is trained after this iteration only. Default: 0.
        train: release_hourglass_iter: As in DICModel, but by default the hourglass is never released.
    """
    option_keys = dict(
        top=dict(network_d=None),
        train=dict(gan_opt=None, grid_opt=None, optim_d=None, net_d_iters=whole(1), net_d_init_iters=whole(0)))
    default_release_iter = math.inf

    def init_training_settings(self) -> None:
        train_opt, path_opt = self.opt['train'], self.opt['path']
        if not path_opt.get('pretrain_network_g'):
            get_root_logger().warning(
                'DICGANModel starts from an untrained generator. The recipe starts from a trained '
                'DIC: name its weights as path:pretrain_network_g.')
        self.net_d = self.model_to_device(build_network(self.opt['network_d']))
        self.print_network(self.net_d)
        if path_opt.get('pretrain_network_d'):
            self.load_network(self.net_d, path_opt['pretrain_network_d'], path_opt.get('strict_load_d', True),
                              path_opt.get('param_key_d', 'params'))
        self.net_d.train()
        self.cri_gan = build_loss(train_opt['gan_opt']).to(self.device)
        self.cri_grid = build_loss(train_opt['grid_opt']).to(self.device) if train_opt.get('grid_opt') else None
        self.net_d_iters = train_opt.get('net_d_iters') or 1
        self.net_d_init_iters = train_opt.get('net_d_init_iters') or 0
        super().init_training_settings()

    def setup_optimizers(self) -> None:
        super().setup_optimizers()
        optim_opt = self.opt['train']['optim_d']
        self.optimizer_d = self.get_optimizer(optim_opt.pop('type'), self.net_d.parameters(), **optim_opt)
        self.optimizers.append(self.optimizer_d)
        self.scaler_d = grad_scaler(self.optimizer_d, self.opt.get('amp'), self.device.type)

    def optimize_parameters(self, current_iter: int) -> None:
        loss_dict: Dict[str, torch.Tensor] = OrderedDict()
        if current_iter > self.net_d_init_iters and current_iter % self.net_d_iters == 0:
            self._optimize_generator(current_iter, loss_dict)
        else:
            with torch.no_grad(), self.autocast():
                self.output = float32(self.net_g(self.lq))
        self._optimize_discriminator(loss_dict)
        self._end_iteration(loss_dict)

    def _optimize_generator(self, current_iter: int, loss_dict: Dict[str, torch.Tensor]) -> None:
        self.net_d.requires_grad_(False)  # gradients pass through it
        self.optimizer_g.zero_grad()
        l_total = self._generator_loss(loss_dict)
        l_g_gan = self.cri_gan(self._judge(self.output), True, is_disc=False)
        loss_dict['l_g_gan'] = l_g_gan
        l_total = l_total + l_g_gan
        if self.cri_grid:
            loss_dict['l_g_grid'] = self.cri_grid(self.output, self.gt)
            l_total = l_total + loss_dict['l_g_grid']
        self._step_generator(l_total, current_iter)
        self.net_d.requires_grad_(True)

    def _optimize_discriminator(self, loss_dict: Dict[str, torch.Tensor]) -> None:
        # Real and fake separately, because distributed training averages gradients after each backward pass.
        self.optimizer_d.zero_grad()
        for kind, images in (('real', self.gt), ('fake', self.output.detach())):
            pred = self._judge(images)
            l_d = self.cri_gan(pred, kind == 'real', is_disc=True)
            self.scaler_d.scale(spread_nan(l_d)).backward()
            loss_dict[f'l_d_{kind}'] = l_d
            loss_dict[f'out_d_{kind}'] = pred.detach().mean()
        self.scaler_d.step(self.optimizer_d)
        self.scaler_d.update()

    def _judge(self, images: torch.Tensor) -> torch.Tensor:
        with self.autocast():
            return float32(self.net_d(images))

    def save(self, epoch: int, current_iter: int) -> None:
        """Save both networks, then the training state, so that a state always has its networks."""
        self.save_network(self.net_d, 'net_d', current_iter)
        super().save(epoch, current_iter)
