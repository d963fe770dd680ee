"""LPIPS by its authors' package ``lpips``, an optional extra; NIQE and FID by BasicSR."""
from os import path as osp
from typing import List, Union

import basicsr.metrics
import numpy as np
import torch
from basicsr.archs.inception import FID_WEIGHTS_URL, LOCAL_FID_WEIGHTS
from basicsr.metrics.fid import extract_inception_features, load_patched_inception_v3
from basicsr.metrics.niqe import niqe
from torch import Tensor

from dic_plugin.evaluation.protocols import luma

NIQE_BLOCK = 96  # the block size of NIQE's model of natural images
SMALL_NIQE_BLOCK = 32  # a face of 128 px has one block of 96 only, and NIQE needs the covariance of several


class MetricUnavailable(RuntimeError):
    """A package or the weights of a metric are missing; the message names their source and place."""


def _to_tensor(image: np.ndarray) -> Tensor:
    """Return uint8 ``H,W,3`` as ``1,3,H,W`` in [-1, 1]."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1


class Lpips:
    """LPIPS (Zhang et al., CVPR 2018), version 0.1 with AlexNet; MetricUnavailable without package or weights."""
    description = "Zhang et al.'s, version 0.1, AlexNet, RGB, nothing cropped; lower is better"

    def __init__(self, device: Union[str, torch.device]) -> None:
        try:
            import lpips
        except ImportError as error:
            raise MetricUnavailable('LPIPS needs the package lpips: `pip install lpips`.') from error
        try:
            self.network = lpips.LPIPS(net='alex', verbose=False).to(device)
        except (OSError, RuntimeError) as error:
            folder = osp.join(torch.hub.get_dir(), 'checkpoints')
            raise MetricUnavailable(f"LPIPS needs torchvision's AlexNet weights, which could not be had ({error}). Put "
                                    f'the file alexnet-owt-7be5be79.pth into {folder}.') from error
        self.device = device

    def __call__(self, sr: np.ndarray, gt: np.ndarray) -> float:
        """Return the distance of two uint8 RGB images ``H,W,3``."""
        with torch.no_grad():
            return self.network(_to_tensor(sr).to(self.device), _to_tensor(gt).to(self.device)).item()


class Niqe:
    """NIQE (Mittal et al., 2013) of Y, which needs no original."""
    description = (
        f"BasicSR's, Y, nothing cropped, blocks of {NIQE_BLOCK} px, or of {SMALL_NIQE_BLOCK} px where an image "
        f'holds fewer than two of {NIQE_BLOCK}: then only comparable with figures made so; lower is better')

    def __init__(self) -> None:
        folder = osp.dirname(basicsr.metrics.__file__)
        with np.load(osp.join(folder, 'niqe_pris_params.npz'), allow_pickle=False) as natural:
            self.natural = [natural[key] for key in ('mu_pris_param', 'cov_pris_param', 'gaussian_window')]

    def __call__(self, sr: np.ndarray) -> float:
        """Return the NIQE of a uint8 RGB image ``H,W,3``; ValueError if it has fewer than two blocks."""
        height, width = sr.shape[:2]
        for block in (NIQE_BLOCK, SMALL_NIQE_BLOCK):
            if (height // block) * (width // block) >= 2:
                return niqe(luma(sr).round().astype(np.float32), *self.natural, block, block)
        raise ValueError(f'NIQE needs two blocks of {SMALL_NIQE_BLOCK} px; the image is {width}x{height}.')


class Fid:
    """FID (Heusel et al., 2017) of all results and all originals, with pytorch-fid's Inception."""
    description = "Inception of pytorch-fid, all results and all originals: too high for few images; lower is better"

    def __init__(self, device: Union[str, torch.device]) -> None:
        try:
            self.network = load_patched_inception_v3(device)
        except (OSError, RuntimeError) as error:
            raise MetricUnavailable(f"FID needs Inception's weights, which could not be had ({error}). Get "
                                    f'{FID_WEIGHTS_URL} and put it at {LOCAL_FID_WEIGHTS}.') from error
        self.device = device
        self.features: List[List[Tensor]] = [[], []]

    def add(self, sr: np.ndarray, gt: np.ndarray) -> None:
        """Add a pair of uint8 RGB images ``H,W,3``."""
        for features, image in zip(self.features, (sr, gt)):
            features.append(extract_inception_features([_to_tensor(image)], self.network, device=self.device))

    def result(self) -> float:
        """Return the FID of the added pairs; ValueError for fewer than two."""
        if len(self.features[0]) < 2:
            raise ValueError('FID needs at least two images.')
        sr, gt = (torch.cat(features).double().numpy() for features in self.features)
        return frechet_distance(sr, gt)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared Fréchet distance of the Gaussians fitted to two sets of features ``N,C``.

    BasicSR's own needs an argument of SciPy's sqrtm that SciPy 1.18 removes. The trace of the root is the sum of the
    roots of the eigenvalues, which are negative by rounding errors only.
    """
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    trace_of_root = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * trace_of_root)
