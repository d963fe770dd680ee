"""What each landmark set means: which points form which facial component.

Indices count from 0. The groups are those of the paper's published code (its 194-point groups leave out the last point
of each eye and brow; kept, because published weights were trained so).
"""
from typing import Dict, List, Optional, Sequence, Tuple, Union

COMPONENTS = ('left_eye', 'right_eye', 'nose', 'mouth', 'silhouette')

# ranges include both ends
_COMPONENT_RANGES: Dict[int, Tuple[Sequence[Tuple[int, int]], ...]] = {
    68: ([(36, 41)], [(42, 47)], [(27, 35)], [(48, 67)], [(0, 26)]),
    194: ([(134, 152), (174, 192)], [(114, 132), (154, 172)], [(41, 56)], [(58, 112)], [(0, 39)]),
    5: ([(0, 0)], [(1, 1)], [(2, 2)], [(3, 3)], [(4, 4)]),
}

Grouping = Sequence[Sequence[Union[int, str]]]


def component_groups(num_keypoints: int, groups: Optional[Grouping] = None) -> List[List[int]]:
    """Landmark indices of every facial component.

    Args:
        num_keypoints: number of landmarks, K.
        groups: one sequence per component, of indices or of ranges such as ``'36-41'`` (both ends included). Default:
            the published five components of 68 (iBUG), 194 (Helen) or 5 points.

    Raises:
        ValueError: no published grouping exists for K and none is given, or a group is empty, malformed or out of range.

    >>> component_groups(5)
    [[0], [1], [2], [3], [4]]
    >>> component_groups(4, [['0-1'], [2, 3]])
    [[0, 1], [2, 3]]
    """
    if groups is None:
        if num_keypoints not in _COMPONENT_RANGES:
            raise ValueError(f'num_keypoints={num_keypoints} has no published grouping into facial components (there is '
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
            raise ValueError(f"component_groups[{number}] holds {item!r}; expected an index or a range as '36-41'.") from None
        indices.extend(range(first, last + 1))
    if not indices or min(indices) < 0 or max(indices) >= num_keypoints:
        raise ValueError(f'component_groups[{number}] gives the landmarks {indices}; expected at least one, each in '
                         f'0..{num_keypoints - 1}.')
    return indices
