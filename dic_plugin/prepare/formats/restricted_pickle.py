"""Reads pickles of plain data, as the published DIC lists are, and executes nothing else.

A pickle is a program: it may call whatever can be imported. This unpickler hands it stand-ins for the few functions
that plain containers and NumPy arrays need, and refuses every other name. The stand-ins check their arguments, build
arrays only from bytes that the file really holds, and cannot be altered by the file.

A file made to exhaust the memory can still do so; it cannot run code.
"""
import gc
import math
import pickle
import re
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Dict, Iterator, Tuple

import numpy as np

__all__ = ['load_plain_pickle']

_DTYPE = re.compile(r'([biufc])(\d{1,2})|([SU])(\d{1,9})|(O)[48]?')
_MAX_DIMENSIONS = 32  # what every NumPy version supports


def load_plain_pickle(path: str) -> Any:
    """Read a pickle of dicts, lists, tuples, sets, numbers, strings, bytes, NumPy arrays and scalars.

    Written by Python 2 or 3 and NumPy 1 or 2, in any protocol. Python 2's byte strings come back as str with one
    character per byte (latin-1); an OrderedDict comes back as a dict, NumPy's scalars as Python's, an array as an
    instance of a subclass of ndarray.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no pickle, or asks for anything else than plain data. The message names the file and,
            if it asks for another class or function, that one. Nothing was executed.
    """
    with open(path, 'rb') as file:
        try:
            with _without_collector():
                return _PlainUnpickler(file).load()
        except Exception as error:  # a damaged pickle may raise nearly anything (documentation of UnpicklingError)
            reason = str(error) or type(error).__name__
            raise ValueError(f'{path}: not read: {reason}') from error


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop the garbage collector, which takes two thirds of the time to search millions of new lists."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f'it asks for {what}; only pickles of plain containers, numbers, strings and NumPy '
                                  'arrays are accepted, since others can run any program. Nothing was executed.')


class _PlainUnpickler(pickle.Unpickler):

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding='latin1')

    def find_class(self, module: str, name: str) -> 'StandIn':
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _refuse(f'{module}.{name}') from None

    def persistent_load(self, pid: object) -> None:
        raise _refuse('an object outside the file (a persistent id)')


class StandIn:
    """Replacement for a function or class of a pickle: it can be called, but neither altered nor inspected."""
    __slots__ = ('_function', )

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise _refuse('a change of a function')


class PlainDtype:
    """Stands in for numpy.dtype: numbers, strings and objects, no structures. ``numpy`` is the real one."""
    __slots__ = ('_code', 'numpy')

    def __init__(self, code: str) -> None:
        match = isinstance(code, str) and _DTYPE.fullmatch(code)
        if not match:
            raise _refuse(f'an array of dtype {code!r:.40}')
        self._code = match.group(5) or code
        self.numpy = np.dtype(self._code)

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        if state[1] not in ('<', '>', '|', '=') or any(part is not None for part in state[2:5]):
            raise _refuse('an array of a structured dtype')
        self.numpy = np.dtype(self._code).newbyteorder(state[1])


class PlainArray(np.ndarray):
    """An array that takes from a pickle only as many elements as the pickle holds."""

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, data = state
        count = _count(shape, dtype)
        if dtype.numpy.hasobject:
            if not isinstance(data, list) or len(data) != count:
                raise pickle.UnpicklingError(f'damaged: an array of shape {shape} without its {count} elements')
        else:
            data = _exact_bytes(data, count * dtype.numpy.itemsize)
        super().__setstate__((1, shape, dtype.numpy, bool(is_fortran), data))  # type: ignore[arg-type]


def _count(shape: Tuple[int, ...], dtype: PlainDtype) -> int:
    """Return the number of elements of an array after its shape and dtype are checked."""
    if not isinstance(dtype, PlainDtype):
        raise pickle.UnpicklingError('damaged: an array without a dtype')
    if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS or not all(
            isinstance(length, int) and length >= 0 for length in shape):
        raise pickle.UnpicklingError('damaged: an array without a shape')
    count = math.prod(shape)
    if count > 1 and dtype.numpy.itemsize == 0:  # any number of elements would fit into no bytes
        raise pickle.UnpicklingError('damaged: an array of strings of length 0')
    return count


