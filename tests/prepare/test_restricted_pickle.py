"""Pickles of plain data are read, whoever wrote them; all others are refused, and nothing in them is executed."""
import copyreg
import gc
import io
import pickle
import struct
import sys
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dic_plugin.prepare.formats.restricted_pickle import load_plain_pickle


def load(tmp_path, content):
    path = tmp_path / 'list.pkl'
    path.write_bytes(content)
    return load_plain_pickle(str(path))


# ---------------------------------------------------------------- plain data
PLAIN = [
    {'a.jpg': {'landmark': [[1.5, 2.0], [3.0, 4.0]], 'bbox': [1, 2, 30, 40]}},
    [None, True, -1, 10**30, 0.5, 2j, 'ü', b'', b'\xff\x00', bytearray(b'ab'), (1, (2, )), {3}, frozenset([4]), set()],
    {1: {2: [{}]}},
]  # yapf: disable

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([1, 2], '>f4'),
    np.array(7, np.uint8),
    np.zeros((0, 2), np.float32),
    np.array([True, False]),
    np.array(['a', 'bcd']),
    np.array([b'a', b'bcd']),
    np.array([1 + 2j]),
    np.array([1, 'a', None], dtype=object),
]


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('value', PLAIN)
def test_plain_python_comes_back(tmp_path, value, protocol):
    assert load(tmp_path, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('value', ARRAYS, ids=repr)
@pytest.mark.parametrize('numpy_version', [1, 2])
def test_arrays_come_back(tmp_path, value, protocol, numpy_version):
    content = written_by_numpy(numpy_version, pickle.dumps({'a': [value, value]}, protocol))
    assert {1: b'numpy.core.', 2: b'numpy._core.'}[numpy_version] in content
    array, same = load(tmp_path, content)['a']
    assert array is same and isinstance(array, np.ndarray) and array.dtype.kind == value.dtype.kind
    assert array.shape == value.shape
    np.testing.assert_array_equal(array, value)


def written_by_numpy(version, content):
    """The same pickle as another NumPy would have written it; the module's name changes, and its length before it."""
    names = {1: b'numpy.core.', 2: b'numpy._core.'}
    for submodule in (b'multiarray', b'numeric'):
        for other in names.values():
            old, new = other + submodule, names[version] + submodule
            content = content.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)  # protocol 4 and up
            content = content.replace(b'c' + old + b'\n', b'c' + new + b'\n')
    return without_frames(content)


def without_frames(content):
    """Drops the frame, which tells how many bytes follow: protocol 4 and up allow it to be absent."""
    return content[:2] + content[11:] if content[:1] == b'\x80' and content[1] >= 4 and content[
        2:3] == b'\x95' else content


@pytest.mark.parametrize('protocol', [0, 2, 4])
@pytest.mark.parametrize(
    'scalar',
    [np.float64(0.1), np.float32(0.5),
     np.int64(-3), np.bool_(True),
     np.str_('ab'), np.str_('')])
def test_numpy_scalars_come_back_as_numbers_and_strings(tmp_path, scalar, protocol):
    value = load(tmp_path, pickle.dumps([scalar], protocol))[0]
    assert value == scalar and type(value) is type(scalar.item())


def test_ordered_dict_comes_back_as_a_dict_in_order(tmp_path):
    value = load(tmp_path, pickle.dumps(OrderedDict([('b', 1), ('a', 2)])))
    assert type(value) is dict and list(value.items()) == [('b', 1), ('a', 2)]


# What Python 2.7 and NumPy 1.16 write in protocol 2; U is a byte string.
PYTHON_2_LIST = (
    b"\x80\x02}q\x00U\x05a.jpgq\x01}q\x02(U\x08landmarkq\x03cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\n"
    b'ndarray\nq\x05K\x00\x85q\x06U\x01bq\x07\x87q\x08Rq\t(K\x01K\x01K\x02\x86q\ncnumpy\ndtype\nq\x0bU\x02f8q'
    b'\x0cK\x00K\x01\x87q\rRq\x0e(K\x03U\x01<q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89U\x10' +
    struct.pack('<2d', 1.5, -240.125) + b'q\x11tq\x12bU\x04bboxq\x13]q\x14(K\x01K\x02eus.')
PYTHON_2_SCALAR = (
    b'\x80\x02]q\x00cnumpy.core.multiarray\nscalar\nq\x01cnumpy\ndtype\nq\x02U\x02f4q\x03K\x00K\x01\x87q\x04Rq'
    b'\x05(K\x03U\x01<q\x06NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x07bU\x04\x00\x00\x80?q\x08\x86q\tRq'
    b'\na.')
PYTHON_2_CONTAINERS = (
    b'\x80\x02]q\x00(c__builtin__\nset\nq\x01]q\x02K\x01a\x85q\x03Rq\x04ccollections\nOrderedDict\nq\x05]q'
    b'\x06]q\x07(U\x01aq\x08K\x01ea\x85q\tRq\ne.')


def test_python_2_list(tmp_path):
    value = load(tmp_path, PYTHON_2_LIST)
    assert value['a.jpg']['bbox'] == [1, 2]
    np.testing.assert_array_equal(value['a.jpg']['landmark'], [[1.5, -240.125]])


