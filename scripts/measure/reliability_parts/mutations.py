"""Ways in which a file goes bad. Every one takes the file, a source of random numbers and other valid files."""
import io
import os
import pickle
import random
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Callable, Dict, List

Mutation = Callable[[Path, random.Random, List[Path]], None]
HUGE = 60_000  # pixels
NUMBERS = ('nan', 'inf', '-inf', '1e999', '-1', '99999999999', 'x', '', '0x1p3', '1,5', '١٢')


def truncate(path: Path, rng: random.Random, others: List[Path]) -> None:
    data = path.read_bytes()
    places = [
        0, 1, 2, 8, 64,
        len(data) // 4,
        len(data) // 2,
        len(data) - 2,
        len(data) - 1,
        rng.randrange(len(data) + 1)
    ]
    path.write_bytes(data[:max(rng.choice(places), 0)])


def flip_bits(path: Path, rng: random.Random, others: List[Path]) -> None:
    data = bytearray(path.read_bytes())
    near = rng.choice([64, 1024, len(data)])  # headers are where it hurts
    for _ in range(rng.choice([1, 1, 8, 100])):
        data[rng.randrange(min(near, len(data)))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def overwrite(path: Path, rng: random.Random, others: List[Path]) -> None:
    data = bytearray(path.read_bytes())
    begin = rng.randrange(len(data))
    length = rng.choice([4, 32, 512])
    data[begin:begin + length] = rng.choice([b'\0', b'\xff', b'\x80']) * min(length, len(data) - begin)
    path.write_bytes(data)


def insert(path: Path, rng: random.Random, others: List[Path]) -> None:
    data = path.read_bytes()
    place = rng.randrange(len(data) + 1)
    path.write_bytes(data[:place] + rng.randbytes(rng.choice([1, 7, 300])) + data[place:])


def swap(path: Path, rng: random.Random, others: List[Path]) -> None:
    shutil.copyfile(rng.choice(others), path)


def text_instead(path: Path, rng: random.Random, others: List[Path]) -> None:
    path.write_text(rng.choice(['', '\n', 'nothing', '<!doctype html><title>404</title>', '{}', '[]', '\0' * 100]))


def random_bytes(path: Path, rng: random.Random, others: List[Path]) -> None:
    path.write_bytes(rng.randbytes(rng.choice([1, 100, 20_000])))


def number(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Replace a number of a text."""
    data = path.read_bytes().decode(errors='replace')
    places = list(re.finditer(r'-?\d+(\.\d+)?', data))
    place = rng.choice(places)
    path.write_text(data[:place.start()] + rng.choice(NUMBERS) + data[place.end():], encoding='utf-8')


def line(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Drop, double, cut or swap a line of a text."""
    lines = path.read_bytes().splitlines(keepends=True) or [b'']
    index = rng.randrange(len(lines))
    what = rng.choice(['drop', 'double', 'cut', 'swap', 'glue'])
    if what == 'drop':
        del lines[index]
    elif what == 'double':
        lines.insert(index, lines[index])
    elif what == 'cut':
        lines[index] = lines[index][:len(lines[index]) // 2]
    elif what == 'swap':
        other = rng.randrange(len(lines))
        lines[index], lines[other] = lines[other], lines[index]
    else:
        lines[index] = lines[index].rstrip(b'\r\n')
    path.write_bytes(b''.join(lines))


def encoding(path: Path, rng: random.Random, others: List[Path]) -> None:
    text = path.read_bytes().decode(errors='replace')
    path.write_bytes(text.encode(rng.choice(['utf-16', 'utf-8-sig', 'utf-32', 'cp037'])))


def folder_instead(path: Path, rng: random.Random, others: List[Path]) -> None:
    path.unlink()
    path.mkdir()


def link(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Put a symbolic link in its place: to nowhere, to itself, to another file, to a device that never ends."""
    target = rng.choice(
        ['nowhere', path.name,
         os.fspath(rng.choice(others)), '/dev/zero', '/dev/null', '/etc/hostname'])
    path.unlink()
    path.symlink_to(target)


def pipe(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Put a named pipe in its place, which nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def unreadable(path: Path, rng: random.Random, others: List[Path]) -> None:
    path.chmod(0)


def missing(path: Path, rng: random.Random, others: List[Path]) -> None:
    path.unlink()


def huge_image(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Declare 60,000 x 60,000 pixels in a few bytes."""
    size = struct.pack('>II', HUGE, HUGE)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

    packed = zlib.compress(b'\0' * 10**6)
    png = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size + b'\x08\x02\0\0\0') + chunk(b'IDAT', packed) + chunk(b'IEND', b'')
    bmp = b'BM' + struct.pack('<IHHI', 54, 0, 0, 54) + struct.pack('<IiiHHIIiiII', 40, HUGE, HUGE, 1, 24, 0, 0, 0, 0, 0,
                                                                   0)
    ppm = f'P6 {HUGE} {HUGE} 255\n'.encode()
    gif = b'GIF89a' + struct.pack('<HH', HUGE, HUGE) + b'\x80\0\0' + b'\0' * 6 + b',' + b'\0' * 4 + struct.pack(
        '<HH', HUGE, HUGE) + b'\0\x02\x02\x4c\x01\0;'
    path.write_bytes(rng.choice([png, bmp, ppm, gif]))


def huge_array(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Declare 2^40 numbers, or pack many zeros, in an archive of arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name in ('landmarks', 'names', 'size', 'order'):
            if rng.random() < 0.5:
                shape, body = (2**40, 68, 2), b'\0' * 100
            else:
                shape, body = (3 * 10**6, 68, 2), b'\0' * 10**8  # a bomb: 100 MB of a billion bytes declared
            header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
            archive.writestr(f'{name}.npy', b'\x93NUMPY\x01\0' + struct.pack('<H',
                                                                             len(header) + 1) + header + b'\n' + body)
    path.write_bytes(buffer.getvalue())


class _Runs:
    """What a hostile pickle calls: it leaves a file behind, reads one, or asks for memory."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def hostile_pickle(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Call something when loaded, or grow without end."""
    bombs: List[bytes] = [
        pickle.dumps(_Runs(os.mkdir, str(path.parent / 'RAN')), 2),
        pickle.dumps(_Runs(open, '/etc/hostname'), 2),
        pickle.dumps(_Runs(bytearray, 2**36), 2),
        pickle.dumps(_Runs(eval, '[0] * 2**34'), 2),
        b'\x80\x04\x8e' + struct.pack('<Q', 2**40) + b'x',  # bytes of a terabyte
        b'\x80\x02]q\0' + b'(' + b'h\0' * 20 + b'e' + b'h\0a' * 10**6 + b'.',
        b'\x80\x02' + b'(K\x01' + b'2' * 10**6 + b'l.',
        b'\x80\x02' + b''.join(b'](' + b'K\x01' * 2 + b'e' for _ in range(10**5)) + b'.',
        b'(' * 10**6 + b'.',
        b'I' + b'9' * 10**6 + b'\n.',
    ]
    path.write_bytes(rng.choice(bombs))


def hostile_zip(path: Path, rng: random.Random, others: List[Path]) -> None:
    """Pack a hostile pickle, or a gigabyte of zeros, as torch.save packs tensors."""
    hostile_pickle(path, rng, others)
    inner = path.read_bytes()
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/version', '3\n')
        archive.writestr('archive/byteorder', 'little')
        archive.writestr('archive/data.pkl', b'\0' * 10**8 if rng.random() < 0.2 else inner)


ANY: Dict[str, Mutation] = dict(
    truncated=truncate,
    flipped=flip_bits,
    overwritten=overwrite,
    inserted=insert,
    swapped=swap,
    text=text_instead,
    noise=random_bytes,
    folder=folder_instead,
    link=link,
    pipe=pipe,
    unreadable=unreadable,
    missing=missing)
TEXT: Dict[str, Mutation] = dict(ANY, number=number, line=line, encoding=encoding)
IMAGE: Dict[str, Mutation] = dict(ANY, huge=huge_image)
ARRAYS: Dict[str, Mutation] = dict(ANY, huge=huge_array)
PICKLE: Dict[str, Mutation] = dict(ANY, hostile=hostile_pickle)
WEIGHTS: Dict[str, Mutation] = dict(ANY, hostile=hostile_pickle, packed=hostile_zip)
