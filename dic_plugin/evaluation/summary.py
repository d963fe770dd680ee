"""From one figure per image to what is reported: means with bootstrap intervals, failures, cumulative error.

Failure rate and area under the cumulative error curve are means over images, too: of 1 for a failure, and of the part
of the limit that an error leaves. So everything reported has an interval of the same kind.
"""
from typing import NamedTuple, Tuple

import numpy as np

ERROR_LIMIT = 0.1  # a face whose NRMSE is above this failed; the cumulative error curve ends here
NUM_RESAMPLES = 2000
LEVEL = 0.95
SEED = 0


class Estimate(NamedTuple):
    """Mean over images, the ends of its bootstrap interval, and the number of images that it is of."""
    mean: float
    low: float
    high: float
    num_images: int


def estimate(values: np.ndarray, seed: int = SEED, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Mean with its 95 % percentile bootstrap interval: images drawn again, with replacement.

    Figures of equally many images are resampled alike, whatever they measure.

    Args:
        values: one per image; NaN (not measurable) is left out.
        seed: of the drawing.
        num_resamples: how many times as many images are drawn.

    Returns:
        NaN for the mean of no image, and for the interval where a value is infinite (PSNR of equal images).
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    if not np.isfinite(values).all():
        return Estimate(float(values.mean()), np.nan, np.nan, values.size)
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, values.size, values.size)].mean() for _ in range(num_resamples)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.mean()), float(low), float(high), values.size)


def failures(errors: np.ndarray, limit: float = ERROR_LIMIT) -> np.ndarray:
    """1 for each error above the limit, else 0; NaN stays NaN."""
    return np.where(np.isnan(errors), np.nan, errors > limit)


def areas(errors: np.ndarray, limit: float = ERROR_LIMIT) -> np.ndarray:
    """What each error adds to the area under the cumulative error curve from 0 to ``limit``, as a part of its most.

    The curve is the fraction of images with at most that error; an image counts from its error up to the limit:
    ``max(0, 1 - error / limit)``. The mean is the area: 1 if no error is above 0, 0 if all are above the limit.
    """
    return np.maximum(0, 1 - errors / limit)


def cumulative_curve(errors: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Errors in order, and the fraction of images with at most each; NaN is left out."""
    errors = np.sort(errors[~np.isnan(errors)])
    return errors, np.arange(1, errors.size + 1) / max(errors.size, 1)
