"""The photographs in a folder, and the names of their crops."""
import hashlib
import os
import re
from collections import Counter
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple

from dic_plugin.data.image_file import IMAGE_EXTENSIONS, SYSTEM_FOLDERS, images_among
from dic_plugin.prepare.photo import Photo

__all__ = ['Photographs', 'list_photographs']

# LMDB allows keys of 511 bytes, most file systems names of 255, which include a suffix.
MAX_NAME_LENGTH = 200


class Photographs(NamedTuple):
    """What a folder and its subfolders hold.

    Attributes:
        photos: The photographs.
        unusable: (relative path, reason) of those that cannot be used.
        others: Number of other files by ending, see images_among, and of SYSTEM_FOLDERS, which were passed over.
    """
    photos: List[Photo]
    unusable: List[Tuple[str, str]]
    others: Dict[str, int]


def list_photographs(folder: str, output: Optional[str] = None) -> Photographs:
    """Return the photographs in a folder and its subfolders.

    Photographs are files with one of IMAGE_EXTENSIONS in either case, sorted by the bytes of their relative paths.
    Hidden files and folders are ignored, links are followed.

    Args:
        folder: The folder.
        output: Folder of the prepared set; it and the unfinished set beside it may be inside and are ignored.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no photograph.
    """
    if not os.path.isdir(folder):
        missing = 'is no folder' if os.path.exists(folder) else 'does not exist'
        raise FileNotFoundError(f'The folder of photographs {folder!r} {missing}.')
    own = () if output is None else (output, f'{os.path.normpath(output)}.unfinished')
    others: Counter = Counter()
    is_file = dict(_walk(folder, '', frozenset(map(os.path.realpath, own)), others))
    if not is_file:
        raise ValueError(
            f'The folder {folder!r} holds no photograph; expected files that end in {", ".join(IMAGE_EXTENSIONS)}, '
            'in it or in its subfolders.')
    photos: List[Photo] = []
    unusable: List[Tuple[str, str]] = []
    first_with: Dict[str, str] = {}
    for relative in sorted(is_file, key=os.fsencode):
        readable = os.fsencode(relative).decode('utf-8', 'backslashreplace')
        name = _crop_name(readable)
        if readable != relative:
            unusable.append((readable, 'its file name is not UTF-8'))
        elif not is_file[relative]:
            unusable.append((relative, 'cannot be read (not a file, or a link to none)'))
        elif first_with.setdefault(name, relative) != relative:
            unusable.append((relative, f'same name as another ({first_with[name]})'))
        else:
            photos.append(Photo(name, os.path.join(folder, *relative.split('/')), relative))
    return Photographs(photos, unusable, dict(others))


def _walk(folder: str, prefix: str, excluded: FrozenSet[str], others: Counter) -> Iterator[Tuple[str, bool]]:
    """Yield the relative paths with an image's suffix, and whether they are files; count what else there is.

    ``excluded`` are folders that are not entered: the output, and those above, because a link may form a circle.
    """
    # BasicSR's scandir takes a hidden or broken file for a folder, and os.walk ignores folders that it may not read.
    real = os.path.realpath(folder)
    if real in excluded:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower() in SYSTEM_FOLDERS:
                others[f'folder {entry.name}'] += 1
            elif entry.name.startswith('.'):
                continue
            elif entry.is_dir():
                yield from _walk(entry.path, f'{prefix}{entry.name}/', excluded | {real}, others)
            elif entry.name.lower().endswith(IMAGE_EXTENSIONS):
                yield prefix + entry.name, entry.is_file()
            else:
                others.update(images_among([entry.name])[1])


def _crop_name(relative: str) -> str:
    """Return a name that BasicSR can use as a key: ASCII without ``.`` and space, at which it splits meta_info.

    >>> _crop_name('000001.jpg')
    '000001'
    >>> _crop_name('Zoë/2 of 3.jpg')
    'Zo__2_of_3-21db58cb'
    """
    stem = os.path.splitext(relative)[0]
    name = re.sub('[^A-Za-z0-9_-]', '_', stem)
    if name == stem and len(name) <= MAX_NAME_LENGTH:
        return name
    # 'a/b' and 'a_b' must differ
    digest = hashlib.sha256(stem.encode('utf-8')).hexdigest()[:8]
    return f'{name[:MAX_NAME_LENGTH - 9]}-{digest}'
