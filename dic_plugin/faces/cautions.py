"""Warnings about inputs that are likely to give poor results, grouped by kind."""
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from dic_plugin.faces.crop import FaceCrop

JPEG_FROM = 64  # pixels of a face; below, JPEG costs more than 0.2 dB (docs/inference.md)
MOST_SHRUNK = 1.5  # a face larger than this times the input has more detail than its restoration
BAR = 0.04  # of the side: narrower bars are ignored
EVEN = 10  # levels, of 255, that a bar's pixels may differ by


class Caution(NamedTuple):
    """A reason why a result may be poor."""
    kind: str  # a sentence that is printed once for all faces of its kind
    detail: str  # a few words about this face


def cautions_of(crop: FaceCrop, image: np.ndarray, jpeg: bool, input_size: int) -> List[Caution]:
    """Return the warnings about one face.

    Args:
        crop: The face.
        image: The image that it was cut from, uint8 RGB (H, W, 3).
        jpeg: The image comes from a JPEG.
        input_size: Side of the faces that the network was trained on.
    """
    side, (height, width) = crop.side, image.shape[:2]
    x0, y0, x1, y1 = crop.box
    bars = letterbox(image[max(y0, 0):y1, max(x0, 0):x1])
    trained, size = f'{input_size}x{input_size}', f'{width}x{height}'
    resized = crop.found is None and (width, height) != (input_size, input_size)
    found = [
        (jpeg and side < JPEG_FROM,
         f'JPEG leaves traces in faces of less than {JPEG_FROM} pixels; take a lossless original (PNG)', f'{side} px'),
        (crop.found is not None and max(width, height) <= MOST_SHRUNK * input_size,
         'photographs no larger than a face crop may be face crops already; give --aligned then', size),
        (resized, f'face crops of another size than the trained one, {trained}, are resized to it',
         size + ('' if width == height else ', its central square')),
        (not resized and side > MOST_SHRUNK * input_size,
         f'large faces are shrunk to {trained} first, so that the photograph has more detail than the result',
         f'{side} px'),
        (not resized and side < input_size, f'faces of less than {trained} pixels were not trained on', f'{side} px'),
        (bars is not None, 'face crops seem to be letterboxed (even bars on two sides); take the face alone', str(bars))
    ]  # yapf: disable
    return [Caution(kind, detail) for applies, kind, detail in found if applies]


def weights_cautions(trained_on: Optional[Tuple[str, str]], wanted: Optional[str], photographs: bool) -> List[str]:
    """Return the warnings about weights.

    Args:
        trained_on: Name and type of the training set, as the checkpoint records it.
        wanted: The training set that the user expects, such as 'celeba'.
        photographs: Faces are looked for in photographs.
    """
    if trained_on is None:
        return [] if wanted is None else [f'the weights do not record what they were trained on; asked for {wanted!r}']
    name, kind = trained_on
    cautions = []
    if wanted is not None and wanted.lower() not in f'{name} {kind}'.lower():
        cautions.append(f'the weights were trained on {name} ({kind}), not on {wanted!r}')
    if photographs and kind == 'SyntheticFaceDataset':
        cautions.append(
            'the weights were trained on synthetic faces: they do not restore photographs (docs/inference.md)')
    return cautions


def letterbox(image: np.ndarray) -> Optional[str]:
    """Describe the bars on two opposite sides of an image; None if there are none.

    >>> image = np.random.RandomState(0).randint(0, 256, (40, 40, 3), np.uint8)
    >>> image[:5] = image[-4:] = 0
    >>> letterbox(image)
    '5 and 4 of 40 rows'
    """
    for words, lines in (('rows', image), ('columns', image.swapaxes(0, 1))):
        first, last = _bar(lines), _bar(lines[::-1])
        alike = np.abs(lines[0, 0].astype(int) - lines[-1, 0]).max() <= EVEN
        if min(first, last) >= max(BAR * len(lines), 1) and first < len(lines) and alike:
            return f'{first} and {last} of {len(lines)} {words}'
    return None


def _bar(lines: np.ndarray) -> int:
    """Return how many of the first lines have the first pixel's colour."""
    differs = np.abs(lines.astype(int) - lines[0, 0]).max(axis=(1, 2)) > EVEN
    return int(differs.argmax()) if differs.any() else len(lines)
