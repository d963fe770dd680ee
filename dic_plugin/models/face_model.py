"""What the plugin's training models share: checks, safe weights, losses by step, and validation with landmarks."""
from copy import deepcopy
from os import path as osp
from typing import Any, Dict, List, Mapping, Optional

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only

from dic_plugin.checkpoints.files import load_into, load_params
from dic_plugin.checkpoints.training_record import RECORD, training_record
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.models.face_validation import FaceValidation, check_found_by
from dic_plugin.models.speed_options import SPEED_KEYS, MixedPrecision, check_speed_options, lay_out, uses_channels_last
from dic_plugin.models.stock_loop import warn_of_early_end
from dic_plugin.utils.atomic_write import atomic_write
from dic_plugin.utils.option_check import check_options
from dic_plugin.utils.option_values import path, whole
from dic_plugin.utils.schedule import stretch_schedule, stretch_states


class FaceModel(FaceValidation, SRModel):
    """A BasicSR model of faces with landmarks; not registered, see DICModel and LandmarkModel.

    A model implements ``_faces``, which yields the results of a tested batch; see face_validation.

    Options beside SRModel's; the options handed in are never changed (BasicSR's models pop theirs from a copy):
        val: batch_size: faces per forward pass in validation. Default: 8.
        val: evaluator: weights of a separate network that finds landmarks on the pictures, see
            ``dic_plugin.evaluation.landmark_errors``. Landmark metrics with ``found_by: evaluator`` are of what it
            finds, the others of what the trained network itself finds, which cannot judge itself.
        amp (at the top, as those below): bf16 or fp16 runs networks and perceptual loss under autocast, in training,
            validation and testing. Weights, optimizers, EMA, the other losses and what networks give stay float32, as
            does the evaluator. fp16 is for GPUs and scales gradients (GradScaler; saved and resumed with the training
            state). bf16 needs a GPU from Ampere on, or a CPU, where training is then torch's own and fast with AMX
            only; validation and testing stay with ``dic_plugin.ops``' native operation, in bfloat16 with AMX, else in
            float32. Default: ~, float32. A run may be resumed with another amp, which is logged.
        channels_last: true keeps weights, and on GPUs images, with channels innermost in memory; on a CPU weights are
            kept in the order that the native operation reads. Checkpoints are the same. Default: true on a CPU, false
            on GPUs.
        compile: true compiles the networks that are trained by torch.compile, in place, which takes minutes at the
            start. Validation during training and the EMA network are not compiled: their batches differ in size. In
            testing network_g is compiled, anew for the first batch of another size and then for all sizes. On a CPU it
            takes the place of the native operation. Default: false.
    """
    option_keys = {'top': SPEED_KEYS, 'val': {'batch_size': whole(1), 'evaluator': path}}

    def __init__(self, opt: Mapping[str, Any]) -> None:
        opt = check_options(opt, opt['is_train'])  # our launchers did so already; an unmodified BasicSR did not
        if opt['is_train']:
            stretch_schedule(opt['train'])
            if not opt['path'].get('resume_state'):
                warn_of_early_end(opt)
        self.check_own_options(opt)
        check_found_by(opt)
        check_speed_options(opt)
        # A saturated softmax of the fusion passes gradients of about 1e-40 on: as denormals they made single iterations
        # on a CPU 10 times longer. Before the first parallel operation, whose threads inherit the setting.
        torch.set_flush_denormal(True)
        self.amp = MixedPrecision(opt.get('amp'), 'cuda' if opt['num_gpu'] != 0 else 'cpu')
        super().__init__(deepcopy(opt))
        path = (opt.get('val') or {}).get('evaluator')
        self.evaluator = LandmarkEvaluator(path, self.device) if path else None

    def check_own_options(self, opt: Mapping[str, Any]) -> None:
        """Refuse what the options' names alone do not tell.

        Raises:
            OptionError: names the option.
        """

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
        """As BasicSR's, but only tensors are unpickled, and a checkpoint of another network is refused key by key.

        Raises:
            CheckpointError: see dic_plugin.checkpoints.files.
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

    @master_only
    def save_network(self, net: Any, net_label: str, current_iter: int, param_key: Any = 'params') -> None:
        """As BasicSR's, whole or not at all, and with a record of the training under a key of its own.

        A file that cannot be written does not end the training, as in BasicSR.
        """
        nets, keys = (value if isinstance(value, list) else [value] for value in (net, param_key))
        content: Dict[str, Any] = {
            key: {
                name: tensor.cpu()
                for name, tensor in self.get_bare_model(one).state_dict().items()
            }
            for one, key in zip(nets, keys)
        }
        content[RECORD] = training_record(self.opt, net_label.replace('net_', 'network_', 1))
        path = osp.join(self.opt['path']['models'],
                        f'{net_label}_{"latest" if current_iter == -1 else current_iter}.pth')
        try:
            with atomic_write(path) as temporary:
                torch.save(content, temporary)
        except (OSError, RuntimeError) as error:
            get_root_logger().warning(f'{path}: not saved: {error}')

    # --------------------------------------------------------------- training
    def setup_schedulers(self) -> None:
        super().setup_schedulers()
        self.amp.add_scalers(self.optimizers)
        if self.amp.name:
            self.schedulers.append(self.amp)

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        warn_of_early_end(self.opt, resume_state)
        resume_state = self.amp.adapt(resume_state)
        stretch_states(resume_state['schedulers'], self.opt['train']['total_iter'])
        super().resume_training(resume_state)

    def feed_data(self, data: Mapping[str, Any]) -> None:
        super().feed_data(data)
        if self.device.type != 'cpu' and uses_channels_last(self.opt, self.device):
            self.lq = self.lq.contiguous(memory_format=torch.channels_last)
            if 'gt' in data:
                self.gt = self.gt.contiguous(memory_format=torch.channels_last)
        self.landmarks = data['landmarks'].to(self.device) if 'landmarks' in data else None

    @staticmethod
    def _sum_over_steps(name: str, losses: List[torch.Tensor], loss_dict: Dict[str, torch.Tensor]) -> torch.Tensor:
        """The sum of the steps' losses; it and its terms are put into the log."""
        total = torch.stack(losses).sum()
        loss_dict[name] = total
        if len(losses) > 1:
            loss_dict.update({f'{name}_step{step}': loss for step, loss in enumerate(losses, 1)})
        return total

    def _target_heatmaps(self, heatmap: torch.Tensor) -> torch.Tensor:
        if self.landmarks is None:
            raise ValueError('train:heatmap_opt needs landmarks, which the training dataset does not give. Name its '
                             'annotation_file, or remove heatmap_opt.')
        if self.landmarks.shape[1] != heatmap.shape[1]:
            raise ValueError(
                f'The training dataset gives {self.landmarks.shape[1]} landmarks per face, but network_g has '
                f'num_keypoints={heatmap.shape[1]}.')
        return self.cri_heatmap.target(self.landmarks, tuple(heatmap.shape[2:]))

    def _end_iteration(self, loss_dict: Dict[str, torch.Tensor]) -> None:
        self.log_dict = self.reduce_loss_dict(loss_dict)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)
