"""Landmark layouts: the points of each facial component.

Indices count from 0. The groups are those of the paper's published code (its 194-point groups leave out the last point
of each eye and brow; kept, because published weights were trained so).
"""
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

COMPONENTS = ('left_eye', 'right_eye', 'nose', 'mouth', 'silhouette')

# ranges include both ends
_COMPONENT_RANGES: Dict[int, Tuple[Sequence[Tuple[int, int]], ...]] = {
    68: ([(36, 41)], [(42, 47)], [(27, 35)], [(48, 67)], [(0, 26)]),
    194: ([(134, 152), (174, 192)], [(114, 132), (154, 172)], [(41, 56)], [(58, 112)], [(0, 39)]),
    5: ([(0, 0)], [(1, 1)], [(2, 2)], [(3, 3)], [(4, 4)]),
}

# The names that annotation files give to the orders known here, with their number of landmarks. CelebA's five are left
# eye, right eye, nose, left and right corner of the mouth; left and right as seen in the image.
ORDERS = {'ibug68': 68, 'helen194': 194, 'celeba5': 5}

# Runs of landmarks that a mirror exchanges, ends included: the first points of the one run are the last of the other.
# A run paired with itself is reversed; points not mentioned lie on the midline.
_MIRRORED_RUNS: Dict[int, Tuple[Tuple[Tuple[int, int], Tuple[int, int]], ...]] = {
    68: (
        ((0, 16), (0, 16)),  # jaw
        ((17, 21), (22, 26)),  # brows
        ((31, 35), (31, 35)),  # nostrils
        ((36, 39), (42, 45)),  # eyes: corners and upper lids
        ((40, 41), (46, 47)),  # lower lids
        ((48, 54), (48, 54)),  # outer contour of the upper lip, with the corners of the mouth
        ((55, 59), (55, 59)),  # of the lower lip
        ((60, 64), (60, 64)),  # inner contours, likewise
        ((65, 67), (65, 67)),
    ),
    5: (((0, 1), (0, 1)), ((3, 4), (3, 4))),
}

Grouping = Sequence[Sequence[Union[int, str]]]


def component_groups(num_keypoints: int, groups: Optional[Grouping] = None) -> List[List[int]]:
    """Return the landmark indices of each facial component.

    Args:
        num_keypoints: number of landmarks, K.
        groups: one sequence per component, of indices or of ranges such as ``'36-41'`` (both ends included). Default:
            the published five components of 68 (iBUG), 194 (Helen) or 5 points.

    Raises:
        ValueError: no published grouping exists for K and none is given, or a group is empty, malformed or out of
            range.

    >>> component_groups(5)
    [[0], [1], [2], [3], [4]]
    >>> component_groups(4, [['0-1'], [2, 3]])
    [[0, 1], [2, 3]]
    """
    if groups is None:
        if num_keypoints not in _COMPONENT_RANGES:
            raise ValueError(
                f'num_keypoints={num_keypoints} has no published grouping into facial components (there is '
                f'one for {sorted(_COMPONENT_RANGES)}); give component_groups, for example '
                "[['0-5'], ['6-11'], ...].")
        groups = [[f'{first}-{last}' for first, last in ranges] for ranges in _COMPONENT_RANGES[num_keypoints]]
    if len(groups) == 0:
        raise ValueError('component_groups is empty; expected one list of landmark indices per component.')
    return [_expand(number, group, num_keypoints) for number, group in enumerate(groups)]


def _expand(number: int, group: Sequence[Union[int, str]], num_keypoints: int) -> List[int]:
    indices: List[int] = []
    for item in group:
        try:
            first, last = (int(end) for end in item.split('-')) if isinstance(item, str) else (int(item), int(item))
        except (TypeError, ValueError):
            raise ValueError(
                f"component_groups[{number}] holds {item!r}; expected an index or a range as '36-41'.") from None
        indices.extend(range(first, last + 1))
    if not indices or min(indices) < 0 or max(indices) >= num_keypoints:
        raise ValueError(f'component_groups[{number}] gives the landmarks {indices}; expected at least one, each in '
                         f'0..{num_keypoints - 1}.')
    return indices


def flip_permutation(num_keypoints: int) -> np.ndarray:
    """Return the permutation of landmarks for an image that is mirrored left to right.

    With ``p`` the result, the landmarks of the mirrored image are ``mirrored[p]``, ``mirrored`` being the coordinates
    with x replaced by width - 1 - x. Applying ``p`` twice changes nothing. (The published code permutes points inside
    each eye without exchanging the eyes.)

    Args:
        num_keypoints: 68 (iBUG) or 5 (CelebA). Helen's 194 points are refused: the orders in circulation for mirroring
            them contradict each other about the lips, and a wrong one would spoil training unseen.

    Returns:
        Integer array of shape (num_keypoints,).

    Raises:
        ValueError: no permutation is known for this number of landmarks.

    >>> flip_permutation(5).tolist()
    [1, 0, 2, 4, 3]
    """
    if num_keypoints == 194:
        raise ValueError(
            "Helen's 194 landmarks cannot be flipped: which point of the lips mirrors which is not settled "
            '(the orders in circulation contradict each other). Set `use_hflip: false`, or train with 68 '
            'landmarks, as the published Helen recipe does.')
    if num_keypoints not in _MIRRORED_RUNS:
        raise ValueError(
            f'{num_keypoints} landmarks cannot be flipped: the points that a mirror exchanges are known for '
            f'{sorted(_MIRRORED_RUNS)} landmarks only. Set `use_hflip: false`.')
    permutation = np.arange(num_keypoints)
    for (first, last), (other_first, other_last) in _MIRRORED_RUNS[num_keypoints]:
        run, other = np.arange(first, last + 1), np.arange(other_first, other_last + 1)
        permutation[run], permutation[other] = other[::-1], run[::-1]
    return permutation
