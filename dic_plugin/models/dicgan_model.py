"""Trains DICGAN: DIC, and a discriminator that judges its last image."""
import math
from collections import OrderedDict
from typing import Dict

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY

from dic_plugin.models.dic_model import DICModel
from dic_plugin.models.speed_options import float32
from dic_plugin.utils.option_values import whole


@MODEL_REGISTRY.register()
class DICGANModel(DICModel):
    """DICModel with a discriminator and a GAN loss on the last step (paper section 3.4 and the published recipe).

    It continues from a trained DIC, and the hourglass stays as it is. The perceptual loss, which DICModel takes of the
    last step already, is FaceFeatureLoss in the paper. The order of an iteration, the two networks' turns and what is
    saved are those of BasicSR's SRGANModel.

    Options beside DICModel's, as in SRGANModel:
        network_d: the discriminator; path: pretrain_network_d, strict_load_d, param_key_d: its weights, if any.
        train: gan_opt: the GAN loss, ``type: GANLoss`` with any ``gan_type`` of BasicSR; its ``loss_weight`` is the
            generator's.
        train: optim_d: the discriminator's optimiser.
        train: net_d_iters: the generator learns at every iteration divisible by this. Default: 1.
        train: net_d_init_iters: the generator learns after this iteration only. Default: 0.
        train: release_hourglass_iter: as in DICModel, but by default the hourglass is never released.

    Testing takes DICModel's options only.
    """
    option_keys = {
        'top': {
            'network_d': None
        },
        'train': {
            'gan_opt': None,
            'optim_d': None,
            'net_d_iters': whole(1),
            'net_d_init_iters': whole(0)
        },
    }
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
        self.net_d_iters = train_opt.get('net_d_iters') or 1
        self.net_d_init_iters = train_opt.get('net_d_init_iters') or 0
        super().init_training_settings()

    def setup_optimizers(self) -> None:
        super().setup_optimizers()
        optim_opt = self.opt['train']['optim_d']
        self.optimizer_d = self.get_optimizer(optim_opt.pop('type'), self.net_d.parameters(), **optim_opt)
        self.optimizers.append(self.optimizer_d)

    # --------------------------------------------------------------- training
    def optimize_parameters(self, current_iter: int) -> None:
        loss_dict = OrderedDict()
        if current_iter > self.net_d_init_iters and current_iter % self.net_d_iters == 0:
            self._optimize_generator(current_iter, loss_dict)
        else:
            with torch.no_grad(), self.amp.autocast():
                self.output = float32(self.net_g(self.lq))
        self._optimize_discriminator(loss_dict)
        self._end_iteration(loss_dict)

    def _optimize_generator(self, current_iter: int, loss_dict: Dict[str, torch.Tensor]) -> None:
        self.net_d.requires_grad_(False)  # it only passes the gradient on
        self.optimizer_g.zero_grad()
        l_total = self._generator_loss(loss_dict)
        l_g_gan = self.cri_gan(self._judge(self.output), True, is_disc=False)
        loss_dict['l_g_gan'] = l_g_gan
        self._step_generator(l_total + l_g_gan, current_iter)
        self.net_d.requires_grad_(True)

    def _optimize_discriminator(self, loss_dict: Dict[str, torch.Tensor]) -> None:
        """Real and fake one after the other: distributed training averages gradients after each backward pass."""
        self.optimizer_d.zero_grad()
        for kind, images in (('real', self.gt), ('fake', self.output.detach())):
            pred = self._judge(images)
            l_d = self.cri_gan(pred, kind == 'real', is_disc=True)
            self.amp.backward(l_d, self.optimizer_d)
            loss_dict[f'l_d_{kind}'] = l_d
            loss_dict[f'out_d_{kind}'] = pred.detach().mean()
        self.amp.optimize(self.optimizer_d)

    def _judge(self, images: torch.Tensor) -> torch.Tensor:
        with self.amp.autocast():
            return float32(self.net_d(images))

    def save(self, epoch: int, current_iter: int) -> None:
        """Both networks, then the training state, so that whoever finds a state finds its networks."""
        self.save_network(self.net_d, 'net_d', current_iter)
        super().save(epoch, current_iter)
