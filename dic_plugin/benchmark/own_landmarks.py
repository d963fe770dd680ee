"""Errors of the landmarks that DIC itself finds, beside its result; other models find none."""
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import cv2
import torch
from basicsr.archs import build_network

from dic_plugin.archs.dic_arch import DIC
from dic_plugin.benchmark.test_set import TestSet
from dic_plugin.checkpoints.files import load_into, load_params
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.evaluation.landmark_errors import landmark_errors, to_batch
from dic_plugin.landmarks.heatmaps import decode_heatmaps

OWN = 'own'  # stands where an evaluator's name stands


def own_landmark_errors(network_g: Mapping[str, Any], weights: Optional[Path], param_key: str, test_set: TestSet,
                        device: str) -> Dict[str, List[float]]:
    """Errors of the landmarks of the last step, face by face.

    Args:
        network_g: BasicSR's options of the network.
        weights: its checkpoint; None if it is not trained.
        param_key: 'params' or 'params_ema'.
        test_set: the faces, with as many landmarks as the network has.
        device: 'cpu' or such as 'cuda:0'.

    Returns:
        By ``nrmse_<protocol>@own``; empty if the network is not a trained DIC or the faces have no such
        landmarks.

    Raises:
        CheckpointError: the checkpoint is another network's.
    """
    if network_g['type'] != DIC.__name__ or weights is None or test_set.annotations is None:
        return {}
    network = build_network(deepcopy(dict(network_g))).eval().to(device)
    load_into(network, load_params(str(weights), param_key), str(weights))
    annotations = FaceAnnotations.load(test_set.annotations)
    truth = dict(zip(annotations.names.tolist(), annotations.landmarks))
    errors: Dict[str, List[float]] = {}
    for name in test_set.names:
        lq = cv2.imread(f'{test_set.lq}/{name}.png')[..., ::-1]
        with torch.no_grad():
            heatmap = network(to_batch([lq]).to(device), return_steps=True).heatmap[-1]
        if heatmap.shape[1] != annotations.num_keypoints:
            return {}
        found = {subpixel: decode_heatmaps(heatmap, subpixel)[0].cpu().numpy() for subpixel in (True, False)}
        for protocol, error in landmark_errors(found, truth[name]).items():
            errors.setdefault(f'nrmse_{protocol}@{OWN}', []).append(error)
    return errors
