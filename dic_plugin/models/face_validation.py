"""Validation and testing of faces: every row of a face measured, averaged and logged; shared out among processes."""
import inspect
from os import path as osp
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.utils import get_root_logger
from basicsr.utils.registry import METRIC_REGISTRY
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from dic_plugin.evaluation.landmark_evaluator import to_batch
from dic_plugin.utils.option_values import OptionError

__all__ = ['FaceResult', 'FaceValidation', 'Row', 'batches', 'check_found_by', 'share_buffers']

FINDERS = ('model', 'evaluator')  # whose landmarks a metric is of
Figures = Dict[str, Dict[str, float]]  # of a face: row -> metric -> value


class Row(NamedTuple):
    """A picture of a tested face: of one step, or of one kind of input.

    Attributes:
        title: name of the row in tables.
        image: uint8 BGR, ``H,W,3``.
        landmarks: ``K,2``, (x, y) in pixels of the image, as the network found them; None if it looked for none.
    """
    title: str
    image: np.ndarray
    landmarks: Optional[np.ndarray]


class FaceResult(NamedTuple):
    """What testing one face has given.

    Attributes:
        name: of the image, without its ending.
        rows: see Row; the last one's figures are the metrics as BasicSR knows them.
        gt: uint8 BGR, ``H,W,3``; None if the dataset has none.
        gt_landmarks: ``K,2`` in pixels of ``gt``; None if the dataset has none.
        lq: uint8 BGR, ``h,w,3``; None if the network is not shown it.
    """
    name: str
    rows: List[Row]
    gt: Optional[np.ndarray]
    gt_landmarks: Optional[np.ndarray]
    lq: Optional[np.ndarray] = None


class FaceValidation:
    """The part of FaceModel that tests; takes the place of SRModel's validation."""
    row_kind = 'step'  # what the rows of the logged table are
    fixed_rows: Tuple[str, ...] = ()  # rows that training does not change: not for TensorBoard

    def _net_to_test(self) -> Callable:
        """The EMA network if there is one, in evaluation mode.

        Bare: validation runs on the first process only, where DistributedDataParallel would wait for the others.
        """
        net = self.net_g_ema if hasattr(self, 'net_g_ema') else self.get_bare_model(self.net_g)
        net.eval()
        # Validation during training would compile anew for its mode and for the last batch; `forward` is not compiled.
        return net.forward if self.is_train and self.opt.get('compile') else net

    def _faces(self, batch: Mapping[str, Any]) -> Iterator[FaceResult]:
        """Yield the faces of the batch just tested."""
        raise NotImplementedError

    def _save_pictures(self, face: FaceResult, dataset_name: str, current_iter: Any) -> None:
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
                    save_img: bool) -> List[Figures]:
        """Every metric of every row (row -> metric -> value) of every image."""
        figures = []
        progress = tqdm(total=len(dataloader.dataset), unit='image', disable=not self.opt['val'].get('pbar', False))
        needs_evaluator = any(opt.get('found_by') == 'evaluator' for opt in metrics.values())
        for batch in batches(dataloader, self.opt['val'].get('batch_size') or 8):
            self.feed_data(batch)
            self.test()
            for face in self._faces(batch):
                if save_img:
                    self._save_pictures(face, dataloader.dataset.opt['name'], current_iter)
                found = self._found_by_evaluator(face.rows) if needs_evaluator else [None] * len(face.rows)
                of_face: Figures = {}
                for row, points in zip(face.rows, found):
                    values = {name: self._metric(opt, row, points, face) for name, opt in metrics.items()}
                    of_face[row.title] = {name: value for name, value in values.items() if value is not None}
                figures.append(of_face)
            progress.update(len(batch['lq']))
        progress.close()
        return figures

    def _record_means(self, figures: List[Figures], metrics: Mapping[str, Any], dataset_name: str, current_iter: Any,
                      tb_logger: Any) -> None:
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

    def _found_by_evaluator(self, rows: List[Row]) -> Iterable[np.ndarray]:
        return self.evaluator.landmarks(to_batch([row.image[..., ::-1] for row in rows])).cpu().numpy()

    @staticmethod
    def _metric(opt: Mapping[str, Any], row: Row, by_evaluator: Optional[np.ndarray],
                face: FaceResult) -> Optional[float]:
        landmarks = by_evaluator if opt.get('found_by') == 'evaluator' else row.landmarks
        if 'landmarks' in _needs(opt) and landmarks is None:
            return None  # bicubic enlargement finds no landmarks
        data = dict(img=row.image, img2=face.gt, landmarks=landmarks, gt_landmarks=face.gt_landmarks)
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


def check_found_by(opt: Mapping[str, Any]) -> None:
    """Refuse ``found_by`` where it makes no sense.

    Raises:
        OptionError: names the option.
    """
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
