"""Trains and tests DIC by BasicSR's own loops."""
from collections import OrderedDict
from os import path as osp
from typing import Any, Dict, Iterator, Mapping

import mmcv
import torch
from basicsr.losses import build_loss
from basicsr.utils import imwrite, tensor2img
from basicsr.utils.registry import MODEL_REGISTRY

from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from dic_plugin.models.face_model import FaceModel
from dic_plugin.models.face_validation import FaceResult, Row
from dic_plugin.models.speed_options import float32, lay_out
from dic_plugin.utils.drawing import Tile, draw_strip
from dic_plugin.utils.option_values import choice, path, whole


@MODEL_REGISTRY.register()
class DICModel(FaceModel):
    """Collaborative training of the recovery and the alignment branch (paper section 3.4 and the published recipe).

    From SRModel: network, pixel loss, perceptual loss (on the last step), optimiser, scheduler, EMA, saving, resuming,
    distributed launch, best-metric record. New here: losses summed over the steps, the heatmap loss, the frozen start
    of the hourglass and its pretrained weights. From FaceModel: validation in batches, step by step, with landmarks and
    pictures; bicubic enlargement stands beside the steps.

    Options beside SRModel's and FaceModel's:
        path: pretrain_network_hourglass: weights the hourglass starts from (BasicSR's ``params``; published ones are
            converted by dic-convert; one of one's own is trained by LandmarkModel). Not read when
            resuming.
        path: param_key_hourglass: ``params`` (default) or ``params_ema`` of that file.
        train: heatmap_opt: the landmark loss, ``type: LandmarkHeatmapLoss``. Without it no landmarks are needed.
        train: release_hourglass_iter: the hourglass stays frozen up to and including this iteration. Default: 0.

    Raises:
        OptionError: an option is misspelt or missing.
        CheckpointError: given weights cannot be read or are another network's.
    """
    option_keys = {
        'path': {
            'pretrain_network_hourglass': path,
            'param_key_hourglass': choice('params', 'params_ema')
        },
        'train': {
            'heatmap_opt': None,
            'release_hourglass_iter': whole(0)
        },
    }
    fixed_rows = ('bicubic', )
    default_release_iter: float = 0

    def init_training_settings(self) -> None:
        train_opt = self.opt['train']
        hourglass_path = self.opt['path'].get('pretrain_network_hourglass')
        if self.opt['path'].get('resume_state'):  # the resumed network holds the hourglass already
            hourglass_path = None
        if hourglass_path:
            param_key = self.opt['path'].get('param_key_hourglass') or 'params'
            if not osp.isfile(hourglass_path):
                raise CheckpointError(
                    f'{hourglass_path}: no such file, but path:pretrain_network_hourglass; expected the '
                    'published hourglass, converted, or one that options/train_hourglass_CelebA.yml '
                    'trains (docs/training.md, "Train on other faces or landmarks").')
            self.load_network(self.get_bare_model(self.net_g).hourglass, hourglass_path, param_key=param_key)
        super().init_training_settings()
        if self.ema_decay > 0:
            lay_out(self.net_g_ema, self.opt, self.device, by_torch=False)
            if hourglass_path:
                hourglass = self.get_bare_model(self.net_g).hourglass
                self.net_g_ema.hourglass.load_state_dict(hourglass.state_dict())

        self.cri_heatmap = None
        if train_opt.get('heatmap_opt'):
            self.cri_heatmap = build_loss(train_opt['heatmap_opt']).to(self.device)
        released = train_opt.get('release_hourglass_iter')
        self.release_hourglass_iter = self.default_release_iter if released is None else released
        self.hourglass_params = list(self.get_bare_model(self.net_g).hourglass.parameters())

    # --------------------------------------------------------------- training
    def optimize_parameters(self, current_iter: int) -> None:
        self.optimizer_g.zero_grad()
        loss_dict = OrderedDict()
        self._step_generator(self._generator_loss(loss_dict), current_iter)
        self._end_iteration(loss_dict)

    def _generator_loss(self, loss_dict: Dict[str, torch.Tensor]) -> torch.Tensor:
        """Fill ``output`` (the last SR image) and sum up the losses on it and on every step; they go to the log."""
        with self.amp.autocast():
            steps = float32(self.net_g(self.lq, return_steps=True))
        self.output = steps.sr[-1]

        l_total = 0
        if self.cri_pix:
            l_total = l_total + self._sum_over_steps('l_pix', [self.cri_pix(sr, self.gt) for sr in steps.sr], loss_dict)
        if self.cri_heatmap:
            target = self._target_heatmaps(steps.heatmap[0])
            losses = [self.cri_heatmap(heatmap, target) for heatmap in steps.heatmap]
            l_total = l_total + self._sum_over_steps('l_heatmap', losses, loss_dict)
        if self.cri_perceptual:
            with self.amp.autocast():
                losses = self.cri_perceptual(self.output, self.gt)
            for name, loss in zip(('l_percep', 'l_style'), losses):
                if loss is not None:
                    loss = loss.float()
                    l_total = l_total + loss
                    loss_dict[name] = loss
        return l_total

    def _step_generator(self, l_total: torch.Tensor, current_iter: int) -> None:
        self.amp.backward(l_total, self.optimizer_g)
        if current_iter <= self.release_hourglass_iter:
            # Not by requires_grad, which DDP reads only once: without a gradient the optimiser leaves them alone, and
            # a gradient scaler does not ask whether they are finite.
            for param in self.hourglass_params:
                param.grad = None
        self.amp.optimize(self.optimizer_g)

    # ------------------------------------------------------------- validation
    def test(self) -> None:
        """Fill ``output`` (the last SR image) and ``steps`` (every step's images and heatmaps)."""
        with torch.no_grad(), self.amp.autocast():
            self.steps = float32(self._net_to_test()(self.lq, return_steps=True))
        self.output = self.steps.sr[-1]
        self.net_g.train(self.is_train)

    def _faces(self, batch: Mapping[str, Any]) -> Iterator[FaceResult]:
        landmarks = [decode_heatmaps(heatmap).cpu().numpy() for heatmap in self.steps.heatmap]
        images = [sr.cpu() for sr in self.steps.sr]
        for i, lq_path in enumerate(batch['lq_path']):
            lq = tensor2img([batch['lq'][i]])
            height, width = images[0].shape[2:]
            bicubic = mmcv.imresize(lq, (width, height), interpolation='bicubic', backend='pillow')
            rows = [Row('bicubic', bicubic, None)]
            rows += [
                Row(f'step {step}', tensor2img([sr[i]]), points[i])
                for step, (sr, points) in enumerate(zip(images, landmarks), 1)
            ]
            yield FaceResult(
                name=osp.splitext(osp.basename(lq_path))[0],
                lq=lq,
                gt=tensor2img([batch['gt'][i]]) if 'gt' in batch else None,
                gt_landmarks=batch['landmarks'][i].numpy() if 'landmarks' in batch else None,
                rows=rows)

    def _save_pictures(self, face: FaceResult, dataset_name: str, current_iter: Any) -> None:
        """The SR image where BasicSR puts it, and a strip: input, bicubic, every step with its landmarks, truth."""
        sr_path = self._picture_path(face.name, dataset_name, current_iter)
        if self.is_train:
            strip_path = osp.splitext(sr_path)[0] + '_steps.png'
        else:
            strip_path = self._picture_path(face.name, f'{dataset_name}_steps', current_iter)
        imwrite(face.rows[-1].image, sr_path)
        tiles = [Tile('input', face.lq)]
        tiles += [Tile(*row) for row in face.rows]
        if face.gt is not None:
            tiles.append(Tile('ground truth', face.gt, face.gt_landmarks))
        imwrite(draw_strip(tiles), strip_path)
