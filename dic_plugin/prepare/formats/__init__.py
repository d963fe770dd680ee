"""Landmarks from the files that datasets and tools come with: one format a file."""
import os
from typing import Dict, List, Sequence

from dic_plugin.prepare.formats.annotations import Annotations
from dic_plugin.prepare.formats.celeba_text import open_five_points
from dic_plugin.prepare.formats.dic_list import open_dic_lists
from dic_plugin.prepare.formats.helen_text import open_helen
from dic_plugin.prepare.formats.ibug_pts import open_pts
from dic_plugin.prepare.formats.openface_csv import open_openface_files, open_openface_table
from dic_plugin.prepare.formats.text import read_lines
from dic_plugin.prepare.photo import Photo

__all__ = ['open_annotations']

_ACCEPTED = ('the published DIC lists (one or several .pkl), an OpenFace .csv or a folder of them, an iBUG .pts or a '
             "folder of them, Helen's folder of .txt with 194 points each, or CelebA's list_landmarks_celeba.txt")


def open_annotations(paths: Sequence[str], photos: List[Photo]) -> Annotations:
    """Open landmarks in any of the accepted formats, which the files' endings and contents tell.

    In a folder with files of several kinds, .csv or .pts count, not .txt: OpenFace and iBUG's sets have text files
    beside theirs. Folders of .csv and .pts are searched with their subfolders.

    Args:
        paths: One file or folder; of the published DIC lists, any number of files.
        photos: The photographs that they annotate.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: no format is recognised, a file is not as its format demands, or its names fit no photograph.
    """
    for path in paths:
        if not os.path.exists(path):
            raise FileNotFoundError(f'The landmarks {path!r} do not exist; expected {_ACCEPTED}.')
    if paths and all(path.lower().endswith('.pkl') for path in paths):
        return open_dic_lists(paths, photos)
    if len(paths) != 1:
        raise ValueError(f'Landmarks from {len(paths)} paths ({", ".join(paths)}); only .pkl lists may be several. '
                         f'Expected {_ACCEPTED}.')
    return _open_folder(paths[0], photos) if os.path.isdir(paths[0]) else _open_file(paths[0], photos)


def _open_file(path: str, photos: List[Photo]) -> Annotations:
    stem, ending = os.path.splitext(os.path.basename(path))
    if ending.lower() == '.csv':
        is_celeba = 'lefteye_x' in ''.join(line for _, line in read_lines(path, most=2))
        return open_five_points(path, photos) if is_celeba else open_openface_table(path, photos)
    if ending.lower() == '.pts':
        return open_pts(path, {stem: path}, photos)
    if ending.lower() == '.txt':
        lines = read_lines(path)
        if len(lines) > 1 and lines[1][1].startswith('lefteye_x'):
            return open_five_points(path, photos)
        if len(lines) > 1 and ',' in lines[1][1] and ',' not in lines[0][1]:
            return open_helen(path, [path], photos)
    raise ValueError(f'{path}: no landmarks in a known format; expected {_ACCEPTED}.')


def _open_folder(path: str, photos: List[Photo]) -> Annotations:
    csv, pts = _files_below(path, '.csv'), _files_below(path, '.pts')
    if csv and pts:
        raise ValueError(f'{path}: holds both .csv and .pts files; expected a folder with one kind of landmarks.')
    if csv:
        return open_openface_files(path, csv, photos)
    if pts:
        return open_pts(path, pts, photos)
    texts = sorted(entry.path for entry in os.scandir(path) if entry.name.lower().endswith('.txt'))
    if texts:
        return open_helen(path, texts, photos)
    raise ValueError(f'{path}: a folder without landmarks; expected {_ACCEPTED}.')


def _files_below(folder: str, ending: str) -> Dict[str, str]:
    """Return files with an ending below a folder, by their relative path, with '/' and without the ending."""
    files = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(ending) and not name.startswith('.'):
                file = os.path.join(parent, name)
                files[os.path.splitext(os.path.relpath(file, folder))[0].replace(os.sep, '/')] = file
    return files
