"""Pairs results with originals. BasicSR adds suffixes to the names of the images that it saves."""
import os
from typing import Dict, List, NamedTuple, Sequence, Tuple

from dic_plugin.data.face_files import FaceFiles
from dic_plugin.data.image_file import IMAGE_EXTENSIONS

STRIPS = '_steps'  # DICModel saves strips of all steps in <dataset>_steps


class Pairing(NamedTuple):
    """Pairs (index of the result, index of the original), and the names of results and originals without partner."""
    pairs: List[Tuple[int, int]]
    sr_alone: List[str]
    gt_alone: List[str]


def pair_names(sr_names: Sequence[str], gt_names: Sequence[str]) -> Pairing:
    """Pair results with originals by file names without extension, in the order of the originals.

    A result belongs to the original with the longest name that is its own name or the beginning of it, up to an
    underscore: ``face_01_x8_DIC`` to ``face_01`` rather than to ``face``. ValueError if two belong to one original.

    >>> pair_names(['b_1_DIC', 'c'], ['a', 'b', 'b_1'])
    Pairing(pairs=[(0, 2)], sr_alone=['c'], gt_alone=['a', 'b'])
    """
    gt_index = {name: index for index, name in enumerate(gt_names)}
    sr_of: Dict[str, int] = {}
    sr_alone = []
    for index, sr_name in enumerate(sr_names):
        name = sr_name
        while name and name not in gt_index:
            name = name.rpartition('_')[0]
        if not name:
            sr_alone.append(sr_name)
        elif name in sr_of:
            raise ValueError(
                f'the results {sr_names[sr_of[name]]!r} and {sr_name!r} both belong to the original {name!r}; expected '
                'one result per original. Put the results of one model at one iteration into a folder of their own, '
                'and give the originals of all of them.')
        else:
            sr_of[name] = index
    pairs = sorted(((sr, gt_index[name]) for name, sr in sr_of.items()), key=lambda pair: pair[1])
    return Pairing(pairs, sr_alone, [name for name in gt_names if name not in sr_of])


def open_images(root: str) -> FaceFiles:
    """Open the images of a folder, or of an LMDB (a folder called *.lmdb, or with a data.mdb).

    Raises:
        FileNotFoundError, ValueError: There are none. If the folder has subfolders instead, they are named.
    """
    root = os.path.expanduser(root)
    if root.rstrip('/').endswith('.lmdb') or os.path.isfile(os.path.join(root, 'data.mdb')):
        return FaceFiles(root, {'type': 'lmdb'})
    if not os.path.isdir(root):
        raise FileNotFoundError(f'The folder {root!r} does not exist; expected images in it, or an LMDB of them.')
    entries = sorted(name for name in os.listdir(root) if not name.startswith('.'))
    if not any(name.lower().endswith(IMAGE_EXTENSIONS) for name in entries):
        folders = [name for name in entries if os.path.isdir(os.path.join(root, name))]
        hint = f' It has the subfolders {", ".join(folders[:5])}: name one of them.' if folders else ''
        raise ValueError(f'The folder {root!r} holds no image ({", ".join(IMAGE_EXTENSIONS)}).{hint}')
    return FaceFiles(root, {'type': 'disk'})


def open_results(root: str) -> FaceFiles:
    """Open images that a model saved, as open_images; ValueError for the strips that DICModel saves beside them."""
    path = os.path.abspath(os.path.expanduser(root))
    if path.endswith(STRIPS) and os.path.isdir(path[:-len(STRIPS)]):
        raise ValueError(f'The folder {root!r} holds pictures of all steps; the results are in '
                         f'{path[:-len(STRIPS)]!r}.')
    return open_images(root)
