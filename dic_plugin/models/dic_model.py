"""Trains and tests DIC by BasicSR's own loops."""
from collections import OrderedDict
from os import path as osp
from typing import Dict, List, Tuple

import torch
from basicsr.utils.registry import MODEL_REGISTRY

from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.models.face_model import FaceModel
from dic_plugin.models.finite import spread_nan
from dic_plugin.models.speed_options import float32
from dic_plugin.utils.option_values import choice, path, whole


@MODEL_REGISTRY.register()
class DICModel(FaceModel):
    """Collaborative training of the recovery and the alignment branch (paper section 3.4 and the published recipe).

    Network, pixel loss, perceptual loss (on the last step), optimiser, scheduler, EMA and records are SRModel's. Losses
    are summed over the steps. Validation reports every step, and bicubic enlargement beside them.

    Options beside SRModel's and FaceModel's:
        path: pretrain_network_hourglass: Weights that the hourglass starts from, in BasicSR's format: published ones
            converted by dic-convert, or trained by LandmarkModel. Not read when resuming.
        path: param_key_hourglass: ``params`` (default) or ``params_ema`` of that file.
        train: heatmap_opt: Without it no landmarks are needed.
        train: release_hourglass_iter: The hourglass stays frozen up to and including this iteration. Default: 0.

    Raises:
        OptionError: An option is misspelt or missing.
        CheckpointError: Weights cannot be read or are of another network.
    """
    option_keys = dict(
        path=dict(pretrain_network_hourglass=path, param_key_hourglass=choice('params', 'params_ema')),
        train=dict(release_hourglass_iter=whole(0)))
    makes_images = True
    default_release_iter: float = 0

    def init_training_settings(self) -> None:
        path_opt, hourglass = self.opt['path'], self.get_bare_model(self.net_g).hourglass
        file = path_opt.get('pretrain_network_hourglass')
        if path_opt.get('resume_state'):  # the network that is resumed contains the hourglass
            file = None
        if file:
            if not osp.isfile(file):
                raise CheckpointError(f'{file}: no such file, but path:pretrain_network_hourglass; expected the '
                                      'published hourglass, converted, or one that options/train_hourglass_CelebA.yml '
                                      'trains (docs/training.md, "Train on other faces or landmarks").')
            self.load_network(hourglass, file, param_key=path_opt.get('param_key_hourglass') or 'params')
        super().init_training_settings()
        if file and self.ema_decay > 0:
            self.net_g_ema.hourglass.load_state_dict(hourglass.state_dict())
        released = self.opt['train'].get('release_hourglass_iter')
        self.release_hourglass_iter = self.default_release_iter if released is None else released
        self.hourglass_params = list(hourglass.parameters())

    def optimize_parameters(self, current_iter: int) -> None:
        self.optimizer_g.zero_grad()
        loss_dict: Dict[str, torch.Tensor] = OrderedDict()
        self._step_generator(self._generator_loss(loss_dict), current_iter)
        self._end_iteration(loss_dict)

    def _generator_loss(self, loss_dict: Dict[str, torch.Tensor]) -> torch.Tensor:
        """Set ``output`` (the last SR image) and return the sum of the losses, which are logged."""
        with self.autocast():
            steps = float32(self.net_g(self.lq, return_steps=True))
        self.output = steps.sr[-1]

        l_total = torch.zeros((), device=self.device)
        if self.cri_pix:
            l_total = l_total + self._sum_over_steps('l_pix', [self.cri_pix(sr, self.gt) for sr in steps.sr], loss_dict)
        if self.cri_heatmap:
            l_total = l_total + self._heatmap_loss(steps.heatmap, loss_dict)
        if self.cri_perceptual:
            with self.autocast():
                losses = self.cri_perceptual(self.output, self.gt)
            for name, loss in zip(('l_percep', 'l_style'), losses):
                if loss is not None:
                    loss_dict[name] = loss.float()
                    l_total = l_total + loss_dict[name]
        return l_total

    def _step_generator(self, l_total: torch.Tensor, current_iter: int) -> None:
        self.scaler_g.scale(spread_nan(l_total)).backward()
        if current_iter <= self.release_hourglass_iter:
            # requires_grad would not do, because DDP reads it only once. Without a gradient the optimizer skips them,
            # and the scaler does not check whether they are finite.
            for param in self.hourglass_params:
                param.grad = None
        self.scaler_g.step(self.optimizer_g)
        self.scaler_g.update()

    def test(self) -> None:
        """Set ``output`` (the last SR image) and ``steps`` (the images and heatmaps of every step)."""
        with torch.no_grad(), self.autocast():
            self.steps = float32(self._net_to_test()(self.lq, return_steps=True))
        self.output = self.steps.sr[-1]
        self.net_g.train(self.is_train)

    def _tested(self) -> List[Tuple[str, torch.Tensor, torch.Tensor]]:
        return [(f'step {step}', sr, heatmap)
                for step, (sr, heatmap) in enumerate(zip(self.steps.sr, self.steps.heatmap), 1)]