def _exact_bytes(data: Any, size: int) -> bytes:
    if isinstance(data, str):  # Python 2's byte string
        data = data.encode('latin1')
    if not isinstance(data, (bytes, bytearray)) or len(data) != size:
        raise pickle.UnpicklingError(f'damaged: an array without its {size} bytes')
    return bytes(data)


# ---------------------------------------------------------------- the functions that pickles of plain data call
def _dtype(code: str, *_: object) -> PlainDtype:
    return PlainDtype(code)


def _ndarray(*_: object) -> None:
    raise _refuse('numpy.ndarray, called as a function')


def _reconstruct(array_class: object, *_: object) -> PlainArray:
    if array_class is not _NDARRAY:
        raise _refuse('a subclass of numpy.ndarray')
    return PlainArray((0, ), np.int8)  # its state follows


def _from_bytes(data: Any, dtype: PlainDtype, shape: Tuple[int, ...], order: str) -> PlainArray:
    count = _count(shape, dtype)
    if dtype.numpy.hasobject or order not in ('C', 'F'):
        raise pickle.UnpicklingError('damaged: an array whose bytes cannot be its elements')
    content = bytearray(_exact_bytes(data, count * dtype.numpy.itemsize))  # a bytearray, for the array to be writable
    return PlainArray(shape, dtype.numpy, content, order=order)  # type: ignore[arg-type]


def _scalar(dtype: PlainDtype, data: Any = b'') -> Any:
    return _from_bytes(data, dtype, (), 'C').item()


def _encode(text: str, encoding: str = '') -> bytes:
    if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
        raise _refuse(f'the codec {encoding!r:.40}')
    return text.encode('latin1')


def _bytes(*args: Any) -> bytes:
    """Replace ``bytes()`` and ``bytearray(...)``; a number as argument would allocate that much memory."""
    if len(args) == 2:
        return _encode(*args)
    if args and not isinstance(args[0], (bytes, list)):
        raise pickle.UnpicklingError('damaged: bytes from neither bytes nor a list')
    return bytes(*args)


def _container(kind: type) -> StandIn:

    def build(elements: Any = ()) -> Any:
        if not isinstance(elements, (list, tuple)):
            raise pickle.UnpicklingError(f'damaged: a {kind.__name__} without its elements')
        return kind(elements)

    return StandIn(build)


def _complex(real: float, imag: float) -> complex:
    return complex(real, imag)


_NDARRAY = StandIn(_ndarray)


def _stand_ins() -> Dict[Tuple[str, str], StandIn]:
    table = {('collections', 'OrderedDict'): _container(dict), ('_codecs', 'encode'): StandIn(_encode)}
    for module in ('__builtin__', 'builtins'):  # Python 2, Python 3
        table[module, 'set'] = _container(set)
        table[module, 'frozenset'] = _container(frozenset)
        table[module, 'complex'] = StandIn(_complex)
        table[module, 'bytes'] = StandIn(_bytes)
        table[module, 'bytearray'] = StandIn(_bytes)
    table['numpy', 'ndarray'] = _NDARRAY
    table['numpy', 'dtype'] = StandIn(_dtype)
    for package in ('numpy.core', 'numpy._core'):  # NumPy 1, NumPy 2
        for module in (f'{package}.multiarray', f'{package}.numeric'):
            table[module, '_reconstruct'] = StandIn(_reconstruct)
            table[module, 'scalar'] = StandIn(_scalar)
            table[module, '_frombuffer'] = StandIn(_from_bytes)
            table[module, 'ndarray'] = _NDARRAY
            table[module, 'dtype'] = table['numpy', 'dtype']
    return table


_STAND_INS = _stand_ins()
