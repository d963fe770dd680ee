"""All that a prepared set depends on, as plain values: kept beside it, and compared before a run goes on."""
import hashlib
import json
import os
from typing import Any, Dict, Iterable, List, Optional

from dic_plugin.prepare.photo import Photo

__all__ = ['describe_settings', 'difference', 'read_record']

FORMAT = 1  # of the prepared set; raised when the same settings give other bytes


def describe_settings(options, photos: List[Photo], model: Optional[str]) -> Dict[str, Any]:
    """What decides the result: options, and digests of the photographs (names and sizes) and of the files read.

    Args:
        options: As :func:`dic_plugin.cli.prepare.parse` returns. The number of workers and the preview decide nothing.
        photos: All photographs of the folder.
        model: The detector's file, given or found.
    """
    photographs = _digest(f'{photo.relative}\0{os.path.getsize(photo.path)}\n'.encode() for photo in photos)
    split = options.split
    return {
        'format': FORMAT,
        'photographs': {
            'number': len(photos),
            'digest': photographs
        },
        'landmarks': [_describe_path(path) for path in options.landmarks or []],
        'detector': options.detector,
        'model': _describe_path(model) if model else None,
        'split': _describe_path(split) if os.path.isfile(split) else split,
        'seed': options.seed,
        'size': options.size,
        'gt_size': options.gt_size,
        'scale': options.scale,
        'margin': options.margin,
        'whole': options.whole,
        'min_confidence': options.min_confidence,
        'check_points': _describe_path(options.check_points) if options.check_points else None,
        'max_error': options.max_error if options.check_points else None,
        'store': options.store,
    }


def read_record(path: str) -> Optional[Dict[str, Any]]:
    """Return the record of a prepared set, with its ``settings``; None where there is no file.

    Raises:
        ValueError: the file is damaged.
    """
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding='utf-8') as file:
            record = json.load(file)
        if isinstance(record, dict) and 'settings' in record:
            return record
    except ValueError as error:
        raise ValueError(f'{path}: is not a record of a preparation ({error}).') from error
    raise ValueError(f'{path}: is not a record of a preparation.')


def difference(before: Dict[str, Any], now: Dict[str, Any]) -> str:
    """The first setting that differs, in words; empty if none does."""
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            if isinstance(before.get(key), (dict, list)) and isinstance(now.get(key), type(before.get(key))):
                return f'{key}: the files, or what is in them, have changed'
            return f'{key} was {json.dumps(before.get(key))} and is {json.dumps(now.get(key))}'
    return ''


def _describe_path(path: str) -> Dict[str, str]:
    """A file by its contents, a folder by the names and sizes of its files."""
    if not os.path.exists(path):
        raise FileNotFoundError(f'{path!r} does not exist; expected a file or folder, as the command line says.')
    if os.path.isfile(path):
        with open(path, 'rb') as file:
            return {'name': os.path.basename(path), 'digest': _digest(iter(lambda: file.read(1 << 20), b''))}
    files = sorted((name, os.path.getsize(os.path.join(path, name))) for name in os.listdir(path))
    name = os.path.basename(os.path.normpath(path))
    return {'name': name, 'digest': _digest(f'{name}\0{size}\n'.encode() for name, size in files)}


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()[:16]
