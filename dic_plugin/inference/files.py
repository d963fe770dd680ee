"""Files to restore, names of their results, and atomic writing of results."""
import glob
import os
from collections import Counter
from typing import Dict, List, Sequence, Tuple

import cv2
import numpy as np

from dic_plugin.data.image_file import IMAGE_EXTENSIONS, SYSTEM_FOLDERS, images_among
from dic_plugin.utils.atomic_write import atomic_write

EXTENSIONS = ('png', 'jpg', 'webp', 'auto')
_QUALITY = {'.jpg': [cv2.IMWRITE_JPEG_QUALITY, 95], '.webp': [cv2.IMWRITE_WEBP_QUALITY, 95]}
_SAME = {'.jpeg': '.jpg', '.png': '.png', '.jpg': '.jpg', '.webp': '.webp'}  # kept by 'auto'


def list_files(inputs: Sequence[str], recursive: bool = False) -> Tuple[List[str], List[Tuple[str, str]], Counter]:
    """Return the files that these names mean, each once.

    Args:
        inputs: Files, folders and globs (``**`` reaches into subfolders).
        recursive: Also take the images in subfolders of folders, but not in SYSTEM_FOLDERS.

    Returns:
        The files, sorted within each folder or glob; the names that mean no file, each with its reason; and how many
        files of the folders are no images, by ending.
    """
    others: Counter = Counter()
    files: Dict[str, str] = {}
    nothing: List[Tuple[str, str]] = []
    for name in inputs:
        path = os.path.expanduser(name)
        if os.path.isdir(path):
            found = []
            for parent, below, names in os.walk(path):
                images, others_here = images_among(names)
                found += [os.path.join(parent, image) for image in images]
                others.update(others_here)
                others.update(f'folder {name}' for name in below if recursive and name.lower() in SYSTEM_FOLDERS)
                below[:] = sorted(name for name in below
                                  if recursive and name.lower() not in SYSTEM_FOLDERS and not name.startswith('.'))
            reason = f'holds no image; expected files that end in {", ".join(IMAGE_EXTENSIONS)}'
        elif os.path.isfile(path) or not glob.has_magic(path):  # a file's name may look like a glob
            found, reason = [path] if os.path.exists(path) else [], 'does not exist'
        else:
            found, reason = sorted(filter(os.path.isfile, glob.glob(path, recursive=True))), 'matches no file'
        for file in found:
            files.setdefault(os.path.realpath(file), file)
        if not found:
            nothing.append((name, reason))
    return list(files.values()), nothing, others


def result_names(files: Sequence[str]) -> List[str]:
    """Return different names for the results of each file, without number, suffix and extension.

    >>> result_names(['a/face.png', 'b/face.png', 'b/face.jpg', 'hat.png'])
    ['face', 'face_2', 'face_3', 'hat']
    """
    stems = [os.path.splitext(os.path.basename(file))[0] for file in files]
    taken = {stem.lower() for stem in stems}  # some file systems ignore case
    names: Dict[str, str] = {}
    for stem in stems:
        name, number = stem, 1
        while name.lower() in names or (number > 1 and name.lower() in taken):
            number += 1
            name = f'{stem}_{number}'
        names[name.lower()] = name
    return list(names.values())


def extension(ext: str, path: str) -> str:
    """Return the extension of results, such as '.png'; for 'auto' that of the source if it can be written."""
    return _SAME.get(os.path.splitext(path)[1].lower(), '.png') if ext == 'auto' else f'.{ext}'


def write_image(path: str, image: np.ndarray) -> None:
    """Write uint8 RGB ``H,W,3`` in the format of the extension.

    Raises:
        ValueError: The format cannot hold such an image.
        OSError: It cannot be written. An existing file is then unchanged.
    """
    ext = os.path.splitext(path)[1]
    try:
        done, content = cv2.imencode(ext, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY.get(ext, []))
    except cv2.error:  # versions and formats of OpenCV differ in how they report a failure
        done = False
    if not done:
        raise ValueError(f'{path}: an image of {image.shape[1]}x{image.shape[0]} pixels cannot be written in this '
                         'format (WebP holds up to 16383 a side, JPEG 65500); expected another one, such as png.')
    with atomic_write(path) as temporary, open(temporary, 'wb') as file:
        file.write(content.tobytes())
