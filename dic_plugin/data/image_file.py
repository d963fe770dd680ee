"""The one reader of image files: bytes in, 8-bit RGB out, as viewers display it, whatever is stored."""
import io
import re
import struct
from collections import Counter
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from PIL import Image, ImageOps, features

__all__ = [
    'IMAGE_EXTENSIONS', 'SYSTEM_FOLDERS', 'Picture', 'decode_image', 'decode_rgb', 'describe_others', 'images_among'
]

IMAGE_EXTENSIONS = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.gif', '.avif',
                    '.jp2', '.heic', '.heif')
VIDEO_EXTENSIONS = ('.mp4', '.mov', '.m4v', '.avi', '.mkv', '.webm', '.3gp', '.mpg', '.mpeg', '.wmv')
# of file servers and desktops; what they hold is a copy of a picture elsewhere, or was thrown away
SYSTEM_FOLDERS = ('@eadir', '#recycle', '@recycle', '$recycle.bin', 'lost+found', '.thumbnails')
VIDEO = 'it is a video; expected an image. ffmpeg -i VIDEO frames/%05d.png makes images of one'
HEIC = "it is HEIC, which needs pillow-heif: `pip install 'dic_plugin[heif]'`, or save it as PNG or JPEG"
TRANSPARENT = 'transparent parts are laid over black'
JPEG = b'\xff\xd8'


