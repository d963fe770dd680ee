"""Normalised landmark errors, and the protocols by which they have been published."""
from typing import Callable, Dict, Mapping, NamedTuple

import numpy as np

# Indices of each eye's points (image left first). Eyes only, without the brows of the component groups.
_EYES = {
    68: (list(range(36, 42)), list(range(42, 48))),
    194: (list(range(134, 154)), list(range(114, 134))),
    5: ([0], [1]),
}


def _inter_ocular(gt: np.ndarray) -> np.ndarray:
    left, right = _known(_EYES, gt, 'inter_ocular')
    return np.linalg.norm(gt[..., right, :].mean(-2) - gt[..., left, :].mean(-2), axis=-1)


def _outer_eye(gt: np.ndarray) -> np.ndarray:
    left, right = _known({68: (36, 45)}, gt, 'outer_eye')
    return np.linalg.norm(gt[..., right, :] - gt[..., left, :], axis=-1)


def _face_width(gt: np.ndarray) -> np.ndarray:
    return np.ptp(gt[..., 0], axis=-1)


def _published_outer_eye(gt: np.ndarray) -> np.ndarray:
    # 37 and 46 are not the outer corners (36 and 45 are), and only x counts: kept for comparison with published numbers
    left, right = _known({68: (37, 46)}, gt, 'published_outer_eye')
    return gt[..., right, 0] - gt[..., left, 0]


def _published_inter_ocular(gt: np.ndarray) -> np.ndarray:
    left, right = _known({68: ([37, 40], [43, 46])}, gt, 'published_inter_ocular')
    return gt[..., right, 0].mean(-1) - gt[..., left, 0].mean(-1)


def _known(table: dict, gt: np.ndarray, norm: str) -> tuple:
    if gt.shape[-2] not in table:
        raise ValueError(f'norm {norm!r} is defined for {sorted(table)} landmarks, not for {gt.shape[-2]}; '
                         "use 'face_width'.")
    return table[gt.shape[-2]]


NORMS: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'inter_ocular': _inter_ocular,
    'outer_eye': _outer_eye,
    'face_width': _face_width,
    'published_inter_ocular': _published_inter_ocular,
    'published_outer_eye': _published_outer_eye,
}


def nrmse(landmarks: np.ndarray, gt_landmarks: np.ndarray, norm: str = 'inter_ocular') -> np.ndarray:
    """Return the root mean square distance between landmarks of each face, divided by a length of the face.

    Args:
        landmarks: found, ``...,K,2``, (x, y) in pixels.
        gt_landmarks: true, of the same shape.
        norm: the length, of the true landmarks: ``inter_ocular`` (between the centres of the eyes; 68, 194 and 5
            points), ``outer_eye`` (between the outer corners, 36 and 45 of 68), ``face_width`` (from the leftmost
            to the rightmost point; the paper's first normaliser), or, as in the published evaluation,
            ``published_inter_ocular`` and ``published_outer_eye``.

    Returns:
        ``...``, one figure per face (0.1 is the usual limit of failure).

    Raises:
        ValueError: shapes differ, the norm is unknown or undefined for K, or a face's length is not positive.
    """
    landmarks, gt_landmarks = np.asarray(landmarks, np.float64), np.asarray(gt_landmarks, np.float64)
    if landmarks.shape != gt_landmarks.shape or landmarks.shape[-1:] != (2, ):
        raise ValueError(
            f'landmarks are {landmarks.shape}, gt_landmarks {gt_landmarks.shape}; expected one shape ...,K,2.')
    if norm not in NORMS:
        raise ValueError(f'norm {norm!r} is unknown; there are {", ".join(NORMS)}.')
    length = NORMS[norm](gt_landmarks)
    if not np.all(length > 0):
        face = tuple(int(i) for i in np.argwhere(~(length > 0))[0])
        raise ValueError(
            f'The {norm} length of face {face} is {length[face]:g}; expected a positive one. Are its landmarks '
            'in the right order?')
    distance = np.square(landmarks - gt_landmarks).sum(-1)
    return np.sqrt(distance.mean(-1)) / length


class ErrorProtocol(NamedTuple):
    """A way to measure a landmark error.

    Attributes:
        description: In words.
        norm: Name in NORMS.
        subpixel: How heatmaps are decoded, see dic_plugin.landmarks.heatmaps.decode_heatmaps.
    """
    description: str
    norm: str
    subpixel: bool


_PUBLISHED = "the DIC paper's code: peak cell, moved by 1 px of the image; divided by "
ERROR_PROTOCOLS: Dict[str, ErrorProtocol] = {
    'published-width':
    ErrorProtocol(_PUBLISHED + 'the width of the face', 'face_width', False),
    'published-outer-eye':
    ErrorProtocol(_PUBLISHED + 'x of point 46 less x of point 37 (not the outer corners)', 'published_outer_eye',
                  False),
    'published-inter-ocular':
    ErrorProtocol(_PUBLISHED + 'mean x of points 43, 46 less that of 37, 40', 'published_inter_ocular', False),
    'outer-eye':
    ErrorProtocol('subpixel peak; divided by the distance of the outer eye corners, 36 and 45', 'outer_eye', True),
    'inter-ocular':
    ErrorProtocol('subpixel peak; divided by the distance of the centres of the eyes', 'inter_ocular', True),
}


def landmark_errors(found: Mapping[bool, np.ndarray], gt_landmarks: np.ndarray) -> Dict[str, float]:
    """Return the NRMSE of one face under every protocol that is defined for its number of landmarks.

    Args:
        found: The landmarks found, ``K,2``, by the value of ``subpixel`` with which they were decoded.
        gt_landmarks: True, ``K,2``.

    Returns:
        By name of the protocol; NaN where the norm is zero or negative, as the published ones can be of a turned face.
    """
    gt_landmarks = np.asarray(gt_landmarks, np.float64)
    errors: Dict[str, float] = {}
    for name, protocol in ERROR_PROTOCOLS.items():
        try:
            length = NORMS[protocol.norm](gt_landmarks)
        except ValueError:  # not defined for this number of landmarks
            continue
        landmarks = found[protocol.subpixel]
        errors[name] = float(nrmse(landmarks, gt_landmarks, protocol.norm)) if length > 0 else np.nan
    return errors
