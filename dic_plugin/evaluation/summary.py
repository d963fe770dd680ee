"""Reported numbers from one figure per image: means with bootstrap intervals, failures, cumulative error.

Failure rate and area under the cumulative error curve are also means over images, so all have the same interval.
"""
from typing import NamedTuple, Tuple

import numpy as np
from scipy.stats import bootstrap

ERROR_LIMIT = 0.1  # a face with a larger NRMSE is a failure; the cumulative error curve ends here
NUM_RESAMPLES = 2000
LEVEL = 0.95
SEED = 0


class Estimate(NamedTuple):
    """Mean over images, the ends of its bootstrap interval, and the number of images."""
    mean: float
    low: float
    high: float
    num_images: int


def estimate(values: np.ndarray) -> Estimate:
    """Return the mean with its 95 % percentile bootstrap interval.

    Figures of equally many images are resampled alike, whatever they measure.

    Args:
        values: One per image; NaN (not measurable) is left out.

    Returns:
        NaN for the mean of no image, and for the interval if a value is infinite (PSNR of equal images).
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(values.mean())
    if not np.isfinite(mean):
        return Estimate(mean, np.nan, np.nan, values.size)
    if values.size == 1:  # SciPy needs two
        return Estimate(mean, mean, mean, 1)
    low, high = bootstrap((values, ), np.mean, n_resamples=NUM_RESAMPLES, batch=100, confidence_level=LEVEL,
                          method='percentile', rng=np.random.default_rng(SEED)).confidence_interval  # yapf: disable
    return Estimate(mean, float(low), float(high), values.size)


def failures(errors: np.ndarray) -> np.ndarray:
    """Return 1 for each error above ERROR_LIMIT, else 0; NaN stays NaN."""
    return np.where(np.isnan(errors), np.nan, errors > ERROR_LIMIT)


def areas(errors: np.ndarray) -> np.ndarray:
    """Return what each error contributes to the area under the cumulative error curve up to ERROR_LIMIT, in [0, 1].

    The curve is the fraction of images with at most that error; the mean is its area, divided by the limit.
    """
    return np.maximum(0, 1 - errors / ERROR_LIMIT)


def cumulative_curve(errors: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return the errors in order, and the fraction of images with at most each; NaN is left out."""
    errors = np.sort(errors[~np.isnan(errors)])
    return errors, np.arange(1, errors.size + 1) / max(errors.size, 1)
