"""Finds misspelt options: the one check that our classes and our launchers share.

BasicSR itself says "No object named X found" of a wrong type, and nothing at all of a key that no code reads.
"""
import difflib
from typing import Iterable

__all__ = ['OptionError', 'check_keys']


class OptionError(ValueError):
    """An option file asks for something that does not exist. The message names the option and the nearest match."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The name in ``known`` most like ``name`` (in any case of letters), or '' if none is similar enough."""
    by_lower = {str(k).lower(): str(k) for k in known}
    match = difflib.get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[match[0]] if match else ''


def check_keys(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse an option that nothing reads.

    Args:
        given: The options as given (a dictionary or its keys); they are read only.
        known: The names of all options that exist there.
        where: Where they stand in the option file, such as ``'datasets:train'`` or ``'network_g'``; '' for its top.

    Raises:
        OptionError: Names the first unknown option, the nearest match and what there is.

    >>> check_keys({'num_featt': 48}, ('num_feat', 'num_steps'), 'network_g')
    Traceback (most recent call last):
    dic_plugin.utils.option_check.OptionError: network_g:num_featt: no such option; did you mean 'num_feat'? \
Known here: num_feat, num_steps.
    """
    known = list(known)
    for key in given:
        if key not in known:
            raise unknown(f'{where}:{key}' if where else str(key), key, known, 'option')


def unknown(path: str, name: str, known: Iterable[str], kind: str) -> OptionError:
    """The error for an unknown name: ``path`` is the whole option, ``kind`` what it should have been."""
    known = sorted(str(k) for k in known)
    match = nearest(name, known)
    hint = f"did you mean '{match}'? " if match else ''
    return OptionError(f'{path}: no such {kind}; {hint}Known here: {", ".join(known) or "none"}.')
