"""Quality of a model's results: the measures of dic-evaluate, the plan's own metrics, and DIC's own landmarks.

A metric of the plan is any function in BasicSR's METRIC_REGISTRY. It is called for every image with ``img`` (result)
and ``img2`` (original), uint8 BGR ``H,W,3``; where landmarks are measured also with ``landmarks``, found on the result
by the first evaluator, and ``gt_landmarks``, both ``K,2``.
"""
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import cv2
import numpy as np
import torch
from basicsr.archs import build_network
from basicsr.metrics import calculate_metric

from dic_plugin.archs.dic_arch import DIC
from dic_plugin.benchmark.plan import OWN
from dic_plugin.benchmark.test_set import FaceSet
from dic_plugin.checkpoints.files import load_into, load_params
from dic_plugin.evaluation.files import open_images, open_results, pair_names
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator, landmark_errors, to_batch
from dic_plugin.evaluation.run import evaluate
from dic_plugin.evaluation.summary import Estimate, estimate
from dic_plugin.landmarks.heatmaps import decode_heatmaps


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
    judges: Dict[Optional[str], Optional[LandmarkEvaluator]] = dict(evaluators) if test_set.annotations else {}
    judges = judges or {None: None}
    values: Dict[str, List[float]] = {}
    estimates: Dict[str, Estimate] = {}
    for number, (judge, evaluator) in enumerate(judges.items()):
        annotations = test_set.annotations if evaluator else None
        evaluation = evaluate(pictures, test_set.gt, [] if number else protocols, evaluator, annotations)
        missing = sorted(set(test_set.names) - set(evaluation.names))
        if missing:
            raise ValueError(f'{evaluation.sr}: has no result for {missing[0]!r} ({len(missing)} of '
                             f'{len(test_set.names)} images); expected one for every test image.')

        def key(measure: str, title: str, judge: Optional[str] = judge) -> str:
            return title if measure in ('psnr', 'ssim') else f'{title}@{judge}'

        values.update({key(each.measure, each.title): list(map(float, figures))
                       for each, figures in evaluation.columns.items()})  # yapf: disable
        estimates.update({key(each.measure, f'{each.measure}_{each.protocol}'): each.estimate
                          for each in evaluation.results})  # yapf: disable
    own = _own_metrics(pictures, test_set, next(iter(judges.values())), metrics)
    values.update(own)
    estimates.update({name: estimate(np.array(figures)) for name, figures in own.items()})
    plain = {name: each._asdict() for name, each in estimates.items()}
    return dict(names=test_set.names, values=values, estimates=plain)


def _own_metrics(pictures: str, test_set: FaceSet, evaluator: Optional[LandmarkEvaluator],
                 metrics: Mapping[str, Mapping[str, Any]]) -> Dict[str, List[float]]:
    if not metrics:
        return {}
    sr_files, gt_files, truth = open_results(pictures), open_images(test_set.gt), test_set.landmarks
    values: Dict[str, List[float]] = {name: [] for name in metrics}
    for sr_index, gt_index in pair_names(sr_files.names, gt_files.names).pairs:
        sr, gt = sr_files.read(sr_index), gt_files.read(gt_index)
        data = dict(img=sr[..., ::-1], img2=gt[..., ::-1])
        if evaluator:
            landmarks = evaluator.landmarks_of(sr)[True]
            data.update(landmarks=landmarks, gt_landmarks=truth[gt_files.names[gt_index]])
        for name, block in metrics.items():
            options = {key: value for key, value in block.items() if key not in ('title', 'digits', 'better')}
            try:
                values[name].append(float(calculate_metric(data, options)))
            except Exception as error:  # a metric is a function of the user
                raise ValueError(f'metrics:{name} ({block["type"]}): {type(error).__name__}: {error}') from error
    return values


def own_landmark_errors(network_g: Mapping[str, Any], weights: Optional[Path], param_key: str, test_set: FaceSet,
                        device: str) -> Dict[str, List[float]]:
    """Return the errors of the landmarks that DIC itself finds in its last step, for each face.

    Args:
        network_g: BasicSR's options of the network.
        weights: Its checkpoint, or None.
        param_key: 'params' or 'params_ema'.
        test_set: The faces.
        device: 'cpu' or such as 'cuda:0'.

    Returns:
        Errors by ``nrmse_<protocol>@own``; empty if the network is not a trained DIC, or if the faces do not have as
        many landmarks as the network.

    Raises:
        CheckpointError: The checkpoint is that of another network.
    """
    if network_g['type'] != DIC.__name__ or weights is None or test_set.annotations is None:
        return {}
    network = build_network(deepcopy(dict(network_g))).eval().to(device)
    load_into(network, load_params(str(weights), param_key), str(weights))
    errors: Dict[str, List[float]] = {}
    for name, truth in test_set.landmarks.items():
        lq = cv2.imread(f'{test_set.lq}/{name}.png')[..., ::-1]
        with torch.no_grad():
            heatmap = network(to_batch([lq]).to(device), return_steps=True).heatmap[-1]
        if heatmap.shape[1] != len(truth):
            return {}
        found = {subpixel: decode_heatmaps(heatmap, subpixel)[0].cpu().numpy() for subpixel in (True, False)}
        for protocol, error in landmark_errors(found, truth).items():
            errors.setdefault(f'nrmse_{protocol}@{OWN}', []).append(error)
    return errors
