"""Validation and testing of faces: metrics of every row of a face, their means, pictures, and the landmarks found."""
import inspect
from os import path as osp
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import mmcv
import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger, imwrite, tensor2img
from basicsr.utils.registry import METRIC_REGISTRY
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from dic_plugin.evaluation.landmark_evaluator import to_batch
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from dic_plugin.models.found_landmarks import FoundLandmarks, found_landmarks_file, save_found_landmarks
from dic_plugin.utils.drawing import Tile, draw_strip
from dic_plugin.utils.option_values import OptionError

MAY_BE_NAN = ('calculate_identity', )  # metrics of faces that have to be found first
FINDERS = ('model', 'evaluator')  # values of found_by
BASELINE = 'bicubic'  # a row that training does not change, and so not for TensorBoard
Figures = Dict[str, Dict[str, float]]  # row -> metric -> value
Measured = Tuple[Figures, FoundLandmarks]  # what is kept of a tested face


class Row(NamedTuple):
    """A picture of a tested face.

    Attributes:
        title: Step or kind of input.
        image: uint8 BGR, ``H,W,3``.
        landmarks: ``K,2``, (x, y) in pixels of the image; None if the network did not look for them.
    """
    title: str
    image: np.ndarray
    landmarks: Optional[np.ndarray]


class FaceResult(NamedTuple):
    """The result of testing one face.

    Attributes:
        rows: The last one is the result.
        lq: uint8 BGR, ``h,w,3``.
        gt: uint8 BGR, ``H,W,3``; None if the dataset has none.
        gt_landmarks: ``K,2`` in pixels of ``gt``; None if the dataset has none.
        found: Landmarks of the last row.
    """
    rows: List[Row]
    lq: np.ndarray
    gt: Optional[np.ndarray]
    gt_landmarks: Optional[np.ndarray]
    found: FoundLandmarks


