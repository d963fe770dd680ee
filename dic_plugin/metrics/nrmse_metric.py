"""Landmark error as a BasicSR metric."""
import numpy as np
from basicsr.utils.registry import METRIC_REGISTRY

from dic_plugin.landmarks.errors import nrmse


@METRIC_REGISTRY.register()
def calculate_nrmse(landmarks: np.ndarray, gt_landmarks: np.ndarray, norm: str = 'inter_ocular', **kwargs) -> float:
    """Return the normalised root mean square error of one face's landmarks, see ``dic_plugin.landmarks.errors.nrmse``.

    Other keywords are ignored: those that BasicSR passes to every metric (img, img2, better) and found_by, which the
    model reads.

    Args:
        landmarks: found, ``K,2``.
        gt_landmarks: true, ``K,2``.
        norm: 'inter_ocular', 'outer_eye', 'face_width', 'published_inter_ocular' or 'published_outer_eye'.
    """
    return float(nrmse(landmarks, gt_landmarks, norm))
