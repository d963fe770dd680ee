"""What the plugin's training models share: checks, safe weights, losses by step, and validation with landmarks."""
import inspect
from copy import deepcopy
from os import path as osp
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import torch
from basicsr.metrics import calculate_metric
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only
from basicsr.utils.registry import METRIC_REGISTRY
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from dic_plugin.checkpoints.files import load_into, load_params
from dic_plugin.checkpoints.training_record import RECORD, training_record
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator, to_batch
from dic_plugin.models.speed_options import SPEED_KEYS, MixedPrecision, check_speed_options, lay_out, uses_channels_last
from dic_plugin.models.stock_loop import warn_of_early_end
from dic_plugin.utils.atomic_write import atomic_write
from dic_plugin.utils.option_check import check_options
from dic_plugin.utils.option_values import OptionError, path, whole
from dic_plugin.utils.schedule import stretch_schedule, stretch_states

FINDERS = ('model', 'evaluator')  # whose landmarks a metric is of


class FaceModel(SRModel):
    """A BasicSR model of faces with landmarks; not registered, see DICModel and LandmarkModel.

    A model says in ``_faces`` what a tested batch has given: every face has rows (steps, or kinds of input), each with
    a picture and landmarks, which validation measures, averages and logs one by one. The last row's figures are the
    metrics as BasicSR knows them.

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
    row_kind = 'step'  # what the rows of the logged table are
    fixed_rows: Tuple[str, ...] = ()  # rows that training does not change: not for TensorBoard

    def __init__(self, opt: Mapping[str, Any]) -> None:
        opt = check_options(opt, opt['is_train'])  # our launchers did so already; an unmodified BasicSR did not
        if opt['is_train']:
            stretch_schedule(opt['train'])
            if not opt['path'].get('resume_state'):
                warn_of_early_end(opt)
        self.check_own_options(opt)
        _check_found_by(opt)
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

    # ------------------------------------------------------------- validation
    def _net_to_test(self) -> Callable:
        """The EMA network if there is one, in evaluation mode.

        Bare: validation runs on the first process only, where DistributedDataParallel would wait for the others.
        """
        net = self.net_g_ema if hasattr(self, 'net_g_ema') else self.get_bare_model(self.net_g)
        net.eval()
        # Validation during training would compile anew for its mode and for the last batch; `forward` is not compiled.
        return net.forward if self.is_train and self.opt.get('compile') else net

    def _faces(self, batch: Mapping[str, Any]) -> Iterator[Dict[str, Any]]:
        """One dict per face of the batch just tested.

        ``name``, ``gt`` (uint8 BGR or None), ``gt_landmarks`` (``K,2`` or None) and ``rows``: dicts of ``title``,
        ``image`` (uint8 BGR) and ``landmarks`` (``K,2`` or None).
        """
        raise NotImplementedError

    def _save_pictures(self, face: Mapping[str, Any], dataset_name: str, current_iter: Any) -> None:
        raise NotImplementedError

    def nondist_validation(self, dataloader: DataLoader, current_iter: Any, tb_logger: Any, save_img: bool) -> None:
        """Test a dataset and log the mean of every metric, row by row.

        The last row's figures go to the best record and to TensorBoard as in BasicSR; those of other rows to
        TensorBoard as ``metrics/<dataset>/<metric>_<row>``.
        """
        metrics = self._usable_metrics(dataloader)
        figures = self._test_faces(dataloader, metrics, current_iter, save_img)
        self._record_means(figures, metrics, dataloader.dataset.opt['name'], current_iter, tb_logger)

    def dist_validation(self, dataloader: DataLoader, current_iter: Any, tb_logger: Any, save_img: bool) -> None:
        """The same, shared out: every process tests each world_size-th image, and all get the figures of all."""
        net = self.net_g_ema if hasattr(self, 'net_g_ema') else self.get_bare_model(self.net_g)
        share_buffers(net)
        dataset, rank, world_size = dataloader.dataset, self.opt['rank'], self.opt['world_size']
        metrics = self._usable_metrics(dataloader)
        own = DataLoader(ShareOf(dataset, rank, world_size), batch_size=1)
        shares: List[Any] = [None] * world_size
        torch.distributed.all_gather_object(shares, self._test_faces(own, metrics, current_iter, save_img))
        # in the dataset's order, so that sums are those of one process
        figures = [shares[index % world_size][index // world_size] for index in range(len(dataset))]
        self._record_means(figures, metrics, dataset.opt['name'], current_iter, tb_logger)

    def _test_faces(self, dataloader: DataLoader, metrics: Mapping[str, Any], current_iter: Any,
                    save_img: bool) -> List[Dict[str, Dict[str, float]]]:
        """Every metric of every row (row -> metric -> value) of every image."""
        figures = []
        progress = tqdm(total=len(dataloader.dataset), unit='image', disable=not self.opt['val'].get('pbar', False))
        needs_evaluator = any(opt.get('found_by') == 'evaluator' for opt in metrics.values())
        for batch in batches(dataloader, self.opt['val'].get('batch_size') or 8):
            self.feed_data(batch)
            self.test()
            for face in self._faces(batch):
                if needs_evaluator:
                    self._let_evaluator_find_landmarks(face['rows'])
                if save_img:
                    self._save_pictures(face, dataloader.dataset.opt['name'], current_iter)
                of_face: Dict[str, Dict[str, float]] = {}
                for row in face['rows']:
                    values = {name: self._metric(name, row, face) for name in metrics}
                    of_face[row['title']] = {name: value for name, value in values.items() if value is not None}
                figures.append(of_face)
            progress.update(len(batch['lq']))
        progress.close()
        return figures

    def _record_means(self, figures: List[Dict[str, Dict[str, float]]], metrics: Mapping[str, Any], dataset_name: str,
                      current_iter: Any, tb_logger: Any) -> None:
        if not metrics or not figures:
            return
        sums: Dict[str, Dict[str, float]] = {}
        for of_face in figures:
            for row, values in of_face.items():
                results = sums.setdefault(row, {})
                for name, value in values.items():
                    results[name] = results.get(name, 0.) + value
        means = {row: {name: total / len(figures) for name, total in results.items()} for row, results in sums.items()}
        self._record(means, metrics, dataset_name, len(figures), current_iter, tb_logger)

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

    def _let_evaluator_find_landmarks(self, rows: List[Dict[str, Any]]) -> None:
        """Add ``found_by_evaluator`` (``K,2``) to every row of a face."""
        landmarks = self.evaluator.landmarks(to_batch([row['image'][..., ::-1] for row in rows])).cpu().numpy()
        for row, points in zip(rows, landmarks):
            row['found_by_evaluator'] = points

    def _metric(self, name: str, row: Mapping[str, Any], face: Mapping[str, Any]) -> Optional[float]:
        opt = self.opt['val']['metrics'][name]
        landmarks = row['found_by_evaluator' if opt.get('found_by') == 'evaluator' else 'landmarks']
        if 'landmarks' in _needs(opt) and landmarks is None:
            return None  # bicubic enlargement finds no landmarks
        data = dict(img=row['image'], img2=face['gt'], landmarks=landmarks, gt_landmarks=face['gt_landmarks'])
        return calculate_metric(data, opt)

    def _picture_path(self, name: str, dataset_name: str, current_iter: Any) -> str:
        """Where BasicSR puts the picture of a face."""
        root = self.opt['path']['visualization']
        if self.is_train:
            return osp.join(root, name, f'{name}_{current_iter}.png')
        return osp.join(root, dataset_name, f'{name}_{self.opt["val"].get("suffix") or self.opt["name"]}.png')

    def _record(self, means: Dict[str, Dict[str, float]], metrics: Mapping[str, Any], dataset_name: str,
                num_images: int, current_iter: Any, tb_logger: Any) -> None:
        """Keep the best values, log the table and fill TensorBoard."""
        last_row = list(means)[-1]
        self.metric_results = {name: means[last_row][name] for name in metrics}
        self._initialize_best_metric_results(dataset_name)
        for name, value in self.metric_results.items():
            self._update_best_metric_result(dataset_name, name, value, current_iter)
        self._log_validation_metric_values(current_iter, dataset_name, tb_logger)

        width = max(10, *(len(name) + 2 for name in metrics))
        title = f'{dataset_name}, {num_images} images'
        lines = [title + ''.join(f'{name:>{width}}' for name in metrics)]
        for row, results in means.items():
            cells = ''.join(f'{results[name]:{width}.4f}' if name in results else f'{"-":>{width}}' for name in metrics)
            lines.append(f'{row:<{len(title)}}{cells}')
        get_root_logger().info(f'By {self.row_kind}:\n\t' + '\n\t'.join(lines))
        if tb_logger:
            for row in [row for row in means if row not in (*self.fixed_rows, last_row)]:
                for name, value in means[row].items():
                    tb_logger.add_scalar(f'metrics/{dataset_name}/{name}_{row.replace(" ", "")}', value, current_iter)


class ShareOf(Subset):
    """The images of a dataset that one of several processes tests: each world_size-th, from the rank's on."""

    def __init__(self, dataset: Dataset, rank: int, world_size: int) -> None:
        super().__init__(dataset, range(rank, len(dataset), world_size))
        self.opt = dataset.opt


def share_buffers(net: torch.nn.Module) -> None:
    """Take over the buffers of rank 0, such as statistics of batch norms, which every process has gathered itself."""
    for buffer in net.buffers():
        torch.distributed.broadcast(buffer, 0)


def _check_found_by(opt: Mapping[str, Any]) -> None:
    val = opt.get('val') or {}
    for name, metric in (val.get('metrics') or {}).items():
        where, finder = f'val:metrics:{name}:found_by', metric.get('found_by', FINDERS[0])
        if finder not in FINDERS:
            raise OptionError(f'{where} is {finder!r}; expected {" or ".join(FINDERS)}.')
        if 'found_by' in metric and 'landmarks' not in _needs(metric):
            raise OptionError(f'{where}: {metric["type"]} is of no landmarks; remove it.')
        if finder == 'evaluator' and not val.get('evaluator'):
            raise OptionError(f'{where} is evaluator, but there is no val:evaluator; expected its weights.')


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
