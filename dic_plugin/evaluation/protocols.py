"""PSNR and SSIM of one image pair under the protocols by which face super-resolution has been published.

Figures of one pair differ between protocols by more than most papers' gains. All protocols on luma use MATLAB's
rgb2ycbcr (BT.601, Y from 16 to 235), none OpenCV's. They differ in rounding, cropping and SSIM.
"""
from typing import Callable, Dict, Iterable, NamedTuple

import numpy as np
from basicsr.metrics import calculate_psnr, calculate_ssim
from skimage.metrics import structural_similarity

CROP_BORDER = 8
MIN_SIZE = 2 * CROP_BORDER + 11  # the 11x11 window of SSIM must fit after cropping


class Quality(NamedTuple):
    """PSNR in dB (infinite for equal images) and SSIM of one image pair."""
    psnr: float
    ssim: float


Compare = Callable[[np.ndarray, np.ndarray], Quality]


class Protocol(NamedTuple):
    """A description, and a function of SR and GT, both uint8 RGB ``H,W,3``."""
    description: str
    compare: Compare


PROTOCOLS: Dict[str, Protocol] = {}


def _protocol(name: str, description: str) -> Callable[[Compare], Compare]:

    def add(function: Compare) -> Compare:
        PROTOCOLS[name] = Protocol(description, function)
        return function

    return add


def luma(image: np.ndarray) -> np.ndarray:
    """Return MATLAB's Y of an RGB image in [0, 255]: float64 from 16 to 235, not rounded."""
    return np.dot(image.astype(np.float64), [65.481, 128.553, 24.966]) / 255 + 16


def _rounded_luma(image: np.ndarray) -> np.ndarray:
    return luma(image).round().astype(np.uint8)


@_protocol(
    'official-dic',
    "the DIC paper's code: Y rounded to 8 bits, 8 px cropped; SSIM: Gaussian 11x11, sigma 1.5, valid, of "
    '256 - Y (its 8-bit Y overflows)')
def _official_dic(sr: np.ndarray, gt: np.ndarray) -> Quality:
    sr, gt = _rounded_luma(sr), _rounded_luma(gt)
    psnr = calculate_psnr(sr, gt, CROP_BORDER)
    # The published code multiplies these 8-bit values by 255: Y becomes 256 - Y, which changes SSIM only.
    return Quality(psnr, calculate_ssim(256. - sr, 256. - gt, CROP_BORDER))


@_protocol('basicsr-y',
           "BasicSR's, test_y_channel: Y not rounded, 8 px cropped; SSIM: Gaussian 11x11, sigma 1.5, valid")
def _basicsr_y(sr: np.ndarray, gt: np.ndarray) -> Quality:
    sr, gt = sr[..., ::-1], gt[..., ::-1]  # BasicSR's are BGR
    return Quality(
        calculate_psnr(sr, gt, CROP_BORDER, test_y_channel=True),
        calculate_ssim(sr, gt, CROP_BORDER, test_y_channel=True))


@_protocol(
    'sparnet', "SPARNet's code: Y rounded down to 8 bits, nothing cropped; SSIM: scikit-image's, Gaussian, sigma 1.5, "
    'population covariance')
def _sparnet(sr: np.ndarray, gt: np.ndarray) -> Quality:
    sr, gt = luma(sr).astype(np.uint8), luma(gt).astype(np.uint8)
    ssim = structural_similarity(sr, gt, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    return Quality(calculate_psnr(sr, gt, 0), float(ssim))


@_protocol('survey', "Y rounded to 8 bits, 8 px cropped; SSIM: scikit-image's default, uniform 7x7, sample covariance")
def _survey(sr: np.ndarray, gt: np.ndarray) -> Quality:
    sr, gt = _rounded_luma(sr), _rounded_luma(gt)
    inner = (slice(CROP_BORDER, -CROP_BORDER), ) * 2
    return Quality(
        calculate_psnr(sr, gt, CROP_BORDER), float(structural_similarity(sr[inner], gt[inner], data_range=255)))


@_protocol('rgb', "OpenMMLab's: RGB, 8 px cropped; SSIM: Gaussian 11x11, sigma 1.5, valid, mean of the three channels")
def _rgb(sr: np.ndarray, gt: np.ndarray) -> Quality:
    return Quality(calculate_psnr(sr, gt, CROP_BORDER), calculate_ssim(sr, gt, CROP_BORDER))


def compare(sr: np.ndarray, gt: np.ndarray, protocols: Iterable[str] = tuple(PROTOCOLS)) -> Dict[str, Quality]:
    """Return PSNR and SSIM of one image pair under each named protocol.

    Args:
        sr: Result, uint8 RGB ``H,W,3``, at least 27x27; else ValueError.
        gt: Original of the same size and type; else ValueError.
        protocols: Names in PROTOCOLS; ValueError for an unknown one.
    """
    for name, image in (('sr', sr), ('gt', gt)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < MIN_SIZE:
            raise ValueError(f'{name} is {image.dtype} {image.shape}; expected 8-bit RGB (H, W, 3) of at least '
                             f'{MIN_SIZE}x{MIN_SIZE} pixels.')
    if sr.shape != gt.shape:
        raise ValueError(f'sr is {sr.shape[1]}x{sr.shape[0]}, gt {gt.shape[1]}x{gt.shape[0]} (width x height); '
                         'expected one size.')
    protocols = list(protocols)
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise ValueError(f'protocol {unknown[0]!r} is unknown; there are {", ".join(PROTOCOLS)}.')
    return {name: PROTOCOLS[name].compare(sr, gt) for name in protocols}
