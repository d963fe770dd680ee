"""Reads face images from a folder or an LMDB, through BasicSR's FileClient, as 8-bit RGB whatever is stored."""
import os
import re
from typing import Dict, List, Mapping, Optional, Tuple

import numpy as np
from basicsr.utils import FileClient, scandir

from dic_plugin.data.image_file import IMAGE_EXTENSIONS, decode_rgb

__all__ = ['FaceFiles']

HOW_TO_PREPARE = 'dic-prepare makes one (README.md, section "Data")'

# LMDB must not be opened twice in a process, nor used after a fork: one client per folder and the process that opened
# it.
_LMDB_CLIENTS: Dict[str, Tuple[int, FileClient]] = {}


class FaceFiles:
    """The images of a folder (not of its subfolders) or of an LMDB, in a fixed order.

    Args:
        root: The folder, or the LMDB's.
        io_backend: BasicSR's option: ``{type: disk}`` or ``{type: lmdb}``; further entries go to BasicSR's FileClient.
        meta_info_file: Text file that selects images, one name at the start of each line. Default: all of the folder,
            or those in the LMDB's own meta_info.txt.

    Attributes:
        names: Names without extension; the keys of an LMDB.
        paths: One path per image, to name it by and, in a folder, to read it from.

    Raises:
        FileNotFoundError: a folder or file is missing.
        ValueError: unknown backend, no image, or one name twice.
    """

    def __init__(self, root: str, io_backend: Mapping, meta_info_file: Optional[str] = None) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)  # what LMDB knows it by, once for all: every read would ask the disk
        self.client_opt = {key: value for key, value in io_backend.items() if key != 'type'}
        self.backend = io_backend.get('type')
        if self.backend not in ('disk', 'lmdb'):
            raise ValueError(f"io_backend type {self.backend!r} is not supported; expected 'disk' or 'lmdb'.")
        if not os.path.isdir(root):
            raise FileNotFoundError(
                f'The data root {root!r} does not exist; expected a folder of face crops (PNG) or an '
                f'LMDB of them (*.lmdb): {HOW_TO_PREPARE}.')
        if self.backend == 'lmdb':
            if not os.path.isfile(os.path.join(root, 'data.mdb')):
                raise FileNotFoundError(f'{root!r} holds no file data.mdb; expected an LMDB: {HOW_TO_PREPARE}.')
            meta_info_file = meta_info_file or os.path.join(root, 'meta_info.txt')
        files = _read_meta_info(meta_info_file) if meta_info_file else sorted(
            path for path in scandir(root) if path.lower().endswith(IMAGE_EXTENSIONS))
        if not files:
            raise ValueError(
                f'{meta_info_file or root}: names no image.' if meta_info_file else
                f'The folder {root!r} holds no image ({", ".join(IMAGE_EXTENSIONS)}); expected face crops: '
                f"{HOW_TO_PREPARE}. For an LMDB set `io_backend: {{type: lmdb}}`.")
        self.names: List[str] = [os.path.splitext(file)[0] for file in files]
        self.paths: List[str] = [os.path.join(root, file) for file in files]
        if len(set(self.names)) < len(self.names):
            twice = next(name for row, name in enumerate(self.names) if name in self.names[:row])
            raise ValueError(f'{meta_info_file or root}: two images are called {twice!r}; names without extension must '
                             'differ.')

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> np.ndarray:
        """Read image ``index`` as uint8 RGB, (H, W, 3). Errors (FileNotFoundError, KeyError, ValueError) name it."""
        if self.backend == 'disk':
            if not os.path.isfile(self.paths[index]):
                raise FileNotFoundError(f'The image {self.paths[index]!r} does not exist, though it was listed.')
            content = FileClient('disk').get(self.paths[index])
        else:
            content = _lmdb_client(self.real_root, self.client_opt).get(self.names[index])
            if content is None:
                raise KeyError(
                    f'The LMDB {self.root!r} has no key {self.names[index]!r}, though its meta_info names it. '
                    'Make the LMDB again.')
        return decode_rgb(content, self.paths[index])


def _read_meta_info(path: str) -> List[str]:
    """Read the names in a meta_info file of BasicSR: ``name.png (h,w,c) ...`` or plain names, one a line."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'The list of images {path!r} does not exist; expected one image name a line, as BasicSR '
            'writes into the meta_info.txt of an LMDB.')
    with open(path, encoding='utf-8-sig') as file:
        names = [re.sub(r' \(\d+, ?\d+, ?\d+\).*', '', line).strip() for line in file]
    return [name for name in names if name]


def _lmdb_client(real_root: str, client_opt: Mapping) -> FileClient:
    owner, client = _LMDB_CLIENTS.get(real_root, (None, None))
    if owner != os.getpid():
        if client is not None:  # a parent's; it must go first, for lmdb refuses to open what this process seems to have
            for environment in client.client._client.values():
                environment.close()
        client = FileClient('lmdb', db_paths=[real_root], client_keys=['default'], **client_opt)
        _LMDB_CLIENTS[real_root] = (os.getpid(), client)
    return client
