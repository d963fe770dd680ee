"""Options, weights and training steps that the plugin's models share."""
from copy import deepcopy
from functools import cached_property
from os import path as osp
from typing import Any, ContextManager, Dict, List, Mapping, Optional

import torch
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only

from dic_plugin.checkpoints.files import load_into, load_params
from dic_plugin.checkpoints.weights import RECORD, training_record
from dic_plugin.data.face_landmark_dataset import crop_margin
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.models.face_validation import FaceValidation, check_found_by
from dic_plugin.models.finite import FiniteWatch, batch_names
from dic_plugin.models.speed_options import (
    DTYPES,
    SPEED_KEYS,
    check_speed_options,
    grad_scaler,
    lay_out,
    move_amp_state,
    uses_channels_last,
)
from dic_plugin.models.stock_loop import warn_of_early_end
from dic_plugin.utils.atomic_write import atomic_write
from dic_plugin.utils.option_check import check_options
from dic_plugin.utils.option_values import flag, path, whole
from dic_plugin.utils.schedule import stretch_schedule, stretch_states


class FaceModel(FaceValidation):
    """Base of DICModel and LandmarkModel, which train on faces with landmarks; not registered.

    Options beside SRModel's. The options that are passed in are never changed.
        train: heatmap_opt: The landmark loss, ``type: LandmarkHeatmapLoss``.
        val: batch_size: Faces per forward pass in validation. Default: 8.
        val: evaluator: Weights of a separate network that finds landmarks on the pictures, see LandmarkEvaluator.
            Metrics with ``found_by: evaluator`` use its landmarks, others those of the trained network, which cannot
            judge itself.
        train: skip_nonfinite: true skips and counts iterations whose gradients are NaN or infinite. Default: false,
            they end the training, see FiniteWatch.
        amp (top level, as the following): bf16 or fp16 runs networks and perceptual loss under autocast in training,
            validation and testing. Weights, optimizers, EMA, other losses, outputs and the evaluator stay float32. fp16
            needs a GPU and scales gradients; the scales are saved with the optimizers. bf16 needs an Ampere or newer
            GPU, or a CPU: training then uses torch's operations, which are fast with AMX only, while validation keeps
            the native operation, in bfloat16 with AMX, else in float32. A run may be resumed with another value, which
            is logged. Default: ~, float32.
        channels_last: true stores weights, and on GPUs images, with channels innermost; on a CPU weights are stored in
            the order of the native operation. Checkpoints do not change. Default: true on a CPU, false on GPUs.
        compile: true compiles trained networks in place by torch.compile, which takes minutes at the start, and on a
            CPU replaces the native operation. Validation during training and EMA are not compiled, because the sizes of
            their batches differ. Testing compiles network_g again for the second size, then for all. Default: false.
    """
    option_keys = dict(
        top=SPEED_KEYS,
        train=dict(heatmap_opt=None, skip_nonfinite=flag),
        val=dict(batch_size=whole(1), evaluator=path))

    def __init__(self, opt: Mapping[str, Any]) -> None:
        opt = check_options(opt, opt['is_train'])  # an unmodified BasicSR does not check
        if opt['is_train']:
            stretch_schedule(opt['train'])
            if not opt['path'].get('resume_state'):
                warn_of_early_end(opt)
        self.check_own_options(opt)
        check_found_by(opt)
        check_speed_options(opt)
        # A saturated softmax of the fusion gives gradients of about 1e-40; as denormals they made some iterations on a
        # CPU 10 times slower. Threads inherit the setting, so it precedes the first parallel operation.
        torch.set_flush_denormal(True)
        super().__init__(deepcopy(opt))
        evaluator = (opt.get('val') or {}).get('evaluator')
        self.evaluator = LandmarkEvaluator(evaluator, self.device) if evaluator else None
        if self.is_train:
            self.watch = FiniteWatch(self)

    def check_own_options(self, opt: Mapping[str, Any]) -> None:
        """Raise OptionError for values that do not fit together."""

    def autocast(self) -> ContextManager:
        """Return the context in which networks run in the type of the option ``amp``."""
        amp = self.opt.get('amp')
        return torch.autocast(self.device.type, DTYPES.get(amp), enabled=amp is not None)

    # ---------------------------------------------------------------- weights
    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        is_compiled = bool(self.opt.get('compile'))
        lay_out(net, self.opt, self.device, is_compiled or bool(self.is_train and self.opt.get('amp')))
        if is_compiled:
            net.compile()
        return super().model_to_device(net)

    def load_network(self,
                     net: torch.nn.Module,
                     load_path: str,
                     strict: bool = True,
                     param_key: Optional[str] = 'params') -> None:
        """Load weights as BasicSR does, without running code from the file.

        Raises:
            CheckpointError: The file cannot be read, or is of another network; names its keys.
        """
        net = self.get_bare_model(net)
        params = load_params(load_path, param_key)
        get_root_logger().info(
            f'Loading {net.__class__.__name__} model from {load_path}, with param key: [{param_key}].')
        if strict:
            load_into(net, params, load_path)
        else:
            self._print_different_keys_loading(net, params, strict)
            net.load_state_dict(params, strict=False)

    @cached_property
    def _crop_margin(self) -> Optional[float]:
        return crop_margin(self.opt['datasets']['train'])

    @master_only
    def save_network(self, net: Any, net_label: str, current_iter: int, param_key: Any = 'params') -> None:
        """Save weights as BasicSR does, atomically and with a record of the training; a failure is only logged.

        Raises:
            NotFiniteError: A weight is NaN or infinite; nothing is saved.
        """
        nets, keys = (value if isinstance(value, list) else [value] for value in (net, param_key))
        content: Dict[str, Any] = {}
        for one, key in zip(nets, keys):
            content[key] = {name: tensor.cpu() for name, tensor in self.get_bare_model(one).state_dict().items()}
            self.watch.check_weights(content[key], net_label)
        content[RECORD] = training_record(self.opt, net_label.replace('net_', 'network_', 1), self._crop_margin)
        path = osp.join(self.opt['path']['models'],
                        f'{net_label}_{"latest" if current_iter == -1 else current_iter}.pth')
        try:
            with atomic_write(path) as temporary:
                torch.save(content, temporary)
        except (OSError, RuntimeError) as error:
            get_root_logger().warning(f'{path}: not saved: {error}')

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        warn_of_early_end(self.opt, resume_state)
        resume_state = move_amp_state(resume_state)
        before, now = resume_state['optimizers'][0].get('amp'), self.opt.get('amp')
        if before != now:
            get_root_logger().warning(f'The training to resume ran with amp: {before or "~"}; it goes on with '
                                      f'amp: {now or "~"}. Its weights and optimizers fit.')
        stretch_states(resume_state['schedulers'], self.opt['train']['total_iter'])
        super().resume_training(resume_state)

    # --------------------------------------------------------------- training
    def init_training_settings(self) -> None:
        super().init_training_settings()
        if self.ema_decay > 0:
            lay_out(self.net_g_ema, self.opt, self.device, by_torch=False)
        heatmap_opt = self.opt['train'].get('heatmap_opt')
        self.cri_heatmap: Any = build_loss(heatmap_opt).to(self.device) if heatmap_opt else None

    def setup_optimizers(self) -> None:
        super().setup_optimizers()
        self.scaler_g = grad_scaler(self.optimizer_g, self.opt.get('amp'), self.device.type)

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1) -> None:
        self.watch.iteration = current_iter
        super().update_learning_rate(current_iter, warmup_iter)

    def feed_data(self, data: Mapping[str, Any]) -> None:
        super().feed_data(data)
        if self.is_train:
            self.watch.names = batch_names(data)
        if self.device.type != 'cpu' and uses_channels_last(self.opt, self.device):
            for name in {'lq', 'gt'} & set(data):
                setattr(self, name, getattr(self, name).contiguous(memory_format=torch.channels_last))
        self.landmarks = data['landmarks'].to(self.device) if 'landmarks' in data else None

    def _heatmap_loss(self, heatmaps: List[torch.Tensor], loss_dict: Dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum over steps of the landmark loss of heatmaps ``B,K,h,w``."""
        if self.landmarks is None:
            raise ValueError('train:heatmap_opt needs landmarks, which the training dataset does not give. Name its '
                             'annotation_file, or remove heatmap_opt.')
        if self.landmarks.shape[1] != heatmaps[0].shape[1]:
            raise ValueError(
                f'The training dataset gives {self.landmarks.shape[1]} landmarks per face, but network_g has '
                f'num_keypoints={heatmaps[0].shape[1]}.')
        target = self.cri_heatmap.target(self.landmarks, tuple(heatmaps[0].shape[2:]))
        return self._sum_over_steps('l_heatmap', [self.cri_heatmap(each, target) for each in heatmaps], loss_dict)

    @staticmethod
    def _sum_over_steps(name: str, losses: List[torch.Tensor], loss_dict: Dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the losses of the steps; it and its terms are logged."""
        total = torch.stack(losses).sum()
        loss_dict[name] = total
        if len(losses) > 1:
            loss_dict.update({f'{name}_step{step}': loss for step, loss in enumerate(losses, 1)})
        return total

    def _end_iteration(self, loss_dict: Dict[str, torch.Tensor]) -> None:
        self.log_dict = self.reduce_loss_dict(loss_dict)
        self.watch.check_losses(self.log_dict)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)
