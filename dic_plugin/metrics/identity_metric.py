"""Distance of dlib's face descriptors as a BasicSR metric."""
from functools import lru_cache
from typing import Any

import numpy as np
from basicsr.utils.registry import METRIC_REGISTRY

from dic_plugin.evaluation.identity import Identity

_identity = lru_cache(maxsize=1)(Identity)  # its network takes a second to load


@METRIC_REGISTRY.register()
def calculate_identity(img: np.ndarray, img2: np.ndarray, **kwargs: Any) -> float:
    """Return how far a face is from being the same person, see ``dic_plugin.evaluation.identity.Identity``.

    Both images are cropped by ``gt_landmarks`` if they are given and iBUG's 68, otherwise by those that dlib finds in
    ``img2``.

    Args:
        img: Result, uint8 BGR ``H,W,3``.
        img2: Original of the same size and type.

    Returns:
        At least 0, below 0.6 for the same person; NaN if no face is found in the original: means leave it out.

    Raises:
        MetricUnavailable: dlib or its network is not installed.
    """
    return _identity()(img[..., ::-1], img2[..., ::-1], kwargs.get('gt_landmarks'))
