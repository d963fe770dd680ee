"""Failure rate of landmarks, a BasicSR metric."""
import numpy as np
from basicsr.utils.registry import METRIC_REGISTRY

from dic_plugin.landmarks.errors import nrmse


@METRIC_REGISTRY.register()
def calculate_failure_rate(landmarks: np.ndarray,
                           gt_landmarks: np.ndarray,
                           norm: str = 'inter_ocular',
                           threshold: float = 0.1,
                           **kwargs) -> float:
    """Return 1 if the NRMSE of a face's landmarks is above the threshold, else 0; the mean is the failure rate.

    Other keywords are ignored: those that BasicSR passes to every metric (img, img2, better) and found_by, which the
    model reads.

    Args:
        landmarks: see ``calculate_nrmse``.
        gt_landmarks: see ``calculate_nrmse``.
        norm: see ``calculate_nrmse``.
        threshold: 0.1 is the usual one.
    """
    return float(nrmse(landmarks, gt_landmarks, norm) > threshold)
