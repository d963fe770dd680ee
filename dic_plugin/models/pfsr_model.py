"""Training of PFSR: three stages of growing images, a discriminator, and attention to landmarks."""
from collections import OrderedDict
from functools import partial
from typing import Any, Callable, Dict, Mapping, Tuple

import torch
from basicsr.archs import build_network
from basicsr.models.srgan_model import SRGANModel
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from dic_plugin.models.adversarial_step import adversarial_step
from dic_plugin.utils.option_values import OptionError, number, numbers

__all__ = ['PFSRModel']

STAGES = 3
DRIFT, PENALTY = 0.001, 10.  # weights in the discriminator's loss, as published
PER_STAGE = numbers(STAGES, least=0)


@MODEL_REGISTRY.register()
class PFSRModel(SRGANModel):
    """Trains PFSRGenerator and PFSRDiscriminator stage by stage: images of 32, 64 and 128 pixels for faces of 16.

    Every stage after the first fades its image in. The landmark network, which is not trained, finds heatmaps on
    restored and true images; they are compared, and weigh the difference of the images ("attention"). The defaults are
    the published values (two copies of the authors' training code), those of pixels and attention doubled, for images
    in [0, 1] instead of [-1, 1]. Validation measures the last stage, whose images are noise before it begins.

    Options beside SRGANModel's:
        network_landmark: A landmark network of ours, PFSRLandmarks or StackedHourglass; path: pretrain_network_landmark
            its weights.
        train: stage_starts: Shares of total_iter at which the stages begin. Default: [0, 0.25, 0.5].
        train: fade: Share of total_iter that fading in takes. Default: 0.125.
        train: pixel_weights, perceptual_weights, gan_weights, attention_weights, heatmap_weights: Three weights each,
            one for each stage. ``loss_weight`` of the losses multiplies them.

    Raises:
        OptionError: An option is missing, or there are several processes: DDP does not
            differentiate gradients.
        ValueError: The faces are not of 128 pixels.
    """
    option_keys = dict(
        top=dict(network_landmark=None),
        train=dict(
            stage_starts=PER_STAGE,
            fade=number(0),
            pixel_weights=PER_STAGE,
            perceptual_weights=PER_STAGE,
            gan_weights=PER_STAGE,
            attention_weights=PER_STAGE,
            heatmap_weights=PER_STAGE))

    def __init__(self, opt: Mapping[str, Any]) -> None:
        if opt['is_train'] and (opt['dist'] or opt['num_gpu'] > 1):
            raise OptionError('PFSRModel trains in one process on one device, for it needs gradients of gradients; '
                              'expected num_gpu: 0 or 1 and no --launcher.')
        super().__init__(opt)

    def init_training_settings(self) -> None:
        super().init_training_settings()
        train_opt = self.opt['train']
        self.weights = {
            loss: train_opt.get(f'{loss}_weights') or default
            for loss, default in (
                ('pixel', (20, 20, 20)),
                ('gan', (1, 1, 0.1)),
                ('perceptual', (0.01, 0.01, 0.001)),
                ('attention', (0, 1000, 100)),
                ('heatmap', (0, 50, 50)),
            )
        }
        self.starts = [share * train_opt['total_iter'] for share in train_opt.get('stage_starts') or (0, 0.25, 0.5)]
        self.fade = train_opt.get('fade', 0.125) * train_opt['total_iter']
        landmark_opt, path_opt = self.opt.get('network_landmark'), self.opt['path']
        if not landmark_opt or not path_opt.get('pretrain_network_landmark'):
            raise OptionError('PFSRModel needs network_landmark and path:pretrain_network_landmark, a trained landmark '
                              'network such as that of options/train_landmarks_photos.yml.')
        self.net_landmark = build_network(landmark_opt).to(self.device).eval().requires_grad_(False)
        self.load_network(self.net_landmark, path_opt['pretrain_network_landmark'],
                          path_opt.get('strict_load_landmark', True), path_opt.get('param_key_landmark', 'params'))

    def stage_at(self, current_iter: int) -> Tuple[int, float]:
        """Return the stage of an iteration, 1 to 3, and the share alpha of its own image in the result."""
        stage = sum(current_iter > start for start in self.starts)
        if stage == 1 or not self.fade:
            return stage, 1.
        return stage, min(1., (current_iter - self.starts[stage - 1]) / self.fade)

    def optimize_parameters(self, current_iter: int) -> None:
        stage, alpha = self.stage_at(current_iter)
        real = self._real(stage)
        judge = partial(self.net_d, step=stage, alpha=alpha)

        def generator_losses() -> Dict[str, Tensor]:
            self.output = self.net_g(self.lq, step=stage, alpha=alpha)
            return self._generator_losses(stage, judge, real)

        adversarial_step(self, generator_losses, lambda: self._discriminator_losses(judge, real, self.output.detach()))

    def _real(self, stage: int) -> Tensor:
        """Return the true faces of a stage, halved as often as its images are smaller."""
        if self.gt.shape[2] != self.lq.shape[2] * 2**STAGES:
            raise ValueError(f'gt has {self.gt.shape[2]} pixels and lq {self.lq.shape[2]}; expected gt to be '
                             f'{2 ** STAGES} times as large.')
        real = self.gt
        for _ in range(STAGES - stage):
            real = F.interpolate(real, scale_factor=0.5, mode='bilinear', antialias=True)
        return real

    def _generator_losses(self, stage: int, judge: Callable[..., Tensor], real: Tensor) -> Dict[str, Tensor]:
        weight = {loss: values[stage - 1] for loss, values in self.weights.items()}
        losses = OrderedDict(l_g_pix=weight['pixel'] * self.cri_pix(self.output, real))
        losses['l_g_gan'] = weight['gan'] * self.cri_gan(judge(self.output), True, is_disc=False)
        if self.cri_perceptual and weight['perceptual']:
            losses['l_g_percep'] = weight['perceptual'] * self.cri_perceptual(self.output, real)[0]
        if weight['attention'] or weight['heatmap']:
            found, true = _scaled(self.net_landmark(self.output)), _scaled(self.net_landmark(real))
            attention = _scaled(true.amax(1, keepdim=True), over=(0, 1, 2, 3))
            attention = F.interpolate(attention, size=real.shape[2:], mode='bilinear', align_corners=False)
            losses['l_g_attention'] = weight['attention'] * (attention * (self.output - real).abs()).mean()
            losses['l_g_heatmap'] = weight['heatmap'] * F.mse_loss(found, true)
        return losses

    def _discriminator_losses(self, judge: Callable[..., Tensor], real: Tensor, fake: Tensor) -> Dict[str, Tensor]:
        of_real = judge(real)
        return OrderedDict(
            l_d_real=self.cri_gan(of_real, True, is_disc=True),
            l_d_fake=self.cri_gan(judge(fake), False, is_disc=True),
            l_d_drift=DRIFT * of_real.square().mean(),
            l_d_penalty=PENALTY * gradient_penalty(judge, real, fake))


def gradient_penalty(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean of (n - 1)^2, n the norm of the judgement's gradient with respect to a mixture of both images.

    Args:
        judge: From images to ``B`` judgements.
        real: RGB in [0, 1], ``B,3,H,W``; the norm counts for images in [-1, 1], as published.
        fake: The same.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    mixed = torch.lerp(fake, real, share).requires_grad_()
    gradient, = torch.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)
    return ((gradient / 2).flatten(1).norm(dim=1) - 1).square().mean()


def _scaled(heatmaps: Tensor, over: Tuple[int, ...] = (1, 2, 3)) -> Tensor:
    """Return the heatmaps brought to [0, 1], of each face or of all."""
    low, high = heatmaps.amin(over, keepdim=True), heatmaps.amax(over, keepdim=True)
    return (heatmaps - low) / (high - low).clamp(min=1e-6)
