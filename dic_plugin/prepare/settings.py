"""The record of everything that a prepared set depends on: stored with it and compared on a later run."""
import hashlib
import json
import os
from typing import Any, Dict, Iterable, List, Optional, Tuple

from dic_plugin.prepare.photo import Photo

__all__ = ['describe_settings', 'read_record']

FORMAT = 1  # of the prepared set; to be raised when the same settings give other bytes
# options that do not change the set; photos has a digest
_WITHOUT_EFFECT = ('max_failures', 'photos', 'output', 'workers', 'preview')


def describe_settings(options: Any, photos: List[Photo], model: Optional[str]) -> Dict[str, Any]:
    """Return what determines the result, as plain values: options and digests of the photographs and input files.

    Args:
        options: As :func:`dic_plugin.cli.prepare.parse` returns.
        photos: All photographs of the folder.
        model: The detector's file.
    """
    settings = {key: value for key, value in options.items() if key not in _WITHOUT_EFFECT}
    settings['format'] = FORMAT
    sizes = _digest_sizes((photo.relative, photo.path) for photo in photos)
    settings['photographs'] = {'number': len(photos), 'digest': sizes}
    settings['landmarks'] = [_describe_path(path) for path in options.landmarks or []]
    settings['model'] = _describe_path(model) if model else None
    if os.path.isfile(options.split):
        settings['split'] = _describe_path(options.split)
    if options.group_by and os.path.isfile(options.group_by):
        settings['group_by'] = _describe_path(options.group_by)
    if options.check_points:
        settings['check_points'] = _describe_path(options.check_points)
    else:
        settings['max_error'] = None
    return settings


def read_record(path: str, settings: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Return the record of a preparation with these settings; None if there is no file.

    Raises:
        ValueError: the file is damaged.
        FileExistsError: it was made with other settings; the message names the first that differs.
    """
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding='utf-8') as file:
            record = json.load(file)
        before = record['settings']
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: is not a record of a preparation ({error!r}).') from error
    for key in sorted({*before, *settings}):
        if before.get(key) != settings.get(key):
            raise FileExistsError(f'{os.path.dirname(path)!r} holds a preparation with other settings: {key} was '
                                  f'{json.dumps(before.get(key))} and is {json.dumps(settings.get(key))}. Repeat them, '
                                  'delete the folder, or choose another one (-o).')
    return record


def _describe_path(path: str) -> Dict[str, str]:
    """Describe a file by its contents, a folder by the names and sizes of its files."""
    if os.path.isfile(path):
        with open(path, 'rb') as file:
            digest = _digest(iter(lambda: file.read(1 << 20), b''))
    else:
        digest = _digest_sizes((name, os.path.join(path, name)) for name in sorted(os.listdir(path)))
    return {'name': os.path.basename(os.path.normpath(path)), 'digest': digest}


def _digest_sizes(files: Iterable[Tuple[str, str]]) -> str:
    return _digest(f'{name}\0{os.path.getsize(path)}\n'.encode() for name, path in files)


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()[:16]
