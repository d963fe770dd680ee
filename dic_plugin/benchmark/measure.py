"""Quality of a model's results: what dic-evaluate measures, and the plan's own metrics.

A metric of the plan is any function in BasicSR's METRIC_REGISTRY. It is called for every image with ``img`` (result)
and ``img2`` (original), uint8 BGR ``H,W,3``; where landmarks are measured also with ``landmarks``, found on the result
by the first evaluator, and ``gt_landmarks``, both ``K,2``.
"""
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
from basicsr.metrics import calculate_metric

from dic_plugin.benchmark.test_set import TestSet
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.evaluation.files import open_images, open_results, pair_names
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator
from dic_plugin.evaluation.run import Evaluation, evaluate
from dic_plugin.evaluation.summary import Estimate, estimate


def measure(pictures: str, test_set: TestSet, evaluators: Mapping[str, LandmarkEvaluator], protocols: Sequence[str],
            metrics: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """Evaluate a folder of results.

    Args:
        pictures: folder of BasicSR's test loop.
        test_set: the originals.
        evaluators: networks that find landmarks, by name; used where the originals have landmarks.
        protocols: of PSNR and SSIM.
        metrics: options of the plan's metrics, by name.

    Returns:
        ``names`` of the images; ``values``: one figure per image; ``estimates``: what is reported. The last two by
        measure: ``psnr_<protocol>``, ``ssim_<protocol>``, ``nrmse_<protocol>@<evaluator>``, ``failure_rate_...``,
        ``area_...``, and the metrics' own names.

    Raises:
        ValueError: a result is missing, or images do not fit together.
    """
    if test_set.annotations is None:
        evaluators = {}
    judges: List[Optional[str]] = list(evaluators) or [None]
    values: Dict[str, List[float]] = {}
    estimates: Dict[str, Estimate] = {}
    for position, judge in enumerate(judges):
        evaluation = evaluate(
            pictures,
            test_set.gt,
            protocols if position == 0 else [],
            evaluator=evaluators[judge] if judge else None,
            annotations=test_set.annotations if judge else None)
        _check_complete(evaluation, test_set)
        suffix = {'psnr': '', 'ssim': ''}
        for column, figures in evaluation.columns.items():
            values[column.title + suffix.get(column.measure, f'@{judge}')] = figures.tolist()
        for result in evaluation.results:
            key = f'{result.measure}_{result.protocol}' + suffix.get(result.measure, f'@{judge}')
            estimates[key] = result.estimate
    first = evaluators[judges[0]] if judges[0] else None
    for name, figures in _own_metrics(pictures, test_set, first, metrics).items():
        values[name] = figures
        estimates[name] = estimate(np.array(figures))
    return dict(
        names=evaluation.names, values=values, estimates={
            key: value._asdict()
            for key, value in estimates.items()
        })


def _check_complete(evaluation: Evaluation, test_set: TestSet) -> None:
    if evaluation.names != test_set.names:
        missing = sorted(set(test_set.names) - set(evaluation.names))
        raise ValueError(f'{evaluation.sr}: has no result for {missing[0]!r} ({len(missing)} of '
                         f'{len(test_set.names)} images); expected one for every test image.')


def _own_metrics(pictures: str, test_set: TestSet, evaluator: Optional[LandmarkEvaluator],
                 metrics: Mapping[str, Mapping[str, Any]]) -> Dict[str, List[float]]:
    if not metrics:
        return {}
    options = {
        name: {
            key: value
            for key, value in option.items() if key not in ('title', 'digits', 'better')
        }
        for name, option in metrics.items()
    }
    truth = dict(_landmarks(test_set)) if evaluator else {}
    sr_files, gt_files = open_results(pictures), open_images(test_set.gt)
    values: Dict[str, List[float]] = {name: [] for name in metrics}
    for sr_index, gt_index in pair_names(sr_files.names, gt_files.names).pairs:
        sr, gt = sr_files.read(sr_index), gt_files.read(gt_index)
        data = dict(img=sr[..., ::-1], img2=gt[..., ::-1])
        if evaluator:
            data.update(landmarks=evaluator.landmarks_of(sr)[True], gt_landmarks=truth[gt_files.names[gt_index]])
        for name, option in options.items():
            try:
                values[name].append(float(calculate_metric(data, option)))
            except Exception as error:  # anybody's function
                raise ValueError(f'metrics:{name} ({option["type"]}): {type(error).__name__}: {error}') from error
    return values


def _landmarks(test_set: TestSet) -> Dict[str, np.ndarray]:
    annotations = FaceAnnotations.load(test_set.annotations)
    return dict(zip(annotations.names.tolist(), annotations.landmarks))
