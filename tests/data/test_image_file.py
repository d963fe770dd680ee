"""The image reader: orientation, whole and cut JPEGs, alpha, formats, what is no image; the files of a folder."""
import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dic_plugin.data.image_file import TRANSPARENT, decode_image, decode_rgb, describe_others, images_among

BLOCKS = np.kron(np.random.RandomState(0).randint(0, 256, (3, 2, 3)), np.ones((16, 16, 1))).astype(np.uint8)
LOSSY = {'JPEG': dict(quality=95), 'AVIF': dict(quality=95), 'WEBP': dict(lossless=True), 'HEIF': dict(quality=95)}


def encoded(image, form, **options):
    file = io.BytesIO()
    if form == 'HEIF':
        pytest.importorskip('pillow_heif', reason='needs pillow-heif').from_pillow(image).save(file, **options)
    else:
        image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'])
def test_the_orientation_tag_counts_in_every_format(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(BLOCKS), form, exif=exif, **LOSSY.get(form, {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert('RGB'))
    pixels = decode_rgb(content, 'x')
    assert pixels.shape == expected.shape == ((48, 32, 3) if orientation < 5 else (32, 48, 3))
    assert np.abs(pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize('form, ending', [('GIF', 'gif'), ('AVIF', 'avif'), ('JPEG2000', 'jp2'), ('JPEG', 'jfif'),
                                          ('HEIF', 'heic')])
def test_further_formats(form, ending):
    content = encoded(Image.fromarray(BLOCKS), form, **LOSSY.get(form, {}))
    assert np.abs(decode_rgb(content, f'face.{ending}').astype(int) - BLOCKS).mean() < 6
    assert images_among([f'a.{ending}', f'B.{ending.upper()}', 'c.txt']) == ([f'B.{ending.upper()}', f'a.{ending}'], {
        '.txt': 1
    })


def test_the_first_picture_of_an_animation():
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    content = encoded(frames[0], 'GIF', save_all=True, append_images=frames[1:])
    assert np.unique(decode_rgb(content, 'x')).tolist() == [10]


# ---------------------------------------------------------------- whole and cut JPEGs
def jpeg(progressive=False, **options):
    noise = np.random.RandomState(1).randint(0, 256, (64, 64, 3), np.uint8)
    return encoded(Image.fromarray(noise), 'JPEG', quality=90, progressive=progressive, **options)


def with_thumbnail():
    """A whole JPEG in a segment of another."""
    inner = b'Exif\0\0' + encoded(Image.fromarray(BLOCKS), 'JPEG')
    whole = jpeg()
    return whole[:2] + b'\xff\xe1' + struct.pack('>H', len(inner) + 2) + inner + whole[2:]


@pytest.mark.parametrize(
    'behind',
    [b'', b'\0' * 100, b'\0\0\0\x18ftypmp42' + bytes(range(256)) * 8, b'\xff\xda' + bytes(range(256)),
     jpeg()[:500]])
@pytest.mark.parametrize(
    'content',
    [jpeg(), jpeg(True), with_thumbnail(), jpeg(restart_marker_blocks=1)],
    ids=['baseline', 'progressive', 'thumbnail', 'restarts'])
def test_a_whole_jpeg_is_read_whatever_stands_behind_it(content, behind):
    assert np.array_equal(decode_rgb(content + behind, 'x'), decode_rgb(content, 'x'))
    assert decode_image(content, 'x').is_jpeg


@pytest.mark.parametrize(
    'content',
    [jpeg(), jpeg(True), with_thumbnail(), jpeg(restart_marker_blocks=1)],
    ids=['baseline', 'progressive', 'thumbnail', 'restarts'])
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_jpeg_cut_anywhere_is_refused(content, part):
    with pytest.raises(ValueError, match='^x: cannot be decoded; the (JPEG|file) is truncated'):
        decode_rgb(content[:int(part * (len(content) - 1))], 'x')


# ---------------------------------------------------------------- alpha
def rgba(alpha):
    return np.dstack([BLOCKS, np.broadcast_to(np.uint8(alpha), BLOCKS.shape[:2])])


@pytest.mark.parametrize('alpha', [0, 255])
def test_an_alpha_channel_of_one_extreme_is_none(alpha):
    picture = decode_image(encoded(Image.fromarray(rgba(alpha)), 'PNG'), 'x')
    assert np.array_equal(picture.pixels, BLOCKS) and picture.notes == ()


def test_a_bitmap_with_unused_alpha_is_as_displayed():
    header = struct.pack('<IiiHHIIiiII', 108, 2, -2, 1, 32, 3, 16, 2835, 2835, 0, 0)
    masks = struct.pack('<IIII', 0xff0000, 0xff00, 0xff, 0xff000000) + b'\0' * 52
    pixels = np.uint8([[[1, 2, 3, 0], [4, 5, 6, 0]], [[7, 8, 9, 0], [10, 11, 12, 0]]])  # BGRA
    content = b'BM' + struct.pack('<IHHI', 14 + 108 + 16, 0, 0, 14 + 108) + header + masks + pixels.tobytes()
    assert np.array_equal(decode_rgb(content, 'x.bmp'), pixels[:, :, 2::-1])


def test_transparent_parts_are_laid_over_black_and_that_is_said():
    alpha = np.zeros((48, 32))
    alpha[:24] = 255
    picture = decode_image(encoded(Image.fromarray(rgba(alpha)), 'PNG'), 'x')
    assert np.array_equal(picture.pixels[:24], BLOCKS[:24]) and not picture.pixels[24:].any()
    assert picture.notes == (TRANSPARENT, )


# ---------------------------------------------------------------- what is no image
@pytest.mark.parametrize('content, message', [
    (b'RIFF\x24\x00\x00\x00AVI LIST' + b'\0' * 64, 'it is a video; .*ffmpeg -i VIDEO'),
    (b'\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41', 'it is a video'),
    (b'\0\0\0\x14ftypqt  \0\0\2\0qt  ', 'it is a video'),
    (b'\x1aE\xdf\xa3' + b'\0' * 40, 'it is a video'),
    (b'\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf', '(pip install .dic_plugin.heif|truncated or damaged)'),
    (b'\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf', 'truncated'),
    (b'<!doctype html><html>', 'truncated, damaged or no image'),
    (b'', 'truncated, damaged or no image'),
])  # yapf: disable
def test_what_cannot_be_read_is_named_for_what_it_is(content, message):
    with pytest.raises(ValueError, match=f'^film.jpg: cannot be decoded; .*{message}'):
        decode_rgb(content, 'film.jpg')


def test_heic_without_its_library_says_what_to_install():
    code = ("import sys; sys.modules['pillow_heif'] = None\n"
            'from dic_plugin.data.image_file import decode_rgb\n'
            "decode_rgb(b'\\0\\0\\0\\x1cftypheic\\0\\0\\0\\0mif1heicmiaf', 'a.heic')")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert "a.heic: cannot be decoded; it is HEIC, which needs pillow-heif: `pip install" in done.stderr


@given(content=st.binary(max_size=200), start=st.sampled_from([
    b'', b'\xff\xd8', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'\0\0\0\x1cftypavif', b'\0\0\0\x1cftypheic', b'GIF89a',
    b'RIFF\x24\x00\x00\x00WEBP', b'II*\0', b'BM'
]))  # yapf: disable
def test_any_bytes_give_an_image_or_one_error(content, start):
    try:
        assert decode_rgb(start + content, 'x').ndim == 3
    except ValueError as error:
        assert str(error).startswith('x: ')


def test_a_damaged_orientation_tag_is_none():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(BLOCKS), 'PNG', exif=exif)
    at = content.index(b'eXIf')
    damaged = content[:at + 8] + b'\xff' * 10 + content[at + 18:]
    assert decode_rgb(damaged, 'x').shape in ((48, 32, 3), (32, 48, 3))


# ---------------------------------------------------------------- the files of a folder
def test_files_of_a_folder_are_sorted_out():
    names = ['b.PNG', 'a.jfif', 'film.MP4', 'notes.txt', 'README', '.DS_Store', 'more.txt', 'x.tar.gz']
    images, others = images_among(names)
    assert images == ['a.jfif', 'b.PNG'] and others == {'.mp4': 1, '.txt': 2, '': 1, '.gz': 1}
    line = describe_others(others)
    assert line.startswith('no images: 1 without ending, 1 .gz, 1 .mp4 (ffmpeg -i VIDEO') and line.endswith(', 2 .txt')
    assert describe_others({}) is None