def test_python_2_scalar_and_containers(tmp_path):
    assert load(tmp_path, PYTHON_2_SCALAR) == [1.0]
    assert load(tmp_path, PYTHON_2_CONTAINERS) == [{1}, {'a': 1}]


def test_python_2_text_in_protocol_0(tmp_path):
    assert load(tmp_path, b"(dp0\nS'b\\xc3\\xbc.jpg'\np1\n(lp2\nI1\naL2L\naF0.5\nas.") == {'b\xc3\xbc.jpg': [1, 2, 0.5]}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)),
       st.integers(0, pickle.HIGHEST_PROTOCOL))  # yapf: disable
def test_what_pickle_reads_of_plain_data_is_read_alike(tmp_path_factory, value, protocol):
    assert load(tmp_path_factory.mktemp('plain'), pickle.dumps(value, protocol)) == value


# ---------------------------------------------------------------- hostile pickles
class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value


def hostile_pickles(marker):
    command = b'touch ' + marker
    write = b"open(%r, 'w').close()" % marker.decode()
    shell = b'cos\nsystem\n' + text(command) + b'\x85R'
    return {
        'os.system': (b'\x80\x02' + shell + b'.', 'os.system'),
        'posix.system': (b'\x80\x02cposix\nsystem\n' + text(command) + b'\x85R.', 'posix.system'),
        'system in a list': (b'\x80\x02}' + text(b'a.jpg') + b'](' + shell + b'es.', 'os.system'),
        'system by INST': (b'(S' + repr(command.decode()).encode() + b'\nios\nsystem\n.', 'os.system'),
        'system by OBJ': (b'\x80\x02(cos\nsystem\n' + text(command) + b'o.', 'os.system'),
        'system by a path': (b'\x80\x04\x8c\x05numpy\x8c\x11f2py.os.path.join\x93.', 'numpy.f2py.os.path.join'),
        'eval': (b'\x80\x02cbuiltins\neval\n' + text(write) + b'\x85R.', 'builtins.eval'),
        'exec of Python 2': (b'\x80\x02c__builtin__\nexec\n' + text(write) + b'\x85R.', '__builtin__.exec'),
        'getattr chain': (b'\x80\x02cbuiltins\ngetattr\ncbuiltins\n__import__\n' + text(b'os') + b'\x85R' +
                          text(b'system') + b'\x86R' + text(command) + b'\x85R.', 'builtins.getattr'),
        'subprocess': (pickle.dumps(Calls(__import__('subprocess').call, [['touch', marker.decode()]])),
                       'subprocess.call'),
        'numpy.load': (pickle.dumps(Calls(np.load, 'x.npy', None, True), 2), 'load'),
        'numpy.f2py': (b'\x80\x02cnumpy.f2py\ncompile\n' + text(b'x') + b'\x85R.', 'numpy.f2py.compile'),
        'numpy.core.multiarray.fromfile': (b'\x80\x02cnumpy.core.multiarray\nfromfile\n' + text(marker) + b'\x85R.',
                                           'numpy.core.multiarray.fromfile'),
        'runstring': (b'\x80\x02cnumpy.testing._private.utils\nrunstring\n' + text(write) + b'}\x86R.',
                      'numpy.testing._private.utils.runstring'),
        '_reconstructor': (b'\x80\x02ccopy_reg\n_reconstructor\ncsubprocess\nPopen\nc__builtin__\nobject\nN\x87R.',
                           'copy_reg._reconstructor'),
        '_reconstructor of Python 3': (pickle.dumps(Calls(copyreg._reconstructor, io.StringIO, object, None)),
                                       'copyreg._reconstructor'),
        'a codec': (b'\x80\x02c_codecs\nencode\n' + text(b'a') + text(b'zip') + b'\x86R.', "codec 'zip'"),
        'a codec without name': (b'\x80\x02c_codecs\nencode\n' + text(b'a') + b'\x85R.', "codec ''"),
        'another decoder': (b'\x80\x02c_codecs\ndecode\n' + text(b'a') + text(b'zip') + b'\x86R.', '_codecs.decode'),
        'a persistent id': (b'\x80\x02' + text(b'x') + b'Q.', 'persistent id'),
        'an extension code': (b'\x80\x02\x82\x01.', 'unregistered extension code 1'),
        'a subclass of ndarray': (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nmemmap\n.', 'numpy.memmap'),
        'an object of a class': (pickle.dumps(io.BytesIO(b'x')), '_io.BytesIO'),
    }  # yapf: disable


@pytest.mark.parametrize('name', list(hostile_pickles(b'marker')))
def test_hostile_pickle_is_refused(tmp_path, name):
    marker = tmp_path / 'marker'
    content, named = hostile_pickles(str(marker).encode())[name]
    with pytest.raises(ValueError) as error:
        load(tmp_path, content)
    assert 'list.pkl: not read: ' in str(error.value) and named in str(error.value)
    assert not marker.exists()


def test_the_hostile_pickles_of_this_test_would_work(tmp_path):
    """Else it would prove nothing that no marker appears."""
    for name in ('os.system', 'eval', 'getattr chain', 'system by INST', 'system by OBJ'):
        marker = tmp_path / name.replace(' ', '_')
        pickle.load(io.BytesIO(hostile_pickles(str(marker).encode())[name][0]))
        assert marker.exists()


def array_pickle(shape, dtype=b'f8', data=b'', state=b'(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb'):
    return (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01' + shape +
            b'cnumpy\ndtype\nU' + bytes([len(dtype)]) + dtype + b'K\x00K\x01\x87R' + state + b'\x89' + data + b'tb.')


def integer(value):
    return b'\x8a\x08' + value.to_bytes(8, 'little', signed=True)


SIXTEEN_BYTES = b'U\x10' + bytes(16)
STRUCTURED = b'(K\x03U\x01<NU\x01a\x85}K\x10K\x08K\x00tb'


def test_array_pickle_of_this_test_is_sound(tmp_path):
    assert load(tmp_path, array_pickle(b'K\x02\x85', data=SIXTEEN_BYTES)).tolist() == [0, 0]


def test_flags_of_a_dtype_are_ignored(tmp_path):
    """With these flags, numpy.dtype would take the numbers for object pointers."""
    content = array_pickle(
        b'K\x02\x85', data=SIXTEEN_BYTES, state=b'(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb')
    assert load(tmp_path, content).tolist() == [0, 0]


def test_object_array_may_contain_itself(tmp_path):
    array = np.array([None, [1, 2]], dtype=object)
    array[0] = array
    read = load(tmp_path, pickle.dumps(array))
    assert read[0] is read and read[1] == [1, 2]


@pytest.mark.skipif(sys.platform != 'linux', reason='memory is bounded on Linux')
@pytest.mark.parametrize('content', [
    b'\x80\x02c__builtin__\nbytearray\n' + integer(2**33) + b'\x85R.',
    b'\x80\x02]r\xff\xff\xff\x7f.',  # the last entry of a table of two billion
])  # yapf: disable
def test_memory_is_bounded(tmp_path, content):
    import resource
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ValueError, match=r'list\.pkl: not read: it takes too much memory for a file of its size'):
        load(tmp_path, content)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize('content, message', [
    (array_pickle(integer(10**12) + b'\x85', data=SIXTEEN_BYTES), 'without its 1000000000000 elements'),
    (array_pickle(integer(2**62) * 2 + b'\x86', data=SIXTEEN_BYTES), 'without its .* elements'),
    (array_pickle(integer(-2) + b'\x85', data=SIXTEEN_BYTES), 'without a shape'),
    (array_pickle(integer(10**12) + b'\x85', b'S0', b'U\x00'), r'<?S0 without its 1000000000000 elements|S0'),
    (array_pickle(b'K\x02\x85', b'O8', SIXTEEN_BYTES), 'without its 2 elements'),
    (array_pickle(integer(10**12) + b'\x85', b'O8', b']'), 'without its 1000000000000 elements'),
    (array_pickle(b'K\x01\x85', b'V16', SIXTEEN_BYTES), "dtype 'V16'"),
    (array_pickle(b'K\x02\x85', b'f8,f8', SIXTEEN_BYTES), "dtype 'f8,f8'"),
    (array_pickle(b'K\x02\x85', data=SIXTEEN_BYTES, state=STRUCTURED), 'structured'),
    (array_pickle(b'K\x02\x85', data=b'N'), 'not read: .*NoneType'),
    (b'\x80\x02cnumpy\nndarray\n' + integer(10**12) + b'\x85\x85R.', 'numpy.ndarray, called'),
    (b'\x80\x02cnumpy\nndarray\n' + integer(10**12) + b'\x85\x85\x81.', 'NEWOBJ|not a type'),
    (b'\x80\x02cnumpy._core.numeric\n_frombuffer\n(U\x10' + bytes(16) + b'cnumpy\ndtype\nU\x01O\x85RK\x02\x85U\x01CtR.',
     'without its 2 elements'),
    (b'\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x01O\x85RU\x08' + bytes(8) + b'\x86R.',
     'without its 1 elements'),
    (array_pickle(b'(' + b'K\x01' * 40 + b't', data=b'U\x08' + bytes(8)), 'without a shape'),
    (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}U\x0c__defaults__)s\x86b.', 'change of a function'),
    (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\nc__builtin__\nset\n)\x86R.', 'a subclass of numpy.ndarray'),
])  # yapf: disable
def test_forged_array_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, content)


@pytest.mark.parametrize('content', [b'', b'no pickle', PYTHON_2_LIST[:60], pickle.dumps([1])[:-1], b'\x80\xff.'])
def test_damaged_file_is_named(tmp_path, content):
    with pytest.raises(ValueError, match=r'list\.pkl: not read: .'):
        load(tmp_path, content)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.pkl'):
        load_plain_pickle(str(tmp_path / 'none.pkl'))


@pytest.mark.parametrize('content', [PYTHON_2_LIST, b'damaged'])
def test_garbage_collector_is_left_on(tmp_path, content):
    try:
        load(tmp_path, content)
    except ValueError:
        pass
    assert gc.isenabled()
