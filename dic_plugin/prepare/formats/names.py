"""Matching of annotated names to photographs.

Annotations call a photograph by its path, by its file name, or by its file name without ending, and now and then with
folders or an ending that it does not have here. The closest of these readings counts.
"""
import os
from collections import defaultdict
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from dic_plugin.data.image_file import IMAGE_EXTENSIONS
from dic_plugin.prepare.photo import Photo

__all__ = ['match_names']

Closeness = Tuple[int, int]  # which kind of reading, how many folders left out; less is closer


def match_names(names: Sequence[str], photos: Sequence[Photo], described: str) -> Dict[str, int]:
    """Find the annotation of each photograph.

    A name means, in this order: the photograph with this relative path; the one whose relative path is its end
    (``/data/images/1.jpg`` and ``images/1.jpg`` both mean ``1.jpg``); if it has no folder, the one whose file name it
    is; and each of these again without the photographs' endings (``1`` and ``1.jpg`` both mean ``1.png``).

    Args:
        names: The names that annotations give, each of them once.
        photos: The photographs.
        described: What messages call the annotations.

    Returns:
        The index in ``names`` for each photograph that has one, by its ``relative``.

    Raises:
        ValueError: a name means two photographs, or two names mean one equally well.
    """
    ways = (lambda path: path, _last, _stem, lambda path: _stem(_last(path)))
    lookups = [_photos_by(way, photos) for way in ways]
    matched: Dict[str, Tuple[Closeness, int]] = {}
    for index, name in enumerate(names):
        found = _closest(name, lookups)
        if found is None:
            continue
        closeness, relatives = found
        if len(relatives) > 1:
            raise ValueError(f'{described}: {name!r} may be the photograph {relatives[0]!r} or {relatives[1]!r}; '
                             'expected names that tell them apart, or a folder that holds only one of them.')
        other_closeness, other = matched.get(relatives[0], (closeness, None))
        if other is not None and other_closeness == closeness:
            raise ValueError(f'{described}: {names[other]!r} and {name!r} both mean the photograph {relatives[0]!r}; '
                             'expected one.')
        if other is None or closeness < other_closeness:
            matched[relatives[0]] = (closeness, index)
    return {relative: index for relative, (_, index) in matched.items()}


def _photos_by(way: Callable[[str], str], photos: Sequence[Photo]) -> Dict[str, List[str]]:
    lookup = defaultdict(list)
    for photo in photos:
        lookup[way(photo.relative)].append(photo.relative)
    return lookup


def _closest(name: str, lookups: Sequence[Dict[str, List[str]]]) -> Optional[Tuple[Closeness, List[str]]]:
    for attempt, (lookup, key) in enumerate(_readings(name.replace('\\', '/'))):
        for shortening, shortened in enumerate(_ends(key)):
            if shortened in lookups[lookup]:
                return (attempt, shortening), lookups[lookup][shortened]
    return None


def _readings(path: str) -> Iterator[Tuple[int, str]]:
    """Yield which lookup is to be asked for which text; an empty text asks for nothing."""
    file_name_only = '' if '/' in path else path
    yield 0, path
    yield 1, file_name_only
    stem, ending = os.path.splitext(path)
    for form in (path, stem) if ending.lower() in IMAGE_EXTENSIONS else (path, ):
        yield 2, form
        yield 3, form if file_name_only else ''


def _last(path: str) -> str:
    return path.rsplit('/', 1)[-1]


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def _ends(path: str) -> Iterator[str]:
    """Yield 'a/b/c', 'b/c', 'c'."""
    while path:
        yield path
        path = path.partition('/')[2]
