"""Trains and tests the networks that find landmarks, by BasicSR's own loops."""
from collections import OrderedDict
from os import path as osp
from typing import Any, Callable, Iterator, List, Mapping

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger, imwrite, tensor2img
from basicsr.utils.registry import MODEL_REGISTRY

from dic_plugin.archs.feedback_hourglass_arch import RGB_MEAN
from dic_plugin.data.hourglass_views import VIEWS, draw_views, make_view
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from dic_plugin.models.face_model import FaceModel
from dic_plugin.models.face_validation import FaceResult, Row, share_buffers
from dic_plugin.models.speed_options import float32, lay_out
from dic_plugin.utils.drawing import Tile, draw_strip
from dic_plugin.utils.option_check import unknown
from dic_plugin.utils.option_values import OptionError, whole


@MODEL_REGISTRY.register()
class LandmarkModel(FaceModel):
    """Trains FeedbackHourglass, from which DIC starts, or StackedHourglass, the evaluator, on faces with landmarks.

    The heatmap loss is summed over the passes of the former, or the stacks of the latter. What is saved of a
    FeedbackHourglass is what DICModel's ``path: pretrain_network_hourglass`` takes; it is shown images as DIC shows
    them, the published mean subtracted. Validation measures the landmarks of the last pass or stack for each kind of
    view.

    Options beside BaseModel's and FaceModel's, and SRModel's ``ema_decay`` and ``optim_g``:
        num_steps (at the top): passes of a FeedbackHourglass, as many as the steps of the DIC that it is for.
        train: heatmap_opt: the loss, ``type: LandmarkHeatmapLoss``.
        train: input_views: kinds of images to train on, mixed at random: some of bicubic, blurred, sr_like and sharp,
            see ``dic_plugin.data.hourglass_views``. Default: [sharp].
        val: input_views: kinds of images to test with, one row of the log each, the last of which counts as the result.
            Default: [sharp].

    Raises:
        OptionError: an option is misspelt, missing or impossible.
        CheckpointError: given weights cannot be read or are another network's.
    """
    option_keys = {
        'top': {
            'num_steps': whole(1)
        },
        'train': {
            'heatmap_opt': None,
            'input_views': None
        },
        'val': {
            'input_views': None
        },
    }
    row_kind = 'view'

    def check_own_options(self, opt: Mapping[str, Any]) -> None:
        kind = opt['network_g']['type']
        if kind not in ('FeedbackHourglass', 'StackedHourglass'):
            raise OptionError(f'network_g:type is {kind}; LandmarkModel trains FeedbackHourglass or StackedHourglass.')
        num_steps = opt.get('num_steps')
        if kind == 'StackedHourglass':
            if num_steps is not None:
                raise OptionError('num_steps is for FeedbackHourglass; StackedHourglass has network_g:num_stacks.')
        elif num_steps is None:
            raise OptionError('num_steps: missing; expected how many passes FeedbackHourglass makes, as many as the '
                              'steps of the DIC that it is for.')
        _check_views((opt.get('val') or {}).get('input_views'), 'val:input_views')
        if opt['is_train']:
            _check_views(opt['train'].get('input_views'), 'train:input_views')
            if not opt['train'].get('heatmap_opt'):
                raise OptionError('train:heatmap_opt: missing; expected the loss, type: LandmarkHeatmapLoss.')
            for name in ('pixel_opt', 'perceptual_opt'):
                if opt['train'].get(name):
                    raise OptionError(f'train:{name}: LandmarkModel makes no images; remove it.')

    def __init__(self, opt: Mapping[str, Any]) -> None:
        super().__init__(opt)
        self.feeds_back = opt['network_g']['type'] == 'FeedbackHourglass'
        self.num_steps = opt.get('num_steps') or 1
        self.mean = torch.tensor(RGB_MEAN, device=self.device).view(3, 1, 1)

    def init_training_settings(self) -> None:
        """As SRModel's, with the one loss that there is here."""
        train_opt = self.opt['train']
        self.net_g.train()
        self.ema_decay = train_opt.get('ema_decay', 0)
        if self.ema_decay > 0:
            get_root_logger().info(f'Use Exponential Moving Average with decay: {self.ema_decay}')
            self.net_g_ema = build_network(self.opt['network_g']).to(self.device).eval()
            lay_out(self.net_g_ema, self.opt, self.device, by_torch=False)
            path = self.opt['path']
            if path.get('pretrain_network_g'):
                self.load_network(self.net_g_ema, path['pretrain_network_g'], path.get('strict_load_g', True),
                                  'params_ema')
            else:
                self.model_ema(0)
        self.cri_heatmap = build_loss(train_opt['heatmap_opt']).to(self.device)
        self.setup_optimizers()
        self.setup_schedulers()

    def model_ema(self, decay: float = 0.999) -> None:
        """As BasicSR's, which leaves out the statistics of batch norms."""
        super().model_ema(decay)
        if self.opt['dist']:
            share_buffers(self.get_bare_model(self.net_g))
        current = dict(self.get_bare_model(self.net_g).named_buffers())
        for name, buffer in self.net_g_ema.named_buffers():
            if buffer.is_floating_point():
                buffer.lerp_(current[name], 1 - decay)
            else:  # the number of batches
                buffer.copy_(current[name])

    # --------------------------------------------------------------- training
    def feed_data(self, data: Mapping[str, Any]) -> None:
        if 'gt' not in data:
            raise ValueError(
                'LandmarkModel finds landmarks on the true images, `gt`, which this dataset does not give; '
                'expected FaceLandmarkDataset or SyntheticFaceDataset.')
        super().feed_data(data)

    def _heatmaps(self, net: Callable, views: List[torch.Tensor]) -> List[torch.Tensor]:
        """Heatmaps ``B,K,h,w`` of every pass over the views, of which StackedHourglass is given one."""
        if not self.feeds_back:
            return net(views[0], return_stacks=True)
        heatmaps, hidden = [], None
        for view in views:
            heatmap, hidden = net(view - self.mean, hidden)
            heatmaps.append(heatmap)
        return heatmaps

    def optimize_parameters(self, current_iter: int) -> None:
        self.optimizer_g.zero_grad()
        views = draw_views(self.lq, self.gt, self.opt['train'].get('input_views') or ['sharp'], self.num_steps)
        with self.amp.autocast():
            heatmaps = float32(self._heatmaps(self.net_g, views))
        target = self._target_heatmaps(heatmaps[0])

        loss_dict = OrderedDict()
        losses = [self.cri_heatmap(heatmap, target) for heatmap in heatmaps]
        self.amp.backward(self._sum_over_steps('l_heatmap', losses, loss_dict), self.optimizer_g)
        self.amp.optimize(self.optimizer_g)
        self._end_iteration(loss_dict)

    # ------------------------------------------------------------- validation
    def test(self) -> None:
        """Fill ``views`` and ``heatmaps``: of every kind of view the images and what the last pass or stack finds."""
        net = self._net_to_test()
        medium = torch.full((len(self.gt), ), 0.5, device=self.device)
        self.views = {
            kind: make_view(kind, self.lq, self.gt, medium)
            for kind in self.opt['val'].get('input_views') or ['sharp']
        }
        with torch.no_grad(), self.amp.autocast():
            self.heatmaps = {
                kind: float32(self._heatmaps(net, [view] * self.num_steps)[-1])
                for kind, view in self.views.items()
            }
        self.net_g.train(self.is_train)

    def _faces(self, batch: Mapping[str, Any]) -> Iterator[FaceResult]:
        found = {kind: decode_heatmaps(heatmap).cpu().numpy() for kind, heatmap in self.heatmaps.items()}
        for i, lq_path in enumerate(batch['lq_path']):
            yield FaceResult(
                name=osp.splitext(osp.basename(lq_path))[0],
                gt=tensor2img([batch['gt'][i]]),
                gt_landmarks=batch['landmarks'][i].numpy() if 'landmarks' in batch else None,
                rows=[Row(kind, tensor2img([view[i]]), found[kind][i]) for kind, view in self.views.items()])

    def _save_pictures(self, face: FaceResult, dataset_name: str, current_iter: Any) -> None:
        """A strip: every kind of view with the landmarks found on it, and the face with the true ones."""
        tiles = [Tile(*row) for row in face.rows]
        tiles.append(Tile('truth', face.gt, face.gt_landmarks))
        imwrite(draw_strip(tiles), self._picture_path(face.name, dataset_name, current_iter))


def _check_views(views: Any, where: str) -> None:
    if views is None:
        return
    if not isinstance(views, (list, tuple)) or not views or len(set(map(str, views))) < len(views):
        raise OptionError(f'{where} is {views!r}; expected a list of different views: {", ".join(VIEWS)}.')
    for view in views:
        if view not in VIEWS:
            raise unknown(f'{where}: {view}', str(view), VIEWS, 'view')
