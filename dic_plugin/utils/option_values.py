"""Kinds of option values: what an option may hold, and text that is read as the number or the switch that it means.

PyYAML reads ``1e-4`` as text, because YAML 1.1 wants a dot in it, and BasicSR's ``--force_yml`` reads ``-1`` and ``no``
as text. A kind reads such text as meant and refuses everything else.
"""
import math
import os
import re
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

__all__ = [
    'Kind', 'OptionError', 'builtin', 'choice', 'flag', 'listed', 'number', 'path', 'read_number', 'read_value',
    'read_values', 'refused', 'text', 'whole'
]

SWITCHES = {'true': True, 'yes': True, 'on': True, 'false': False, 'no': False, 'off': False}
SCIENTIFIC = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+')


class OptionError(ValueError):
    """An option file asks for something that does not exist or is impossible. The message names the option."""


class Kind(NamedTuple):
    """Kind of values of an option.

    Attributes:
        expected: completes "expected ..." in a message.
        read: takes the value as given and returns it as meant, or raises ValueError.
    """
    expected: str
    read: Callable[[Any], Any]


def number(least: float = -math.inf, below: float = math.inf, above: float = -math.inf) -> Kind:
    """Accept a finite number x with ``least <= x < below`` and ``x > above``."""

    def read(value: Any) -> Any:
        result = _number(value)
        if not (least <= result < below and result > above):
            raise ValueError
        return result

    limits = [f'{word} {limit:g}' for word, limit in (('of at least', least), ('above', above), ('below', below))
              if math.isfinite(limit)]  # yapf: disable
    return Kind(' '.join(['a number', ' and '.join(limits)]).strip(), read)


def whole(least: float = -math.inf, most: float = math.inf) -> Kind:
    """Accept a whole number n with ``least <= n <= most``; 2000.0 and ``2e3`` are read as 2000."""

    def read(value: Any) -> int:
        result = _number(value)
        if result % 1 or not least <= result <= most:
            raise ValueError
        return int(result)

    limits = [f'{word} {limit}' for word, limit in (('least', least), ('most', most)) if math.isfinite(limit)]
    return Kind(' '.join(['a whole number', ' and '.join(f'of at {limit}' for limit in limits)]).strip(), read)


def choice(*values: Any) -> Kind:
    """Accept one of these values."""

    def read(value: Any) -> Any:
        if value not in values or isinstance(value, bool):
            raise ValueError
        return value

    return Kind(' or '.join(map(str, values)), read)


def listed(kind: Kind) -> Kind:
    """Accept one value of a kind, or a list of at least one in which ``~`` may stand for the default."""

    def read(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if not value:
                raise ValueError
            return [None if item is None else kind.read(item) for item in value]
        return kind.read(value)

    return Kind(f'{kind.expected}, or a list of such', read)


def numbers(count: int, least: float = -math.inf, above: float = -math.inf, ascending: bool = False) -> Kind:
    """Accept a list of ``count`` numbers, see ``number``; ``ascending``: none smaller than the one before."""
    each = number(least, above=above)

    def read(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != count:
            raise ValueError
        result = [each.read(item) for item in value]
        if ascending and result != sorted(result):
            raise ValueError
        return result

    return Kind(f'a list of {count}, each {each.expected}' + (', the smaller first' if ascending else ''), read)


def refused(reason: str) -> Kind:
    """Accept only ``~``, for an option that would otherwise be ignored silently. ``reason`` ends the message."""

    def read(value: Any) -> None:
        raise ValueError

    return Kind(f'none: {reason}', read)


def _read_flag(value: Any) -> bool:
    if isinstance(value, str):
        value = SWITCHES.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError
    return value


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


flag = Kind('true or false', _read_flag)


def _read_path(value: Any) -> str:
    return os.path.expanduser(_read_text(value))


path = Kind('a path (in quotes where it looks like a number)', _read_path)
text = Kind("text (a number or a switch that is meant as text stands in quotes, such as '001')", _read_text)


def _number(value: Any) -> Any:
    if isinstance(value, str):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError
    return value


def read_number(value: Any) -> Any:
    """Return text such as ``1e-4`` as the number that it means, also inside lists; other values as they are."""
    if isinstance(value, (list, tuple)):
        return [read_number(part) for part in value]
    return float(value) if isinstance(value, str) and SCIENTIFIC.fullmatch(value) else value


def read_value(kind: Optional[Kind], value: Any, where: str) -> Any:
    """Return a value as meant. ``~`` (None) says nothing and passes.

    Args:
        kind: what the option may hold; None for anything.
        value: as given.
        where: the option's path in the file, for the message.

    Raises:
        OptionError: names the option, the value and what is expected.
    """
    if kind is None or value is None:
        return value
    try:
        return kind.read(value)
    except (TypeError, ValueError):
        raise OptionError(f'{where} is {value!r}; expected {kind.expected}.') from None


def read_values(given: Mapping[str, Any], kinds: Mapping[str, Optional[Kind]], where: str) -> Dict[str, Any]:
    """Return a copy of these options with every value of a known kind as meant.

    Raises:
        OptionError: names the first option whose value is impossible, as ``where:key``.

    >>> read_values({'use_hflip': 'no', 'seed': '2e3', 'name': 'x'}, {'use_hflip': flag, 'seed': whole(0)}, '')
    {'use_hflip': False, 'seed': 2000, 'name': 'x'}
    """
    return {
        key: read_value(kinds.get(key), value, f'{where}:{key}' if where else str(key))
        for key, value in given.items()
    }


def builtin(value: Any) -> Any:
    """Return options in dicts and lists, also where BasicSR's parser made other mappings and sequences of them."""
    if isinstance(value, Mapping):
        return {str(key): builtin(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [builtin(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
