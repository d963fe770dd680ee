"""Evaluates a folder of results: pairs them with their originals and measures every pair."""
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.evaluation.files import Pairing, open_images, open_results, pair_names
from dic_plugin.evaluation.identity import SAME_PERSON, Identity
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.evaluation.perceptual import Fid, Lpips, Niqe
from dic_plugin.evaluation.protocols import PROTOCOLS, compare
from dic_plugin.evaluation.summary import Estimate, areas, estimate, failures
from dic_plugin.landmarks.errors import landmark_errors

METRICS = ('lpips', 'niqe', 'fid', 'identity')


class MeasureKey(NamedTuple):
    """A measure under a protocol.

    Attributes:
        measure: 'psnr', 'ssim', 'nrmse', 'failure_rate', 'area', 'lpips', 'niqe', 'fid', 'identity' or
            'same_person'.
        protocol: Name of the protocol; that of the measure if there is only one.
        evaluator: Name of the evaluator that found the landmarks; '' if it has none.
    """
    measure: str
    protocol: str
    evaluator: str = ''

    @property
    def label(self) -> str:
        """Protocol and evaluator."""
        return f'{self.protocol}@{self.evaluator}' if self.evaluator else self.protocol

    @property
    def title(self) -> str:
        """Name in files."""
        return self.label if self.measure == self.protocol else f'{self.measure}_{self.label}'


class Pair(NamedTuple):
    """A result and its original, uint8 RGB ``H,W,3``.

    Attributes:
        found: Landmarks that each evaluator found on the result, see LandmarkEvaluator.landmarks_of.
        truth: Landmarks ``K,2`` with which they are compared, by evaluator.
        annotated: Annotated landmarks ``K,2`` of the original, if given.
    """
    sr: np.ndarray
    gt: np.ndarray
    found: Dict[str, Dict[bool, np.ndarray]]
    truth: Dict[str, np.ndarray]
    annotated: Optional[np.ndarray]


