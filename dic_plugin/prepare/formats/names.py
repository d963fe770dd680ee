"""Which photograph an annotation means.

Annotations call a photograph by its path, by its file name, or by its file name without ending, and now and then with
folders or an ending that it does not have here. The closest of these readings counts.
"""
import os
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from dic_plugin.data.face_files import IMAGE_EXTENSIONS
from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.photo import Photo

__all__ = ['AnnotatedNames', 'match_names']

Closeness = Tuple[int, int]  # which kind of reading, how many folders left out; less is closer


def match_names(names: Sequence[str], photos: Sequence[Photo], described: str) -> Dict[str, int]:
    """Which annotation belongs to which photograph.

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
    readings = _Readings(photos, described)
    matched: Dict[str, Tuple[Closeness, int]] = {}
    for index, name in enumerate(names):
        found = readings.photo(name)
        if found is None:
            continue
        closeness, photo = found
        relative = photos[photo].relative
        other_closeness, other = matched.get(relative, (None, None))
        if other_closeness == closeness:
            raise ValueError(f'{described}: {names[other]!r} and {name!r} both mean the photograph {relative!r}; '
                             'expected one.')
        if other is None or closeness < other_closeness:
            matched[relative] = (closeness, index)
    return {relative: index for relative, (_, index) in matched.items()}


class _Readings:
    """Looks a name up among photographs, the closest reading first."""

    def __init__(self, photos: Sequence[Photo], described: str) -> None:
        self._photos = photos
        self._described = described
        self._by_path = _Lookup(photo.relative for photo in photos)
        self._by_file_name = _Lookup(_last(photo.relative) for photo in photos)
        self._by_path_without_ending = _Lookup(os.path.splitext(photo.relative)[0] for photo in photos)
        self._by_stem = _Lookup(os.path.splitext(_last(photo.relative))[0] for photo in photos)

    def photo(self, name: str) -> Optional[Tuple[Closeness, int]]:
        """How far-fetched the closest reading is, and the index of its photograph."""
        for attempt, (lookup, keys) in enumerate(self._attempts(name.replace('\\', '/'))):
            for shortening, key in enumerate(keys):
                if key in lookup.first:
                    self._check_unambiguous(name, lookup, key)
                    return (attempt, shortening), lookup.first[key]
        return None

    def _attempts(self, path: str) -> Iterator[Tuple['_Lookup', Iterable[str]]]:
        has_folder = '/' in path
        yield self._by_path, _ends(path)
        yield self._by_file_name, () if has_folder else (path, )
        stem, ending = os.path.splitext(path)
        for form in (path, stem) if ending.lower() in IMAGE_EXTENSIONS else (path, ):
            yield self._by_path_without_ending, _ends(form)
            yield self._by_stem, () if has_folder else (form, )

    def _check_unambiguous(self, name: str, lookup: '_Lookup', key: str) -> None:
        if key in lookup.second:
            one, two = (self._photos[index].relative for index in (lookup.first[key], lookup.second[key]))
            raise ValueError(
                f'{self._described}: {name!r} may be the photograph {one!r} or {two!r}; expected names that '
                'tell them apart, or a folder that holds only one of them.')


class _Lookup:
    """Index of the first and, if there is one, of the second photograph that a text describes."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.first: Dict[str, int] = {}
        self.second: Dict[str, int] = {}
        for index, key in enumerate(keys):
            if self.first.setdefault(key, index) != index:
                self.second.setdefault(key, index)


def _last(path: str) -> str:
    return path.rsplit('/', 1)[-1]


def _ends(path: str) -> Iterator[str]:
    """'a/b/c', 'b/c', 'c'."""
    while path:
        yield path
        path = path.partition('/')[2]


class AnnotatedNames:
    """The names in an annotation source, matched to photographs.

    Args:
        names: The names, each of them once.
        photos: The photographs.
        paths: The source's files, or its folder.

    Attributes:
        described: What messages call the source.

    Raises:
        ValueError: as :func:`match_names`; or there is no name, or none that means one of the photographs.
    """

    def __init__(self, names: Sequence[str], photos: Sequence[Photo], paths: Sequence[str]) -> None:
        self.described = ', '.join(paths)
        self._file_names = ', '.join(os.path.basename(os.path.normpath(path)) for path in paths)
        self._names = names
        self._index_of = match_names(names, photos, self.described)
        if not names:
            raise ValueError(f'{self.described}: holds no face.')
        if photos and not self._index_of:
            raise ValueError(
                f'{self.described}: none of the {len(names)} names in it, such as {names[0]!r}, is that of one '
                f'of the {len(photos)} photographs, such as {photos[0].relative!r}.')

    def index(self, photo: Photo) -> int:
        """Where a photograph's name stands.

        Raises:
            Skipped: nowhere.
        """
        if photo.relative not in self._index_of:
            raise Skipped(f'not in {self._file_names}')
        return self._index_of[photo.relative]

    def missing(self, photos: Sequence[Photo]) -> List[str]:
        """The names that mean none of the photographs, sorted."""
        matched = set(match_names(self._names, photos, self.described).values())
        return sorted(name for index, name in enumerate(self._names) if index not in matched)
