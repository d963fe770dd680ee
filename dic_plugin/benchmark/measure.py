"""Quality of a model's results: the measures of dic-evaluate, the plan's own metrics, and DIC's own landmarks.

A metric of the plan is any function in BasicSR's METRIC_REGISTRY. It is called for every image with ``img`` (result)
and ``img2`` (original), uint8 BGR ``H,W,3``; where landmarks are measured also with ``landmarks``, found on the result
by the first evaluator, and ``gt_landmarks``, both ``K,2``.
"""
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from basicsr.metrics import calculate_metric

from dic_plugin.benchmark.plan import OWN
from dic_plugin.benchmark.test_set import FaceSet
from dic_plugin.evaluation.evaluate import Measure, MeasureKey, Pair, evaluate
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.landmarks.errors import landmark_errors
from dic_plugin.models.found_landmarks import load_found_landmarks


def measure(pictures: str, test_set: FaceSet, evaluators: Mapping[str, LandmarkEvaluator], protocols: Sequence[str],
            metrics: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """Evaluate a folder of results.

    Args:
        pictures: The folder that BasicSR's test loop wrote.
        test_set: The originals.
        evaluators: Networks that find landmarks, by name; used if the originals have landmarks.
        protocols: Protocols of PSNR and SSIM.
        metrics: Options of the plan's metrics, by name.

    Returns:
        ``names`` of the images; ``values``: one figure per image; ``estimates``: means with intervals. The last two by
        measure: ``psnr_<protocol>``, ``ssim_<protocol>``, ``nrmse_<protocol>@<evaluator>``, ``failure_rate_...``,
        ``area_...``, and the names of the metrics.

    Raises:
        ValueError: A result is missing, an image has the wrong size, or a metric fails.
    """
    judges = evaluators if test_set.annotations else {}
    annotations = test_set.annotations if judges else None
    own = [_own_metrics(metrics)] if metrics else []
    evaluation = evaluate(pictures, test_set.gt, protocols, judges, annotations, measures=own)
    missing = sorted(set(test_set.names) - set(evaluation.names))
    if missing:
        raise ValueError(f'{evaluation.sr}: has no result for {missing[0]!r} ({len(missing)} of '
                         f'{len(test_set.names)} images); expected one for every test image.')
    return dict(
        names=test_set.names,
        values={column.title: list(map(float, figures)) for column, figures in evaluation.columns.items()},
        estimates={column.title: each._asdict() for column, each in evaluation.results.items()})  # yapf: disable


def _own_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Measure:

    def measure_pair(pair: Pair) -> Dict[MeasureKey, float]:
        data = dict(img=pair.sr[..., ::-1], img2=pair.gt[..., ::-1])
        if pair.found:
            first = next(iter(pair.found))
            data.update(landmarks=pair.found[first][True], gt_landmarks=pair.truth[first])
        values: Dict[MeasureKey, float] = {}
        for name, block in metrics.items():
            options = {key: value for key, value in block.items() if key not in ('title', 'digits', 'better')}
            try:
                values[MeasureKey(name, name)] = float(calculate_metric(data, options))
            except Exception as error:  # a metric is a function of the user
                raise ValueError(f'metrics:{name} ({block["type"]}): {type(error).__name__}: {error}') from error
        return values

    return measure_pair


def own_landmark_errors(file: Path, test_set: FaceSet) -> Dict[str, List[float]]:
    """Return the errors of the landmarks that a model itself finds, for each face.

    Args:
        file: The landmarks that the test loop saved.
        test_set: The faces.

    Returns:
        Errors by ``nrmse_<protocol>@own``; empty if the model or the test set has no landmarks, or if their numbers
        differ.
    """
    if test_set.annotations is None or not file.is_file():
        return {}
    found = load_found_landmarks(str(file))
    errors: Dict[str, List[float]] = {}
    for name, truth in test_set.landmarks.items():
        if found[name][True].shape != truth.shape:
            return {}
        for protocol, error in landmark_errors(found[name], truth).items():
            errors.setdefault(f'nrmse_{protocol}@{OWN}', []).append(error)
    return errors
