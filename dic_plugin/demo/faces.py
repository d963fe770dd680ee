"""What the page restores: which weights there are, faces of a photograph, synthetic faces."""
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import List, NamedTuple, Optional

from dic_plugin.faces.cautions import weights_cautions
from dic_plugin.faces.detectors import make_detector
from dic_plugin.faces.face_crop import FaceCrop, crop_aligned
from dic_plugin.faces.photograph import Skipped, faces_of_photograph
from dic_plugin.inference import FaceRestorer, RestoredStep
from dic_plugin.synthetic import draw_face

SYNTHETIC_SEED = 7  # no recipe trains or tests on these
DIC_NAMES = (b'first_block.', b'hour_glass.')  # in the paper's code and here; in OpenMMLab
LEGACY_NAMES = 2**20  # bytes; before torch 1.6 files were a pickle with the names, then the numbers


class DemoFace(NamedTuple):
    """A restored face.

    Attributes:
        title: where it is from, in words.
        crop: the face before.
        steps: what every step gave, for this one face (B = 1).
        notes: why the result may be bad, in words.
    """
    title: str
    crop: FaceCrop
    steps: List[RestoredStep]
    notes: List[str]


def find_weights(root: str) -> List[str]:
    """Checkpoints of DIC in a folder and its subfolders: those called latest first, then the newest.

    Files are judged by the names of tensors that stand in them; none is loaded.
    """
    found = [path for path in Path(root).rglob('*.pth') if path.is_file() and _may_hold_dic(path)]
    return [str(path) for path in sorted(found, key=lambda p: ('latest' not in p.name, -p.stat().st_mtime, str(p)))]


def _may_hold_dic(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = b''.join(archive.read(name) for name in archive.namelist() if name.endswith('/data.pkl'))
    except zipfile.BadZipFile:
        names = _legacy_names(path)
    except OSError:
        return False
    return any(name in names for name in DIC_NAMES)


def _legacy_names(path: Path) -> bytes:
    try:
        with open(path, 'rb') as file:
            names = file.read(LEGACY_NAMES)
    except OSError:
        return b''
    return names if names.startswith(b'\x80') else b''  # what is no pickle may be a zip file that is cut off


def get_restorer(path: str, device: Optional[str] = None) -> FaceRestorer:
    """The restorer of a checkpoint; the last two are kept, unless their files change.

    Raises:
        CheckpointError, ValueError: as FaceRestorer.
    """
    path = os.path.expanduser(path)
    changed = os.stat(path).st_mtime_ns if os.path.isfile(path) else 0
    return _make_restorer(path, device, changed)


@lru_cache(maxsize=2)
def _make_restorer(path: str, device: Optional[str], changed: int) -> FaceRestorer:
    return FaceRestorer(path, device)


def restore_synthetic(restorer: FaceRestorer, number: int) -> List[DemoFace]:
    """The synthetic face of this number, from 0, of a series that no recipe trains on.

    Raises:
        ValueError: the number is negative, or the network's faces are of a size in which none can be drawn.
    """
    image, _ = draw_face(SYNTHETIC_SEED, number, restorer.input_size * restorer.upscale)
    crop = crop_aligned(image, restorer.input_size, restorer.upscale)
    return _restore(restorer, [f'Synthetic face {number}'], [crop], [], [[]])


def restore_photo(restorer: FaceRestorer, path: str, aligned: bool = False) -> List[DemoFace]:
    """Every face of a photograph, largest first.

    Args:
        restorer: what restores them.
        path: the photograph.
        aligned: True for a face crop, whose central square is taken without looking for faces.

    Raises:
        ValueError: the file is no image that can be read, or holds no face that can be used.
        ModuleNotFoundError, FileNotFoundError: the detector is missing; the message says where to get it.
    """
    name = os.path.basename(path)
    try:
        found = faces_of_photograph(path, None if aligned else _detector(), restorer.input_size, restorer.upscale)
    except Skipped as error:
        raise ValueError(f'{name}: {error}. Expected a photograph (PNG, JPEG, ...).') from None
    if not found.crops:
        raise ValueError(f'{name}: no face was found. If it shows nothing but a face, say that it is a face crop.')
    titles = [name if aligned else f'{name}, face {number} of {len(found.crops)}'
              for number in range(1, len(found.crops) + 1)]  # yapf: disable
    left_out = [f'a face is left out: {reason}' for reason in found.left_out]
    notes = [[f'{caution.kind} ({caution.detail})' for caution in several] for several in found.cautions]
    of_all = [*weights_cautions(restorer.trained_on, None, True), *left_out]
    return _restore(restorer, titles, found.crops, of_all, notes)


@lru_cache(maxsize=1)
def _detector():
    return make_detector('dlib')


def _restore(restorer: FaceRestorer, titles: List[str], crops: List[FaceCrop], of_all: List[str],
             of_each: List[List[str]]) -> List[DemoFace]:
    steps = restorer([crop.lq for crop in crops]).steps
    faces = []
    for index, (title, crop, notes) in enumerate(zip(titles, crops, of_each)):
        own = [RestoredStep(*(None if value is None else value[index:index + 1] for value in step)) for step in steps]
        faces.append(DemoFace(title, crop, own, [*restorer.notes, *of_all, *notes]))
    return faces