class Picture(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: uint8 RGB (H, W, 3).
        is_jpeg: Whether it comes from a JPEG, whatever its name.
        notes: What was done to it that its owner should know.
    """
    pixels: np.ndarray
    is_jpeg: bool = False
    notes: Tuple[str, ...] = ()


def decode_image(content: bytes, name: str) -> Picture:
    """Decode an image file.

    Grey, palette and CMYK images become RGB, 16-bit values are scaled to 8 and rounded, the first picture of an
    animation is taken. The orientation tag counts in every format. An alpha channel that is 0 everywhere is none;
    otherwise the image is laid over black.

    Args:
        content: The bytes of the file.
        name: What to call it in an error.

    Raises:
        ValueError: the bytes are truncated, damaged, no image, a video, HEIC without pillow-heif, or hold other than 8-
            or 16-bit values.
    """
    if content[:2] == JPEG and not _is_whole(content):
        raise ValueError(f'{name}: cannot be decoded; the JPEG is truncated.')
    brands = content[8:40] if content[4:8] == b'ftyp' else b''
    if b'avif' in brands and features.check('avif'):  # OpenCV does not turn it
        img = _decode_by_pillow(content, name)
    elif any(brand in brands for brand in (b'heic', b'heix', b'hevc', b'heim', b'heis')):
        img = _decode_by_pillow(content, name)
    elif brands and b'avi' not in brands or content[8:12] == b'AVI ' or content[:4] == b'\x1aE\xdf\xa3':
        raise ValueError(f'{name}: cannot be decoded; {VIDEO}.')
    else:
        img = _decode(content, name)
    if img.dtype == np.uint16:
        img = np.round(img / 257.).astype(np.uint8)
    channels = 1 if img.ndim == 2 else img.shape[2]
    if img.dtype != np.uint8 or channels not in (1, 3, 4):
        raise ValueError(f'{name}: has {channels} channels of {img.dtype}; expected grey, RGB or RGBA of 8 or 16 bits.')
    notes: Tuple[str, ...] = ()
    if channels == 4:
        alpha = img[:, :, 3:]
        img = img[:, :, :3]
        if alpha.any() and alpha.min() < 255:
            img = np.round(img * (alpha / 255.)).astype(np.uint8)
            notes = (TRANSPARENT, )
    rgb = cv2.cvtColor(img, cv2.COLOR_GRAY2RGB if channels == 1 else cv2.COLOR_BGR2RGB)
    return Picture(rgb, content[:2] == JPEG, notes)


def decode_rgb(content: bytes, name: str) -> np.ndarray:
    """Return the pixels of :func:`decode_image`."""
    return decode_image(content, name).pixels


def images_among(names: Iterable[str]) -> Tuple[List[str], Dict[str, int]]:
    """Return the file names with an image's ending, sorted, and how many others there are by ending.

    Hidden files (``.DS_Store``) are passed over without a word.
    """
    seen = sorted(name for name in names if not name.startswith('.'))
    images = [name for name in seen if name.lower().endswith(IMAGE_EXTENSIONS)]
    others = Counter(_ending(name) for name in seen if not name.lower().endswith(IMAGE_EXTENSIONS))
    return images, dict(others)


def describe_others(others: Dict[str, int]) -> Optional[str]:
    """Return a line about files that are no images, by ending; None if there are none.

    >>> describe_others({'.txt': 2, '': 1, 'folder @eaDir': 1})
    'no images: 1 without ending, 2 .txt, 1 folder @eaDir'
    """
    video = ' (ffmpeg -i VIDEO frames/%05d.png makes images of a video)'
    parts = [
        f'{number} {ending or "without ending"}{video if ending in VIDEO_EXTENSIONS else ""}'
        for ending, number in sorted(others.items())
    ]
    return f'no images: {", ".join(parts)}' if parts else None


def _ending(name: str) -> str:
    return re.sub(r'^.*?(\.\w+)?$', r'\1', name.lower(), flags=re.DOTALL)


def _decode(content: bytes, name: str) -> np.ndarray:
    # JPEGs in colour, CMYK included; the others as stored, to see alpha and 16 bits
    flag = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION if content[:2] == JPEG else cv2.IMREAD_UNCHANGED
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), flag) if content else None
    except cv2.error as error:  # more pixels than OpenCV allows, for example
        raise ValueError(f'{name}: cannot be decoded ({" ".join(str(error).split())}).') from error
    if img is None:
        raise ValueError(
            f'{name}: cannot be decoded; the file is truncated, damaged or no image ({len(content)} bytes).')
    tiff = content[:4] in (b'II*\0', b'MM\0*')  # which OpenCV turns itself
    return img if tiff else _turned(img, _orientation(content))


def _orientation(content: bytes) -> int:
    if not any(word in content for word in (b'Exif', b'eXIf', b'EXIF', b'exif', b'Orientation')):
        return 1  # most images: looking for the words costs less than opening the file again
    try:
        with Image.open(io.BytesIO(content)) as image:
            return int(image.getexif().get(0x0112, 1))
    except (OSError, ValueError, SyntaxError, TypeError, struct.error):  # a damaged tag is none
        return 1


def _turned(img: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror an image as its orientation tag (1 to 8) asks for."""
    if orientation in (5, 6, 7, 8):
        img = img.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        img = img[:, ::-1]
    if orientation in (3, 4, 7, 8):
        img = img[::-1]
    return np.ascontiguousarray(img)


def _decode_by_pillow(content: bytes, name: str) -> np.ndarray:
    """Return BGR or BGRA of an AVIF or HEIC file."""
    try:
        if b'avif' in content[8:40]:
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        else:
            import pillow_heif
            image = pillow_heif.open_heif(io.BytesIO(content)).to_pillow()  # upright
        img = np.asarray(image.convert('RGBA' if 'A' in image.getbands() else 'RGB'))
    except ImportError as error:
        raise ValueError(f'{name}: cannot be decoded; {HEIC}.') from error
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        raise ValueError(f'{name}: cannot be decoded; the file is truncated or damaged ({error}).') from error
    return np.concatenate([img[:, :, 2::-1], img[:, :, 3:]], axis=2)


_MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')  # in a scan: not a 255 of the data, not a restart


def _is_whole(content: bytes) -> bool:
    """Return whether a JPEG reaches its end marker. Pictures inside its segments and data behind it do not count."""
    at = 2
    while at + 4 <= len(content) or content[at:at + 2] == b'\xff\xd9':
        marker = content[at + 1]
        if content[at] != 0xff:
            return True  # not as a JPEG is made: the decoder decides
        if marker == 0xff:  # filling
            at += 1
        elif marker == 0xd9:
            return True
        elif marker == 0x01 or 0xd0 <= marker <= 0xd8:  # without a length
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2:at + 4], 'big')
            if marker == 0xda:  # the scan: to the next marker
                found = _MARKER.search(content, at)
                if found is None:
                    return False
                at = found.start()
    return False
