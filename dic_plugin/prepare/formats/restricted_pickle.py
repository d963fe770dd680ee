"""Reader of pickles of plain data, such as the published DIC lists, that executes nothing.

A pickle is a program that may call whatever can be imported. This unpickler replaces the few functions that plain
containers and NumPy arrays need by stand-ins, which the file can call but not change, and refuses every other name.
"""
import gc
import math
import os
import pickle
import re
import sys
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, NoReturn, Tuple

import numpy as np

from dic_plugin.utils.regular_file import open_regular

__all__ = ['load_plain_pickle']

Names = Dict[str, Callable[..., Any]]

_DTYPE = re.compile(r'[biufc]\d+|[SU]\d+|O[48]?')
_MAX_DIMENSIONS = 32  # supported by every NumPy version, which reads past a buffer if there are more


def load_plain_pickle(path: str) -> Any:
    """Read a pickle of dicts, lists, tuples, sets, numbers, strings, bytes, NumPy arrays and scalars.

    Python 2 or 3 and NumPy 1 or 2 may have written it, in any protocol. Python 2's byte strings become str with one
    character per byte (latin-1), an OrderedDict a dict, NumPy's scalars Python's, and an array one of a subclass of
    ndarray. On Linux, the file may take 64 times its size and 1 GiB of address space.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no pickle, takes too much memory, or asks for anything but plain data. The message names
            the file and the class or function that it asks for, if any. Nothing was executed.
    """
    with open_regular(path, 'rb') as file:
        try:
            with _bounded(os.fstat(file.fileno()).st_size):
                return _PlainUnpickler(file, encoding='latin1').load()
        except MemoryError as error:
            raise ValueError(f'{path}: not read: it takes too much memory for a file of its size; expected at most 64 '
                             'times its size and 1 GiB.') from error
        except Exception as error:  # a damaged pickle may raise nearly anything (documentation of UnpicklingError)
            raise ValueError(f'{path}: not read: {str(error) or type(error).__name__}') from error


@contextmanager
def _bounded(size: int) -> Iterator[None]:
    """Bound the memory for a file of ``size`` bytes on Linux, and stop the garbage collector.

    The collector takes two thirds of the time to search millions of new lists.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        if sys.platform != 'linux':
            yield
            return
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        with open('/proc/self/statm', encoding='ascii') as file:
            bound = int(file.read().split()[0]) * resource.getpagesize() + 64 * size + 2**30
        resource.setrlimit(resource.RLIMIT_AS, (bound if soft == resource.RLIM_INFINITY else min(bound, soft), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    finally:
        if was_enabled:
            gc.enable()


def _refuse(what: str) -> NoReturn:
    raise pickle.UnpicklingError(f'it asks for {what}; only pickles of plain containers, numbers, strings and NumPy '
                                 'arrays are accepted, since others can run any program. Nothing was executed.')


class _PlainUnpickler(pickle.Unpickler):

    def find_class(self, module: str, name: str) -> 'StandIn':
        return _STAND_INS.get((module, name)) or _refuse(f'{module}.{name}')


class StandIn:
    """Replacement for a function or class of a pickle: it can be called, but neither altered nor inspected."""
    __slots__ = ('_function', )

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: object) -> NoReturn:
        _refuse('a change of a function')


class PlainDtype:
    """Recorder in place of numpy.dtype: numbers, strings and objects. ``numpy`` is the real dtype.

    The state of a real dtype has flags that make NumPy take numbers for object pointers; only its byte order is used.
    """
    __slots__ = ('numpy', )

    def __init__(self, code: str, *_: object) -> None:
        if not _DTYPE.fullmatch(code):
            _refuse(f'an array of dtype {code!r:.40}')
        self.numpy = np.dtype('O' if code[0] == 'O' else code)

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            _refuse('an array of a structured dtype')
        self.numpy = self.numpy.newbyteorder(state[1])


class PlainArray(np.ndarray):
    """Array that takes exactly the elements that the pickle holds."""

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        _, shape, recorded, is_fortran, data = state
        dtype = recorded.numpy
        if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS or not all(
                isinstance(length, int) and length >= 0 for length in shape):
            raise pickle.UnpicklingError('damaged: an array without a shape')
        count = math.prod(shape)
        if dtype.hasobject:  # NumPy reads as many elements as the shape has, however long the list is
            whole = isinstance(data, list) and len(data) == count
        else:
            data = data.encode('latin1') if isinstance(data, str) else bytes(data)  # Python 2's byte string
            whole = len(data) == count * dtype.itemsize and (dtype.itemsize > 0 or count <= 1)
        if not whole:
            raise pickle.UnpicklingError(f'damaged: an array of shape {shape} and {dtype} without its {count} elements')
        super().__setstate__((1, shape, dtype, bool(is_fortran), data))  # type: ignore[arg-type]


# ---------------------------------------------------------------- the functions that pickles of plain data call
def _reconstruct(array_class: object, *_: object) -> PlainArray:
    if array_class is not _NDARRAY:
        _refuse('a subclass of numpy.ndarray')
    return PlainArray((0, ), np.int8)  # its state follows


def _from_bytes(data: Any, dtype: PlainDtype, shape: Tuple[int, ...], order: str) -> PlainArray:
    array = _reconstruct(_NDARRAY)
    array.__setstate__((1, shape, dtype, order == 'F', data))
    return array


def _scalar(dtype: PlainDtype, data: Any = b'') -> Any:
    return _from_bytes(data, dtype, (), 'C').item()


def _encode(text: str, encoding: str = '') -> bytes:
    if encoding not in ('latin1', 'latin-1'):
        _refuse(f'the codec {encoding!r:.40}')
    return text.encode('latin1')


def _bytes(data: Any = b'', *encoding: str) -> bytes:
    return _encode(data, *encoding) if encoding else bytes(data)


def _complex(real: float, imag: float) -> complex:
    return complex(real, imag)


_NDARRAY = StandIn(lambda *_: _refuse('numpy.ndarray, called as a function'))


def _stand_ins() -> Dict[Tuple[str, str], StandIn]:
    containers: Names = dict(set=set, frozenset=frozenset, complex=_complex, bytes=_bytes, bytearray=_bytes)
    arrays: Names = dict(dtype=PlainDtype, _reconstruct=_reconstruct, scalar=_scalar, _frombuffer=_from_bytes)
    modules: Dict[str, Names] = {
        'collections': dict(OrderedDict=dict),
        '_codecs': dict(encode=_encode),
        '__builtin__': containers,  # Python 2
        'builtins': containers,
        'numpy': dict(dtype=PlainDtype),
        **{f'{package}.{module}': arrays for package in ('numpy.core', 'numpy._core')  # NumPy 1, NumPy 2
           for module in ('multiarray', 'numeric')},
    }  # yapf: disable
    table = {(module, name): StandIn(function) for module, names in modules.items() for name, function in names.items()}
    return {**table, **{(module, 'ndarray'): _NDARRAY for module in modules if module.startswith('numpy')}}


_STAND_INS = _stand_ins()
