"""Evaluates a folder of results: pairs them with their originals and measures every pair."""
from dataclasses import dataclass
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from tqdm import tqdm

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.evaluation.files import Pairing, open_images, open_results, pair_names
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator, landmark_errors
from dic_plugin.evaluation.perceptual import Fid, Lpips, Niqe
from dic_plugin.evaluation.protocols import PROTOCOLS, compare
from dic_plugin.evaluation.summary import Estimate, areas, estimate, failures

METRICS = ('lpips', 'niqe', 'fid')


class Column(NamedTuple):
    """What is measured of every image: 'psnr', 'ssim', 'nrmse', 'lpips' or 'niqe', and the protocol's name."""
    measure: str
    protocol: str

    @property
    def title(self) -> str:
        """Its name in files."""
        return self.measure if self.measure == self.protocol else f'{self.measure}_{self.protocol}'


class Result(NamedTuple):
    """One reported number: a column's mean, or 'failure_rate', 'area' or 'fid' (of the whole set)."""
    measure: str
    protocol: str
    estimate: Estimate


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured, and of what.

    Attributes:
        sr, gt: folders or LMDBs.
        pairing: which files have no partner.
        names, files: names of the originals that have a result, and of their results.
        columns: one figure per image and column, in the order of names.
        results: what is reported.
        evaluator: the network that found the landmarks, if any.
        reference: what its landmarks are compared with, in words.
    """
    sr: str
    gt: str
    pairing: Pairing
    names: List[str]
    files: List[str]
    columns: Dict[Column, np.ndarray]
    results: List[Result]
    evaluator: Optional[LandmarkEvaluator]
    reference: Optional[str]


class LandmarkMeasure:
    """Landmark errors of results, against annotations or, without, the landmarks that the evaluator finds on originals.

    The published evaluation always had annotations. Landmarks found on originals share the evaluator's own errors, so
    that figures against them come out lower.

    Raises:
        FileNotFoundError, ValueError: the annotation file is missing, wrong, for another number of landmarks or not for
            these names.
    """

    def __init__(self, evaluator: LandmarkEvaluator, annotation_file: Optional[str], names: Sequence[str]) -> None:
        self.evaluator = evaluator
        self.annotations = None
        self.reference = 'what the same network finds on the originals (not as published: no annotations given)'
        if annotation_file is None:
            return
        self.annotations = FaceAnnotations.load(annotation_file)
        self.row_of = {name: row for row, name in enumerate(self.annotations.names.tolist())}
        self.reference = f'the landmarks in {annotation_file}'
        if self.annotations.num_keypoints != evaluator.num_keypoints:
            raise ValueError(f'{annotation_file}: has {self.annotations.num_keypoints} landmarks per face, the '
                             f'evaluator {evaluator.name} finds {evaluator.num_keypoints}; expected as many.')
        without = [name for name in names if name not in self.row_of]
        if without:
            raise ValueError(f'{annotation_file}: has no landmarks for {without[0]!r} ({len(without)} of {len(names)} '
                             'images); expected those of the originals.')

    def __call__(self, name: str, sr: np.ndarray, gt: np.ndarray) -> Dict[Column, float]:
        found = self.evaluator.landmarks_of(sr)
        errors = landmark_errors(found, self._true_landmarks(name, gt))
        return {Column('nrmse', protocol): error for protocol, error in errors.items()}

    def _true_landmarks(self, name: str, gt: np.ndarray) -> np.ndarray:
        if self.annotations is None:
            return self.evaluator.landmarks_of(gt)[True]
        row = self.row_of[name]
        size = self.annotations.image_size
        if size is not None and tuple(size[row]) != (gt.shape[1], gt.shape[0]):
            raise ValueError(f'was annotated as {"x".join(map(str, size[row]))} (width x height), but the original is '
                             f'{gt.shape[1]}x{gt.shape[0]}.')
        return self.annotations.landmarks[row]


def evaluate(sr: str,
             gt: str,
             protocols: Sequence[str] = tuple(PROTOCOLS),
             evaluator: Optional[LandmarkEvaluator] = None,
             annotations: Optional[str] = None,
             metrics: Sequence[str] = (),
             device: str = 'cpu') -> Evaluation:
    """Measure every result that has an original.

    Args:
        sr: folder of results.
        gt: folder or LMDB of originals of the same size.
        protocols: names in PROTOCOLS.
        evaluator: finds the landmarks on the results. Default: landmarks are not measured.
        annotations: annotation file of the originals; see LandmarkMeasure.
        metrics: of METRICS.
        device: where LPIPS and FID run.

    Raises:
        FileNotFoundError, ValueError: folders or files are missing, nothing pairs, or images or annotations do not
            belong together; names the file.
        MetricUnavailable: see dic_plugin.evaluation.perceptual.
    """
    sr_files, gt_files = open_results(sr), open_images(gt)
    pairing = pair_names(sr_files.names, gt_files.names)
    if not pairing.pairs:
        raise ValueError(f'No result in {sr!r} (such as {sr_files.names[0]!r}) has an original in {gt!r} (such as '
                         f'{gt_files.names[0]!r}); expected the name of an original, alone or before an underscore.')
    if annotations and not evaluator:
        raise ValueError(f'{annotations}: landmarks are given, but no evaluator that finds those of the results; '
                         'expected --evaluator beside --annotations, or neither.')
    names = [gt_files.names[index] for _, index in pairing.pairs]
    landmark_measure = LandmarkMeasure(evaluator, annotations, names) if evaluator else None
    measures = _measures(protocols, landmark_measure, metrics, device)
    fid = Fid(device) if 'fid' in metrics else None

    rows = []
    for name, (sr_index, gt_index) in zip(names, tqdm(pairing.pairs, unit='image', disable=None)):
        sr_image, gt_image = sr_files.read(sr_index), gt_files.read(gt_index)
        try:
            row: Dict[Column, float] = {}
            for measure in measures:
                row.update(measure(name, sr_image, gt_image))
        except ValueError as error:
            raise ValueError(f'{sr_files.paths[sr_index]}: {error}') from error
        rows.append(row)
        if fid:
            fid.add(sr_image, gt_image)

    columns = {column: np.array([row[column] for row in rows]) for column in rows[0]}
    results = _results(columns)
    if fid:
        results.append(Result('fid', 'fid', Estimate(fid.result(), np.nan, np.nan, len(rows))))
    files = [sr_files.names[index] for index, _ in pairing.pairs]
    reference = landmark_measure.reference if landmark_measure else None
    return Evaluation(sr, gt, pairing, names, files, columns, results, evaluator, reference)


Measure = Callable[[str, np.ndarray, np.ndarray], Dict[Column, float]]


def _measures(protocols: Sequence[str], landmark_measure: Optional[LandmarkMeasure], metrics: Sequence[str],
              device: str) -> List[Measure]:
    """What is measured of every image, as functions of its name, SR and GT."""

    def quality(name: str, sr: np.ndarray, gt: np.ndarray) -> Dict[Column, float]:
        return {
            Column(measure, protocol): value
            for protocol, figures in compare(sr, gt, protocols).items()
            for measure, value in figures._asdict().items()
        }

    measures: List[Measure] = [quality]
    if landmark_measure:
        measures.append(landmark_measure)
    if 'lpips' in metrics:
        lpips = Lpips(device)
        measures.append(lambda name, sr, gt: {Column('lpips', 'lpips'): lpips(sr, gt)})
    if 'niqe' in metrics:
        niqe = Niqe()
        measures.append(lambda name, sr, gt: {Column('niqe', 'niqe'): niqe(sr)})
    return measures


def _results(columns: Dict[Column, np.ndarray]) -> List[Result]:
    results = []
    for (measure, protocol), values in columns.items():
        results.append(Result(measure, protocol, estimate(values)))
        if measure == 'nrmse':
            results.append(Result('failure_rate', protocol, estimate(failures(values))))
            results.append(Result('area', protocol, estimate(areas(values))))
    return results
