"""Trains and tests DIC by BasicSR's own loops."""
import inspect
from collections import OrderedDict
from copy import deepcopy
from os import path as osp
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

import mmcv
import torch
from basicsr.losses import build_loss
from basicsr.metrics import calculate_metric
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger, imwrite, tensor2img
from basicsr.utils.registry import METRIC_REGISTRY, MODEL_REGISTRY
from tqdm import tqdm

from dic_plugin.landmarks.heatmaps import decode_heatmaps
from dic_plugin.utils.checkpoint import load_into, load_params
from dic_plugin.utils.drawing import Tile, draw_strip
from dic_plugin.utils.option_check import check_options


@MODEL_REGISTRY.register()
class DICModel(SRModel):
    """Collaborative training of the recovery and the alignment branch (paper section 3.4 and the published recipe).

    From SRModel: network, pixel loss, perceptual loss (on the last step), optimiser, scheduler, EMA, saving, resuming,
    distributed launch, best-metric record. New here: losses summed over the steps, the heatmap loss, the frozen start
    of the hourglass and its pretrained weights, validation in batches, step by step, with landmarks and pictures.

    Options beside SRModel's; the options handed in are never changed (BasicSR's models pop theirs from a copy):
        path: pretrain_hourglass: weights the hourglass starts from (BasicSR's ``params``; published ones are converted
            by scripts/convert_checkpoint.py). Not read when resuming.
        train: heatmap_opt: the landmark loss, ``type: LandmarkHeatmapLoss``. Without it no landmarks are needed.
        train: release_hourglass_iter: the hourglass stays frozen up to and including this iteration. Default: 0.
        val: batch_size: faces per forward pass in validation. Default: 8.

    Raises:
        OptionError: an option is misspelt or missing.
        CheckpointError: given weights cannot be read or are another network's.
    """
    option_keys = {
        'path': ('pretrain_hourglass', ),
        'train': ('heatmap_opt', 'release_hourglass_iter'),
        'val': ('batch_size', ),
    }

    def __init__(self, opt: Mapping[str, Any]) -> None:
        check_options(opt, opt['is_train'])  # our launchers did so already; an unmodified BasicSR did not
        # A saturated softmax of the fusion passes gradients of about 1e-40 on: as denormals they made single iterations
        # on a CPU 10 times longer. Before the first parallel operation, whose threads inherit the setting.
        torch.set_flush_denormal(True)
        super().__init__(deepcopy(opt))

    # ---------------------------------------------------------------- weights
    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        return super().model_to_device(self._lay_out(net))

    def _lay_out(self, net: torch.nn.Module) -> torch.nn.Module:
        # On a CPU a training step of options/train_DIC.yml took 0.7 of the time in this layout; GPUs were not measured.
        return net.to(memory_format=torch.channels_last) if self.device.type == 'cpu' else net

    def load_network(self,
                     net: torch.nn.Module,
                     load_path: str,
                     strict: bool = True,
                     param_key: Optional[str] = 'params') -> None:
        """As BasicSR's, but only tensors are unpickled, and a checkpoint of another network is refused key by key.

        Raises:
            CheckpointError: see dic_plugin.utils.checkpoint.
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

    def init_training_settings(self) -> None:
        train_opt = self.opt['train']
        hourglass_path = self.opt['path'].get('pretrain_hourglass')
        if self.opt['path'].get('resume_state'):  # the resumed network holds the hourglass already
            hourglass_path = None
        if hourglass_path:
            self.load_network(self.get_bare_model(self.net_g).hourglass, hourglass_path)
        super().init_training_settings()
        if self.ema_decay > 0:
            self._lay_out(self.net_g_ema)
            if hourglass_path:
                hourglass = self.get_bare_model(self.net_g).hourglass
                self.net_g_ema.hourglass.load_state_dict(hourglass.state_dict())

        self.cri_heatmap = None
        if train_opt.get('heatmap_opt'):
            self.cri_heatmap = build_loss(train_opt['heatmap_opt']).to(self.device)
        self.release_hourglass_iter = train_opt.get('release_hourglass_iter', 0)
        self.hourglass_params = list(self.get_bare_model(self.net_g).hourglass.parameters())

    # --------------------------------------------------------------- training
    def feed_data(self, data: Mapping[str, Any]) -> None:
        super().feed_data(data)
        self.landmarks = data['landmarks'].to(self.device) if 'landmarks' in data else None

    def optimize_parameters(self, current_iter: int) -> None:
        self.optimizer_g.zero_grad()
        steps = self.net_g(self.lq, return_steps=True)
        self.output = steps.sr[-1]

        loss_dict = OrderedDict()
        l_total = 0
        if self.cri_pix:
            l_total = l_total + self._sum_over_steps('l_pix', [self.cri_pix(sr, self.gt) for sr in steps.sr], loss_dict)
        if self.cri_heatmap:
            target = self._target_heatmaps(steps.heatmap[0])
            losses = [self.cri_heatmap(heatmap, target) for heatmap in steps.heatmap]
            l_total = l_total + self._sum_over_steps('l_heatmap', losses, loss_dict)
        if self.cri_perceptual:
            for name, loss in zip(('l_percep', 'l_style'), self.cri_perceptual(self.output, self.gt)):
                if loss is not None:
                    l_total = l_total + loss
                    loss_dict[name] = loss
        l_total.backward()
        if current_iter <= self.release_hourglass_iter:
            # Not by requires_grad, which DDP reads only once: without a gradient the optimiser leaves them alone.
            for param in self.hourglass_params:
                param.grad = None
        self.optimizer_g.step()

        self.log_dict = self.reduce_loss_dict(loss_dict)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

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

    # ------------------------------------------------------------- validation
    def test(self) -> None:
        """Fill ``output`` (the last SR image) and ``steps`` (every step's images and heatmaps)."""
        net = self.net_g_ema if hasattr(self, 'net_g_ema') else self.net_g
        net.eval()
        with torch.no_grad():
            self.steps = net(self.lq, return_steps=True)
        self.output = self.steps.sr[-1]
        self.net_g.train(self.is_train)

    def nondist_validation(self, dataloader: Iterable, current_iter: Any, tb_logger: Any, save_img: bool) -> None:
        """Test a dataset and log, for every step, the mean of every metric; bicubic enlargement stands beside them.

        The last step's figures are the metrics as BasicSR knows them (best record, TensorBoard); those of earlier steps
        go to TensorBoard as ``metrics/<dataset>/<metric>_step<t>``. Pictures: the SR image where BasicSR puts it, and,
        beside it, one strip per face with input, bicubic, every step with its landmarks, and ground truth with its own.
        """
        dataset_name = dataloader.dataset.opt['name']
        metrics = self._usable_metrics(dataloader)
        sums: Dict[str, Dict[str, float]] = {}  # row (bicubic, step 1, ..., step T) -> metric -> sum
        progress = tqdm(total=len(dataloader.dataset), unit='image', disable=not self.opt['val'].get('pbar', False))
        num_images = 0
        for batch in batches(dataloader, self.opt['val'].get('batch_size', 8)):
            self.feed_data(batch)
            self.test()
            for face in self._faces(batch):
                if save_img:
                    self._save_pictures(face, dataset_name, current_iter)
                for row in face['rows']:
                    results = sums.setdefault(row['title'], {})
                    for name in metrics:
                        value = self._metric(name, row, face)
                        if value is not None:
                            results[name] = results.get(name, 0.) + value
                num_images += 1
            progress.update(len(batch['lq']))
        progress.close()
        means = {row: {name: total / num_images for name, total in results.items()} for row, results in sums.items()}
        if metrics and num_images:
            self._record(means, metrics, dataset_name, num_images, current_iter, tb_logger)

    def _usable_metrics(self, dataloader: Iterable) -> Dict[str, Mapping[str, Any]]:
        """The option file's metrics less those that this dataset cannot feed, which is logged."""
        metrics = dict(self.opt['val'].get('metrics') or {})
        sample = dataloader.dataset[0] if metrics else {}
        for name, needs in {name: _needs(opt) for name, opt in metrics.items()}.items():
            missing = [key for key in needs if key not in sample]
            if missing:
                get_root_logger().info(f'{dataloader.dataset.opt["name"]} has no {missing[0]}: {name} is not measured.')
                del metrics[name]
        return metrics

    def _faces(self, batch: Mapping[str, Any]) -> Iterator[Dict[str, Any]]:
        """One dict per face of the batch just tested: pictures as uint8 BGR, landmarks as NumPy arrays."""
        landmarks = [decode_heatmaps(heatmap).cpu().numpy() for heatmap in self.steps.heatmap]
        images = [sr.cpu() for sr in self.steps.sr]
        for i, lq_path in enumerate(batch['lq_path']):
            lq = tensor2img([batch['lq'][i]])
            height, width = images[0].shape[2:]
            bicubic = mmcv.imresize(lq, (width, height), interpolation='bicubic', backend='pillow')
            rows = [dict(title='bicubic', image=bicubic, landmarks=None)]
            rows += [
                dict(title=f'step {step}', image=tensor2img([sr[i]]), landmarks=points[i])
                for step, (sr, points) in enumerate(zip(images, landmarks), 1)
            ]
            yield dict(
                name=osp.splitext(osp.basename(lq_path))[0],
                lq=lq,
                gt=tensor2img([batch['gt'][i]]) if 'gt' in batch else None,
                gt_landmarks=batch['landmarks'][i].numpy() if 'landmarks' in batch else None,
                rows=rows)

    def _metric(self, name: str, row: Mapping[str, Any], face: Mapping[str, Any]) -> Optional[float]:
        opt = self.opt['val']['metrics'][name]
        if 'landmarks' in _needs(opt) and row['landmarks'] is None:
            return None  # bicubic enlargement finds no landmarks
        data = dict(img=row['image'], img2=face['gt'], landmarks=row['landmarks'], gt_landmarks=face['gt_landmarks'])
        return calculate_metric(data, opt)

    def _save_pictures(self, face: Mapping[str, Any], dataset_name: str, current_iter: Any) -> None:
        root, name = self.opt['path']['visualization'], face['name']
        if self.is_train:
            sr_path = osp.join(root, name, f'{name}_{current_iter}.png')
            strip_path = osp.join(root, name, f'{name}_{current_iter}_steps.png')
        else:
            suffix = self.opt['val'].get('suffix') or self.opt['name']
            sr_path = osp.join(root, dataset_name, f'{name}_{suffix}.png')
            strip_path = osp.join(root, f'{dataset_name}_steps', f'{name}_{suffix}.png')
        imwrite(face['rows'][-1]['image'], sr_path)
        tiles = [Tile('input', face['lq'])]
        tiles += [Tile(row['title'], row['image'], row['landmarks']) for row in face['rows']]
        if face['gt'] is not None:
            tiles.append(Tile('ground truth', face['gt'], face['gt_landmarks']))
        imwrite(draw_strip(tiles), strip_path)

    def _record(self, means: Dict[str, Dict[str, float]], metrics: Mapping[str, Any], dataset_name: str,
                num_images: int, current_iter: Any, tb_logger: Any) -> None:
        """Keep the best values, log the table and fill TensorBoard."""
        last_row = list(means)[-1]
        self.metric_results = {name: means[last_row][name] for name in metrics}
        self._initialize_best_metric_results(dataset_name)
        for name, value in self.metric_results.items():
            self._update_best_metric_result(dataset_name, name, value, current_iter)
        self._log_validation_metric_values(current_iter, dataset_name, tb_logger)

        lines = [f'{dataset_name}, {num_images} images' + ''.join(f'{name:>10}' for name in metrics)]
        for row, results in means.items():
            cells = ''.join(f'{results[name]:10.4f}' if name in results else f'{"-":>10}' for name in metrics)
            lines.append(f'{row:<{len(lines[0]) - 10 * len(metrics)}}{cells}')
        get_root_logger().info('By step:\n\t' + '\n\t'.join(lines))
        if tb_logger:
            for row in [row for row in means if row.startswith('step') and row != last_row]:
                for name, value in means[row].items():
                    tb_logger.add_scalar(f'metrics/{dataset_name}/{name}_{row.replace(" ", "")}', value, current_iter)


def _needs(metric_opt: Mapping[str, Any]) -> List[str]:
    """What of a sample a metric compares with: its ground-truth image or its landmarks."""
    parameters = inspect.signature(METRIC_REGISTRY.get(metric_opt['type'])).parameters
    return [key for key, parameter in (('gt', 'img2'), ('landmarks', 'gt_landmarks')) if parameter in parameters]


def batches(dataloader: Iterable[Mapping[str, Any]], size: int) -> Iterator[Dict[str, Any]]:
    """Join a loader's batches into larger ones (BasicSR's validation loaders give one image at a time).

    Args:
        dataloader: gives dicts of tensors ``B,...`` and of lists of B strings.
        size: most images per joined batch. Images of different sizes are never joined.
    """
    pending: List[Mapping[str, Any]] = []
    for batch in dataloader:
        if pending and (len(pending) * len(batch['lq']) >= size or pending[0]['lq'].shape != batch['lq'].shape):
            yield _join(pending)
            pending = []
        pending.append(batch)
    if pending:
        yield _join(pending)


def _join(parts: List[Mapping[str, Any]]) -> Dict[str, Any]:
    return {
        key:
        torch.cat([part[key] for part in parts]) if isinstance(value, torch.Tensor) else sum((list(part[key])
                                                                                              for part in parts), [])
        for key, value in parts[0].items()
    }
