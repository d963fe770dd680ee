"""Where finished crops go: an LMDB by BasicSR's maker, or a folder of PNG. Encoded images in; nothing is recoded."""
import os
from typing import List, Tuple

import lmdb
from basicsr.utils.lmdb_util import LmdbMaker

__all__ = ['PNG_LEVEL', 'FolderStore', 'LmdbStore', 'lmdb_map_size', 'open_store']

# Stored, not compressed (BasicSR's tools compress by level 1): twice the bytes, but a face is decoded in half the time,
# which is what a loader spends most of its time on (scripts/measure/data_rate.py).
PNG_LEVEL = 0
_PAGE = 4096


def lmdb_map_size(value_sizes: List[int]) -> int:
    """Bytes that an LMDB of values of these sizes may take; an estimate: :class:`LmdbStore` grows when it is too small.

    Every value has pages of its own; the index, and the pages that a commit writes anew, are a small part.
    """
    pages = sum((size + 16 + _PAGE - 1) // _PAGE for size in value_sizes)
    return _PAGE * (pages + pages // 8 + 256)


class LmdbStore(LmdbMaker):
    """BasicSR's maker with a map that grows when it is full.

    BasicSR's ``make_lmdb_from_imgs`` sizes the map from its first image and fails on small images; the maker's own
    default of a terabyte cannot be had everywhere.

    Args:
        lmdb_path: New folder, ``*.lmdb``.
        map_size: Expected size in bytes, see :func:`lmdb_map_size`.
        batch: Images per transaction; they are kept until it is written.
    """

    def __init__(self, lmdb_path: str, map_size: int, batch: int = 1000) -> None:
        super().__init__(lmdb_path, map_size=map_size, batch=batch, compress_level=PNG_LEVEL)
        self.map_size = map_size
        self.uncommitted: List[Tuple[bytes, bytes]] = []

    def put(self, img_byte: bytes, key: str, img_shape: Tuple[int, int, int]) -> None:
        """Add an encoded image of shape (height, width, channels)."""
        self.counter += 1
        self.uncommitted.append((key.encode('ascii'), img_byte))
        try:
            self.txn.put(*self.uncommitted[-1])
        except lmdb.MapFullError:
            self._grow()
        height, width, channels = img_shape
        self.txt_file.write(f'{key}.png ({height},{width},{channels}) {self.compress_level}\n')
        if self.counter % self.batch == 0:
            self._commit()
            self.txn = self.env.begin(write=True)

    def close(self) -> None:
        """Write what is left. The lock file is removed: BasicSR reads without, and it differs from run to run."""
        self._commit()
        self.env.close()
        self.txt_file.close()
        os.remove(os.path.join(self.lmdb_path, 'lock.mdb'))

    def _commit(self) -> None:
        while True:
            try:
                self.txn.commit()
                break
            except lmdb.MapFullError:
                self._grow()
        self.uncommitted = []

    def _grow(self) -> None:
        """Twice the map, and what the failed transaction held once more."""
        while True:
            self.txn.abort()
            self.map_size *= 2
            self.env.set_mapsize(self.map_size)
            self.txn = self.env.begin(write=True)
            try:
                for key, value in self.uncommitted:
                    self.txn.put(key, value)
                break
            except lmdb.MapFullError:
                continue


class FolderStore:
    """A folder of PNG and, beside it, ``meta_info_<folder>.txt`` in the form of BasicSR."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder)
        self.folder = folder
        parent, name = os.path.split(folder)
        self.txt_file = open(os.path.join(parent, f'meta_info_{name}.txt'), 'w', encoding='ascii')

    def put(self, img_byte: bytes, key: str, img_shape: Tuple[int, int, int]) -> None:
        """Add an encoded image of shape (height, width, channels)."""
        with open(os.path.join(self.folder, f'{key}.png'), 'wb') as file:
            file.write(img_byte)
        self.txt_file.write(f'{key}.png ({",".join(map(str, img_shape))})\n')

    def close(self) -> None:
        self.txt_file.close()


def open_store(path: str, kind: str, value_sizes: List[int]):
    """A store at ``path`` without suffix: ``lmdb`` adds ``.lmdb`` to it, ``png`` makes a folder."""
    return LmdbStore(f'{path}.lmdb', lmdb_map_size(value_sizes)) if kind == 'lmdb' else FolderStore(path)
