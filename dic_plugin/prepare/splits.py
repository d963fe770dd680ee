"""Splits of the photographs into training, validation and test."""
import hashlib
import os
import re
from typing import Dict, List, Optional, Set

from dic_plugin.prepare.formats.celeba_text import is_partition, read_partition
from dic_plugin.prepare.formats.dic_list import read_dic_list
from dic_plugin.prepare.formats.names import match_names
from dic_plugin.prepare.formats.text import read_lines
from dic_plugin.prepare.photo import Photo

__all__ = ['NUMBER', 'read_groups', 'read_split']

NUMBER = r'\d+|\d*\.\d+'  # a share or number of test photographs

_ACCEPTED = (
    "'train' or 'test' (all photographs), CelebA's list_eval_partition.txt, a text file with one test image per "
    'line, a published .pkl list of the test images, the fraction of test images (0.1) or their number (1000)')


def read_split(spec: str, photos: List[Photo], seed: int, group_by: Optional[str] = None) -> Dict[str, str]:
    """Return the split ('train', 'val' or 'test') of every photograph by ``Photo.name``.

    Args:
        spec: One of:

            - 'train' or 'test', for all photographs;
            - a file of lines ``name 0``, ``name 1``, ``name 2`` (train, val, test), as CelebA's
              ``list_eval_partition.txt``, or with commas; photographs not in it have no split;
            - a file with a name per line, or a published ``.pkl`` list: the test photographs;
            - a fraction below 1 or a whole number: the share or number of test photographs. The choice depends on names
              and seed only; one photograph more or less changes the split of at most one other.
        photos: The photographs.
        seed: Seed of the choice by fraction or number.
        group_by: See :func:`read_groups`; photographs of one group are then on one side of a fraction or number.

    Raises:
        ValueError: the specification is none of these or cannot be met, or names test photographs that do not exist.
    """
    if group_by and not re.fullmatch(NUMBER, spec):
        raise ValueError(f'--group-by is for a fraction or number of test photographs; the split is {spec!r}.')
    if spec in ('train', 'test'):
        return {photo.name: spec for photo in photos}
    if re.fullmatch(NUMBER, spec):
        return _split_by_number(spec, photos, seed, read_groups(group_by, photos) if group_by else {})
    if not os.path.isfile(spec):
        raise ValueError(f'The split {spec!r} is no file and none of the words; expected {_ACCEPTED}.')
    partition = False
    if spec.lower().endswith('.pkl'):
        listed = dict.fromkeys(read_dic_list(spec), 'test')
    else:
        lines = [line for _, line in read_lines(spec)]
        if not lines:
            raise ValueError(f'{spec}: an empty file; expected {_ACCEPTED}.')
        partition = is_partition(lines)
        listed = read_partition(spec) if partition else dict.fromkeys(lines, 'test')
    names = list(listed)
    matched = match_names(names, photos, spec)
    lost = sorted(set(range(len(names))).difference(matched.values()))
    if lost and not (partition and matched):
        raise ValueError(f'{spec}: {len(lost)} of its {len(names)} images, such as {names[lost[0]]!r}, are not among '
                         f'the {len(photos)} photographs.')
    split_of = {relative: listed[names[row]] for relative, row in matched.items()}
    return {
        photo.name: split_of.get(photo.relative, 'train')
        for photo in photos if not partition or photo.relative in split_of
    }


def read_groups(spec: str, photos: List[Photo]) -> Dict[str, str]:
    """Return the group of photographs, such as the person, by ``Photo.relative``; photographs may be in none.

    Args:
        spec: 'folder', for photographs in a folder for each person as in LFW; or a file of lines ``name person``, as
            CelebA's ``identity_CelebA.txt``.
        photos: The photographs.

    Raises:
        ValueError: there is no such file, a line has no person, or no photograph is in a group.
    """
    if spec == 'folder':
        groups = {photo.relative: os.path.dirname(photo.relative) for photo in photos if '/' in photo.relative}
    elif os.path.isfile(spec):
        lines = [line.rsplit(None, 1) for _, line in read_lines(spec)]
        alone = next((line for line in lines if len(line) < 2), None)
        if alone:
            raise ValueError(f'{spec}: {alone[0]!r} has no person; expected lines of an image name and a person.')
        matched = match_names([name for name, _ in lines], photos, spec)
        groups = {relative: lines[row][1] for relative, row in matched.items()}
    else:
        raise ValueError(f'--group-by {spec!r} is no file; expected one of lines `image person`, or folder.')
    if not groups:
        raise ValueError(f'--group-by {spec}: none of the {len(photos)} photographs is in a group.')
    return groups


def _split_by_number(spec: str, photos: List[Photo], seed: int, group_of: Dict[str, str]) -> Dict[str, str]:
    if not spec.isdigit() and float(spec) >= 1:
        raise ValueError(f'The split {spec!r} is neither a fraction below 1 nor a whole number.')
    num_test = int(spec) if spec.isdigit() else max(round(float(spec) * len(photos)), 1)
    if not 0 < num_test < len(photos):
        raise ValueError(
            f'The split {spec!r} puts {num_test} of {len(photos)} photographs into the test; expected at '
            "least 1, and at least 1 left for training. 'train' and 'test' put all of them into one split.")
    groups: Dict[str, List[str]] = {}
    for photo in photos:
        groups.setdefault(group_of.get(photo.relative, photo.name), []).append(photo.name)
    test: Set[str] = set()
    for group in sorted(groups, key=lambda group: hashlib.sha256(f'{seed}/{group}'.encode()).digest()):
        if len(test) < num_test:
            test.update(groups[group])
    if len(test) == len(photos):
        raise ValueError(f'The split {spec!r} leaves no photograph for training: the groups are too large.')
    return {photo.name: 'test' if photo.name in test else 'train' for photo in photos}