class FaceValidation(SRModel):
    """SRModel with the validation of faces; a model implements ``test`` and ``_tested``."""
    makes_images = False  # whether the last row is a result to save, and the input worth showing
    row_kind = 'step'  # the rows of the logged table

    def _tested(self) -> List[Tuple[str, torch.Tensor, torch.Tensor]]:
        """Return the rows of the batch just tested: title, images ``B,3,H,W``, heatmaps ``B,K,h,w``."""
        raise NotImplementedError

    def _net_to_test(self) -> Callable:
        """Return the EMA network, if there is one, in evaluation mode, without DistributedDataParallel."""
        net = self._bare_net()
        net.eval()
        # Validation during training would compile again for its mode and its last batch; `forward` is not compiled.
        return net.forward if self.is_train and self.opt.get('compile') else net

    def _bare_net(self) -> torch.nn.Module:
        return self.net_g_ema if hasattr(self, 'net_g_ema') else self.get_bare_model(self.net_g)

    def nondist_validation(self, dataloader: Any, current_iter: Any, tb_logger: Any, save_img: bool) -> None:
        """Test a dataset and log the mean of every metric for every row.

        The last row goes to the best record and to TensorBoard as in BasicSR, others to TensorBoard as
        ``metrics/<dataset>/<metric>_<row>``. Testing with ``save_img`` also writes the landmarks of the last row to
        ``<dataset>_landmarks.npz`` beside the folder of pictures, see found_landmarks.
        """
        metrics = self._usable_metrics(dataloader.dataset)
        faces = self._test_faces(dataloader, metrics, current_iter, save_img)
        self._finish(faces, metrics, dataloader.dataset.opt['name'], current_iter, tb_logger, save_img)

    def dist_validation(self, dataloader: Any, current_iter: Any, tb_logger: Any, save_img: bool) -> None:
        """Test as nondist_validation; every process tests its share of the images and gets the figures of all."""
        share_buffers(self._bare_net())
        dataset, rank, world_size = dataloader.dataset, self.opt['rank'], self.opt['world_size']
        metrics = self._usable_metrics(dataset)
        share: Any = Subset(dataset, range(rank, len(dataset), world_size))
        share.opt = dataset.opt
        shares: List[Any] = [None] * world_size
        faces = self._test_faces(DataLoader(share, batch_size=1), metrics, current_iter, save_img)
        torch.distributed.all_gather_object(shares, faces)
        # In the order of the dataset, so that sums are those of one process.
        faces = [shares[index % world_size][index // world_size] for index in range(len(dataset))]
        self._finish(faces, metrics, dataset.opt['name'], current_iter, tb_logger, save_img and rank == 0)

    def _test_faces(self, dataloader: Any, metrics: Mapping[str, Any], current_iter: Any,
                    save_img: bool) -> List[Measured]:
        measured: List[Measured] = []
        needs_evaluator = any(opt.get('found_by') == 'evaluator' for opt in metrics.values())
        with tqdm(total=len(dataloader.dataset), unit='image', disable=not self.opt['val'].get('pbar')) as progress:
            for batch in batches(dataloader, self.opt['val'].get('batch_size') or 8):
                self.feed_data(batch)
                self.test()
                for face in self._faces(batch):
                    if save_img:
                        self._save_pictures(face, dataloader.dataset.opt['name'], current_iter)
                    judged = self._found_by_evaluator(face.rows) if needs_evaluator else [None] * len(face.rows)
                    figures = {
                        row.title: _figures(metrics, row, points, face)
                        for row, points in zip(face.rows, judged)
                    }
                    measured.append((figures, face.found))
                progress.update(len(batch['lq']))
        return measured

    def _faces(self, batch: Mapping[str, Any]) -> Iterator[FaceResult]:
        tested = [(title, images.cpu(), heatmap.cpu()) for title, images, heatmap in self._tested()]
        found = [decode_heatmaps(heatmap).numpy() for _, _, heatmap in tested]
        published = decode_heatmaps(tested[-1][2], subpixel=False).numpy()
        height, width = tested[-1][1].shape[2:]
        for i, lq_path in enumerate(batch['lq_path']):
            rows = [Row(title, tensor2img([images[i]]), points[i]) for (title, images, _), points in zip(tested, found)]
            lq = tensor2img([batch['lq'][i]])
            if self.makes_images:
                bicubic = mmcv.imresize(lq, (width, height), interpolation='bicubic', backend='pillow')
                rows.insert(0, Row(BASELINE, bicubic, None))
            name = osp.splitext(osp.basename(lq_path))[0]
            yield FaceResult(
                rows=rows,
                lq=lq,
                gt=tensor2img([batch['gt'][i]]) if 'gt' in batch else None,
                gt_landmarks=batch['landmarks'][i].numpy() if 'landmarks' in batch else None,
                found=FoundLandmarks(name, (width, height), found[-1][i], published[i]))

    def _found_by_evaluator(self, rows: List[Row]) -> Iterable[np.ndarray]:
        return self.evaluator.landmarks(to_batch([row.image[..., ::-1] for row in rows])).cpu().numpy()

    def _save_pictures(self, face: FaceResult, dataset_name: str, current_iter: Any) -> None:
        """Save the SR image, if there is one, where BasicSR does, and a strip of all rows with their landmarks."""
        strip_path = self._picture_path(face.found.name, dataset_name, current_iter)
        tiles = [Tile(*row) for row in face.rows]
        if self.makes_images:
            imwrite(face.rows[-1].image, strip_path)
            tiles.insert(0, Tile('input', face.lq))
            strip_path = (f'{osp.splitext(strip_path)[0]}_steps.png' if self.is_train else self._picture_path(
                face.found.name, f'{dataset_name}_steps', current_iter))
        if face.gt is not None:
            tiles.append(Tile('ground truth', face.gt, face.gt_landmarks))
        imwrite(draw_strip(tiles), strip_path)

    def _picture_path(self, name: str, dataset_name: str, current_iter: Any) -> str:
        root = self.opt['path']['visualization']
        if self.is_train:
            return osp.join(root, name, f'{name}_{current_iter}.png')
        return osp.join(root, dataset_name, f'{name}_{self.opt["val"].get("suffix") or self.opt["name"]}.png')

    def _usable_metrics(self, dataset: Any) -> Dict[str, Mapping[str, Any]]:
        """Return the metrics of the option file for which the dataset has data; others are logged."""
        metrics = dict(self.opt['val'].get('metrics') or {})
        sample = dataset[0] if metrics else {}
        for name, opt in list(metrics.items()):
            missing = [key for key in _needs(opt) if key not in sample]
            if missing:
                get_root_logger().info(f'{dataset.opt["name"]} has no {missing[0]}: {name} is not measured.')
                del metrics[name]
        return metrics

    def _finish(self, faces: List[Measured], metrics: Mapping[str, Any], dataset_name: str, current_iter: Any,
                tb_logger: Any, save_img: bool) -> None:
        if faces and save_img and not self.is_train:
            path = found_landmarks_file(osp.join(self.opt['path']['visualization'], dataset_name))
            try:
                save_found_landmarks(path, [found for _, found in faces])
            except (OSError, ValueError) as error:  # the pictures are there nevertheless
                get_root_logger().warning(f'{path}: not saved: {error}')
        if faces and metrics:
            means = {row: {name: _mean([figures[row][name] for figures, _ in faces], metrics[name]['type'])
                           for name in values}
                     for row, values in faces[0][0].items()}  # yapf: disable
            self._record(means, metrics, dataset_name, len(faces), current_iter, tb_logger)

    def _record(self, means: Figures, metrics: Mapping[str, Any], dataset_name: str, num_images: int, current_iter: Any,
                tb_logger: Any) -> None:
        """Update the best values, log the table and fill TensorBoard."""
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
            if tb_logger and row not in (BASELINE, last_row):
                for name, value in results.items():
                    tb_logger.add_scalar(f'metrics/{dataset_name}/{name}_{row.replace(" ", "")}', value, current_iter)
        get_root_logger().info(f'By {self.row_kind}:\n\t' + '\n\t'.join(lines))


def _mean(values: List[float], metric_type: str) -> float:
    """Return the mean. NaN is left out where it says that a face cannot be measured; otherwise it must be seen."""
    if metric_type in MAY_BE_NAN:
        values = [value for value in values if not np.isnan(value)]
    return float(np.mean(values)) if values else np.nan


def _figures(metrics: Mapping[str, Any], row: Row, by_evaluator: Optional[np.ndarray],
             face: FaceResult) -> Dict[str, float]:
    """Return the metrics of a row; those of landmarks are left out where there are none."""
    figures = {}
    for name, opt in metrics.items():
        landmarks = by_evaluator if opt.get('found_by') == 'evaluator' else row.landmarks
        if landmarks is not None or 'landmarks' not in _needs(opt):
            _check_border(name, opt, row.image.shape)
            data = dict(img=row.image, img2=face.gt, landmarks=landmarks, gt_landmarks=face.gt_landmarks)
            figures[name] = calculate_metric(data, opt)
    return figures


def _check_border(name: str, opt: Mapping[str, Any], shape: Tuple[int, ...]) -> None:
    border, side = opt.get('crop_border', 0), min(shape[:2])
    if not 0 <= 2 * border < side:  # the mean of no pixel would be NaN
        raise OptionError(f'val:metrics:{name}:crop_border is {border}; expected 0 or more, and less than half of the '
                          f"image's {side} pixels.")


def share_buffers(net: torch.nn.Module) -> None:
    """Copy the buffers of rank 0, such as statistics of batch norms, to every process."""
    for buffer in net.buffers():
        torch.distributed.broadcast(buffer, 0)


def check_found_by(opt: Mapping[str, Any]) -> None:
    """Raise OptionError if ``found_by`` of a metric is unknown or cannot apply."""
    val = opt.get('val') or {}
    for name, metric in (val.get('metrics') or {}).items():
        where, finder = f'val:metrics:{name}:found_by', metric.get('found_by', FINDERS[0])
        if finder not in FINDERS:
            raise OptionError(f'{where} is {finder!r}; expected {" or ".join(FINDERS)}.')
        if 'found_by' in metric and 'landmarks' not in _needs(metric):
            raise OptionError(f'{where}: {metric["type"]} does not use landmarks; remove found_by.')
        if finder == 'evaluator' and not val.get('evaluator'):
            raise OptionError(f'{where} is evaluator, but there is no val:evaluator; expected its weights.')


def _needs(metric_opt: Mapping[str, Any]) -> List[str]:
    """Return what a metric needs of a sample: its ground-truth image or its landmarks."""
    parameters = inspect.signature(METRIC_REGISTRY.get(metric_opt['type'])).parameters
    return [key for key, parameter in (('gt', 'img2'), ('landmarks', 'gt_landmarks')) if parameter in parameters]


def batches(dataloader: Iterable[Mapping[str, Any]], size: int) -> Iterator[Dict[str, Any]]:
    """Yield the batches of a loader joined into larger ones (BasicSR's validation loaders give one image at a time).

    Args:
        dataloader: Gives dicts of tensors ``B,...`` and of lists of B strings.
        size: Most images per joined batch. Images of different sizes are not joined.
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
    joined: Dict[str, Any] = {}
    for key, value in parts[0].items():
        values = [part[key] for part in parts]
        joined[key] = torch.cat(values) if isinstance(value, torch.Tensor) else [each for one in values for each in one]
    return joined
