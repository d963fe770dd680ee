"""Trains and tests the networks that find landmarks, by BasicSR's own loops."""
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Mapping, Tuple

import torch
from basicsr.utils.registry import MODEL_REGISTRY

from dic_plugin.archs.feedback_hourglass_arch import RGB_MEAN
from dic_plugin.data.hourglass_views import VIEWS, draw_views, make_view
from dic_plugin.models.face_model import FaceModel
from dic_plugin.models.face_validation import share_buffers
from dic_plugin.models.finite import spread_nan
from dic_plugin.models.speed_options import float32
from dic_plugin.utils.option_check import unknown
from dic_plugin.utils.option_values import OptionError, whole


@MODEL_REGISTRY.register()
class LandmarkModel(FaceModel):
    """Trains FeedbackHourglass, from which DIC starts, or StackedHourglass, the evaluator, on faces with landmarks.

    The heatmap loss is summed over passes or stacks. A FeedbackHourglass is shown images as in DIC, with the published
    mean subtracted, and its checkpoints are for DICModel's ``path: pretrain_network_hourglass``. Validation measures
    the landmarks of the last pass or stack for each kind of view.

    Options beside BaseModel's and FaceModel's, and SRModel's ``ema_decay`` and ``optim_g``:
        num_steps (top level): Passes of a FeedbackHourglass, as many as the steps of the DIC that it is for.
        train: input_views: Kinds of training images, mixed at random: some of bicubic, blurred, sr_like and sharp, see
            ``dic_plugin.data.hourglass_views``. Default: [sharp].
        val: input_views: Kinds of test images, one row of the log each; the last one is the result. Default: [sharp].

    Raises:
        OptionError: An option is misspelt, missing or impossible.
        CheckpointError: Weights cannot be read or are of another network.
    """
    option_keys = dict(top=dict(num_steps=whole(1)), train=dict(input_views=None), val=dict(input_views=None))
    row_kind = 'view'

    def check_own_options(self, opt: Mapping[str, Any]) -> None:
        kind = opt['network_g']['type']
        if kind not in ('FeedbackHourglass', 'StackedHourglass'):
            raise OptionError(f'network_g:type is {kind}; LandmarkModel trains FeedbackHourglass or StackedHourglass.')
        num_steps = opt.get('num_steps')
        if kind == 'StackedHourglass' and num_steps is not None:
            raise OptionError('num_steps is for FeedbackHourglass; StackedHourglass has network_g:num_stacks.')
        if kind == 'FeedbackHourglass' and num_steps is None:
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
        # SRModel requires an image loss, which is never computed here.
        self.opt['train']['pixel_opt'] = self.opt['train']['heatmap_opt']
        super().init_training_settings()

    def model_ema(self, decay: float = 0.999) -> None:
        """Update the EMA network, including statistics of batch norms, which BasicSR leaves out."""
        super().model_ema(decay)
        if self.opt['dist']:
            share_buffers(self.get_bare_model(self.net_g))
        current = dict(self.get_bare_model(self.net_g).named_buffers())
        for name, buffer in self.net_g_ema.named_buffers():
            if buffer.is_floating_point():
                buffer.lerp_(current[name], 1 - decay)
            else:  # the number of batches
                buffer.copy_(current[name])

    def feed_data(self, data: Mapping[str, Any]) -> None:
        if 'gt' not in data:
            raise ValueError(
                'LandmarkModel finds landmarks on the true images, `gt`, which this dataset does not give; '
                'expected FaceLandmarkDataset or SyntheticFaceDataset.')
        super().feed_data(data)

    def _heatmaps(self, net: Callable, views: List[torch.Tensor]) -> List[torch.Tensor]:
        """Return the heatmaps ``B,K,h,w`` of every pass or stack; a StackedHourglass takes the first view only."""
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
        with self.autocast():
            heatmaps = float32(self._heatmaps(self.net_g, views))
        loss_dict: Dict[str, torch.Tensor] = OrderedDict()
        self.scaler_g.scale(spread_nan(self._heatmap_loss(heatmaps, loss_dict))).backward()
        self.scaler_g.step(self.optimizer_g)
        self.scaler_g.update()
        self._end_iteration(loss_dict)

    def test(self) -> None:
        """Set ``rows``: every kind of view with its images and the heatmaps of the last pass or stack."""
        net = self._net_to_test()
        medium = torch.full((len(self.gt), ), 0.5, device=self.device)
        self.rows = []
        for kind in self.opt['val'].get('input_views') or ['sharp']:
            view = make_view(kind, self.lq, self.gt, medium)
            with torch.no_grad(), self.autocast():
                self.rows.append((kind, view, float32(self._heatmaps(net, [view] * self.num_steps)[-1])))
        self.net_g.train(self.is_train)

    def _tested(self) -> List[Tuple[str, torch.Tensor, torch.Tensor]]:
        return self.rows


def _check_views(views: Any, where: str) -> None:
    if views is None:
        return
    if not isinstance(views, (list, tuple)) or not views or len(set(map(str, views))) < len(views):
        raise OptionError(f'{where} is {views!r}; expected a list of different views: {", ".join(VIEWS)}.')
    for view in views:
        if view not in VIEWS:
            raise unknown(f'{where}: {view}', str(view), VIEWS, 'view')