Measure = Callable[[Pair], Mapping[MeasureKey, float]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of a folder of results.

    Attributes:
        sr, gt: Folders or LMDBs.
        pairing: Which files have no partner.
        names, files: Names of the originals that have a result, and of their results.
        columns: One figure per image, in the order of names.
        results: The reported numbers; ``fid`` is of the whole set.
        evaluators: The networks that found landmarks, by name.
        reference: What these are compared with, in words; None without evaluators.
    """
    sr: str
    gt: str
    pairing: Pairing
    names: List[str]
    files: List[str]
    columns: Dict[MeasureKey, np.ndarray]
    results: Dict[MeasureKey, Estimate]
    evaluators: Mapping[str, LandmarkEvaluator]
    reference: Optional[str]


def evaluate(sr: str,
             gt: str,
             protocols: Sequence[str] = tuple(PROTOCOLS),
             evaluators: Optional[Mapping[str, LandmarkEvaluator]] = None,
             annotations: Optional[str] = None,
             metrics: Sequence[str] = (),
             device: str = 'cpu',
             measures: Sequence[Measure] = ()) -> Evaluation:
    """Measure every result that has an original. Each image is read once.

    Args:
        sr: Folder of results.
        gt: Folder or LMDB of originals of the same size.
        protocols: Names in PROTOCOLS.
        evaluators: Networks that find landmarks, by the name that figures are titled with; a single one may be called
            ''. Default: landmarks are not measured.
        annotations: Annotation file of the originals. Without it, landmarks are compared with those that the same
            evaluator finds on the originals; because they share its errors, these figures are lower.
        metrics: Names in METRICS.
        device: Where LPIPS and FID run.
        measures: Further functions of a pair; their errors are raised as they are.

    Raises:
        FileNotFoundError, ValueError: Folders or files are missing, nothing pairs, or images or annotations do not
            belong together; names the file.
        MetricUnavailable: See dic_plugin.evaluation.perceptual.
    """
    evaluators = evaluators or {}
    sr_files, gt_files = open_results(sr), open_images(gt)
    pairing = pair_names(sr_files.names, gt_files.names)
    if not pairing.pairs:
        raise ValueError(f'No result in {sr!r} (such as {sr_files.names[0]!r}) has an original in {gt!r} (such as '
                         f'{gt_files.names[0]!r}); expected the name of an original, alone or before an underscore.')
    if annotations and not evaluators and 'identity' not in metrics:
        raise ValueError(f'{annotations}: landmarks are given, but no evaluator that finds those of the results; '
                         'expected --evaluator or --metrics identity beside --annotations.')
    names = [gt_files.names[index] for _, index in pairing.pairs]
    annotated = _load_annotations(annotations, evaluators, names) if annotations else None
    perceptual = _perceptual(metrics, device)
    fid = Fid(device) if 'fid' in metrics else None

    rows: List[Dict[MeasureKey, float]] = []
    for name, (sr_index, gt_index) in zip(names, tqdm(pairing.pairs, unit='image', disable=None)):
        sr_image, gt_image = sr_files.read(sr_index), gt_files.read(gt_index)
        try:
            row = _quality(sr_image, gt_image, protocols)
            found = {key: evaluator.landmarks_of(sr_image) for key, evaluator in evaluators.items()}
            landmarks = None
            if annotated is None:
                truth = {key: evaluator.landmarks_of(gt_image)[True] for key, evaluator in evaluators.items()}
            else:
                landmarks, size = annotated[name]
                truth = dict.fromkeys(evaluators, landmarks)
                if size is not None and tuple(size) != gt_image.shape[1::-1]:
                    raise ValueError(f'was annotated as {"x".join(map(str, size))} (width x height), but the original '
                                     f'is {gt_image.shape[1]}x{gt_image.shape[0]}.')
            pair = Pair(sr_image, gt_image, found, truth, landmarks)
            for measure in (_nrmse, *perceptual):
                row.update(measure(pair))
        except ValueError as error:
            raise ValueError(f'{sr_files.paths[sr_index]}: {error}') from error
        for measure in measures:
            row.update(measure(pair))
        rows.append(row)
        if fid:
            fid.add(sr_image, gt_image)

    columns = {column: np.array([row[column] for row in rows]) for column in rows[0]}
    results = _results(columns)
    if fid:
        results[MeasureKey('fid', 'fid')] = Estimate(fid.result(), np.nan, np.nan, len(rows))
    files = [sr_files.names[index] for index, _ in pairing.pairs]
    reference = None
    if evaluators:
        reference = (f'the landmarks in {annotations}' if annotations else
                     'what the same network finds on the originals (not as published: no annotations given)')
    return Evaluation(sr, gt, pairing, names, files, columns, results, evaluators, reference)


def _load_annotations(path: str, evaluators: Mapping[str, LandmarkEvaluator],
                      names: Sequence[str]) -> Dict[str, Tuple[np.ndarray, Optional[np.ndarray]]]:
    """Return landmarks ``K,2``, and width and height of the original if the file has them, by name."""
    faces = FaceAnnotations.load(path)
    for evaluator in evaluators.values():
        if faces.num_keypoints != evaluator.num_keypoints:
            raise ValueError(f'{path}: has {faces.num_keypoints} landmarks per face, the evaluator {evaluator.name} '
                             f'finds {evaluator.num_keypoints}; expected as many.')
    sizes = [None] * len(faces.names) if faces.image_size is None else faces.image_size
    annotated = dict(zip(faces.names.tolist(), zip(faces.landmarks, sizes)))
    without = [name for name in names if name not in annotated]
    if without:
        raise ValueError(f'{path}: has no landmarks for {without[0]!r} ({len(without)} of {len(names)} images); '
                         'expected those of the originals.')
    return annotated


def _quality(sr: np.ndarray, gt: np.ndarray, protocols: Sequence[str]) -> Dict[MeasureKey, float]:
    return {
        MeasureKey(measure, protocol): value
        for protocol, quality in compare(sr, gt, protocols).items()
        for measure, value in quality._asdict().items()
    }


def _nrmse(pair: Pair) -> Dict[MeasureKey, float]:
    return {
        MeasureKey('nrmse', protocol, evaluator): error
        for evaluator, found in pair.found.items()
        for protocol, error in landmark_errors(found, pair.truth[evaluator]).items()
    }


def _perceptual(metrics: Sequence[str], device: str) -> List[Measure]:
    measures: List[Measure] = []
    if 'lpips' in metrics:
        lpips = Lpips(device)
        measures.append(lambda pair: {MeasureKey('lpips', 'lpips'): lpips(pair.sr, pair.gt)})
    if 'niqe' in metrics:
        niqe = Niqe()
        measures.append(lambda pair: {MeasureKey('niqe', 'niqe'): niqe(pair.sr)})
    if 'identity' in metrics:
        identity = Identity()
        measures.append(lambda pair: {MeasureKey('identity', 'identity'): identity(pair.sr, pair.gt, pair.annotated)})
    return measures


def _results(columns: Mapping[MeasureKey, np.ndarray]) -> Dict[MeasureKey, Estimate]:
    results: Dict[MeasureKey, Estimate] = {}
    for column, values in columns.items():
        results[column] = estimate(values)
        if column.measure == 'nrmse':
            results[column._replace(measure='failure_rate')] = estimate(failures(values))
            results[column._replace(measure='area')] = estimate(areas(values))
        if column.measure == 'identity':
            same = np.where(np.isnan(values), np.nan, values < SAME_PERSON)
            results[column._replace(measure='same_person')] = estimate(same)
    return results
