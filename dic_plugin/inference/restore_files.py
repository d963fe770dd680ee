"""Restores the faces of files: reads, finds and cuts them, restores them in batches, writes the results."""
import errno
import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Callable, DefaultDict, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from dic_plugin.faces.cautions import Caution
from dic_plugin.faces.crop import MARGIN, FaceCrop
from dic_plugin.faces.found_face import Detector
from dic_plugin.faces.photograph import Skipped, faces_of_photograph
from dic_plugin.inference.files import extension, result_names, write_image
from dic_plugin.inference.paste import enlarge_photograph, paste_face, paste_factor
from dic_plugin.inference.restorer import FaceRestorer, RestoredFaces
from dic_plugin.inference.strip import draw_face_strip
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.utils.atomic_write import write_json

FACES, PHOTOS, STRIPS, LANDMARKS = 'faces', 'photos', 'strips', 'landmarks'  # folders of results
MOST_PENDING = 256 * 2**20  # bytes of photographs that wait for a full batch
OF_ONE_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR)  # other errors would meet every file

Say = Callable[[str], None]  # hands one line to people


class Settings(NamedTuple):
    """Settings of the restoration of files.

    Attributes:
        output: folder that the results' folders are made in.
        suffix: put behind the name of every result, after an underscore; '' for none.
        ext: of faces and photographs, see ``files.EXTENSIONS``.
        aligned: files are face crops already. Otherwise a detector is needed.
        paste_back: write photographs with the restored faces in them.
        visualise: write a strip of each face.
        margin: see ``crops.crop_face``.
        min_face: see ``find.find_faces``.
    """
    output: str
    suffix: str = ''
    ext: str = 'png'
    aligned: bool = False
    paste_back: bool = False
    visualise: bool = False
    margin: float = MARGIN
    min_face: Optional[int] = None


@dataclass
class Restored:
    """Results for the files; filled while they are restored, so that it is right after an interruption.

    Attributes:
        written: number of files written.
        num_faces: number of faces restored.
        without_face: files in which no face was found.
        failed: files that could not be used, or whose results could not all be written, and why.
        cautions: by kind, (face, detail) of those that it is about.
    """
    written: int = 0
    num_faces: int = 0
    without_face: List[str] = field(default_factory=list)
    failed: List[Tuple[str, str]] = field(default_factory=list)
    cautions: DefaultDict[str, List[Tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))


class _Job(NamedTuple):
    """A file on its way: name of its results, pixels, faces, and what there is to say about each."""
    path: str
    name: str
    image: np.ndarray
    crops: List[FaceCrop]
    cautions: List[List[Caution]]


def restore_files(files: Sequence[str],
                  restorer: FaceRestorer,
                  settings: Settings,
                  report: Restored,
                  detector: Optional[Detector] = None,
                  say: Say = tqdm.write) -> None:
    """Restore every face of every file.

    A file that cannot be used, or has no face, is said, reported and passed over; so is one with a result that its
    format cannot hold or that its file system cannot name, of which what was written before stays. Of several faces
    one that cannot be cut out is said and left out.

    Args:
        files: images.
        restorer: the weights.
        settings: what to write, and where.
        report: is filled.
        detector: finds the faces, unless the files are aligned.
        say: is handed one line at a time for people.

    Raises:
        ValueError: a result would overwrite its source, or there is no detector, but need of one.
        OSError: results cannot be written, such as for lack of space.
        RuntimeError: the device cannot, such as for lack of memory.
    """
    if detector is None and not settings.aligned:
        raise ValueError('a detector is needed to find faces; expected one, or settings.aligned for face crops.')
    _keep_sources(files, settings)
    pending: List[_Job] = []
    for path, name in zip(tqdm(files, unit='file', disable=None), result_names(files)):
        try:
            job = _open(path, name, restorer, settings, detector, say)
        except (Skipped, OSError, ValueError) as error:
            _fail(path, str(error), report, say)
            continue
        except Exception:  # ends it all, but not what was read before
            _finish(pending, restorer, settings, report, say)
            raise
        if not job.crops:
            report.without_face.append(path)
            say(f'{path}: no face found')
            continue
        pending.append(job)
        full = sum(len(job.crops) for job in pending) >= restorer.batch_size
        if full or sum(job.image.nbytes for job in pending) >= MOST_PENDING:
            _finish(pending, restorer, settings, report, say)
            pending = []
    _finish(pending, restorer, settings, report, say)


def _fail(path: str, reason: str, report: Restored, say: Say) -> None:
    report.failed.append((path, reason))
    say(f'{path}: {reason}')


def _keep_sources(files: Sequence[str], settings: Settings) -> None:
    targets = {os.path.realpath(os.path.join(settings.output, folder)) for folder in (FACES, PHOTOS, STRIPS, LANDMARKS)}
    for path in files:
        if os.path.dirname(os.path.realpath(path)) in targets:
            raise ValueError(f'{path} is in the folder that its result is to be written to; expected another output '
                             f'folder than {settings.output}.')


def _open(path: str, name: str, restorer: FaceRestorer, settings: Settings, detector: Optional[Detector],
          say: Say) -> _Job:
    found = faces_of_photograph(path, None if settings.aligned else detector, restorer.input_size, restorer.upscale,
                                settings.margin, settings.min_face)
    for reason in found.left_out:
        say(f'{path}: a face is left out: {reason}')
    return _Job(path, name, found.image, found.crops, found.cautions)


def _finish(jobs: List[_Job], restorer: FaceRestorer, settings: Settings, report: Restored, say: Say) -> None:
    """Restore the faces of these files, if any, and write their results."""
    if not jobs:
        return
    restored = restorer([crop.lq for job in jobs for crop in job.crops])
    first = 0
    for job in jobs:
        try:
            _write(job, restored, first, restorer, settings, report)
        except ValueError as error:
            _fail(job.path, str(error), report, say)
        except OSError as error:
            if error.errno not in OF_ONE_NAME:
                raise
            _fail(job.path, f'a result cannot be written ({error.strerror})', report, say)
        first += len(job.crops)


def _write(job: _Job, restored: RestoredFaces, first: int, restorer: FaceRestorer, settings: Settings,
           report: Restored) -> None:
    """Write the results of one file, whose faces are those of ``restored`` from ``first`` on."""
    ext = extension(settings.ext, job.path)
    suffix = f'_{settings.suffix}' if settings.suffix else ''

    def target(folder: str, name: str) -> str:
        os.makedirs(os.path.join(settings.output, folder), exist_ok=True)
        return os.path.join(settings.output, folder, name)

    faces = []
    for number, (crop, cautions) in enumerate(zip(job.crops, job.cautions)):
        index = first + number
        name = f'{job.name}{"" if settings.aligned else f"_{number:02d}"}{suffix}'
        write_image(target(FACES, f'{name}{ext}'), restored.faces[index])
        report.written += 1
        report.num_faces += 1
        if settings.visualise:
            write_image(target(STRIPS, f'{name}.png'), draw_face_strip(crop, restored.steps, index))
            report.written += 1
        for caution in cautions:
            report.cautions[caution.kind].append((name, caution.detail))
        faces.append(_describe(crop, f'{FACES}/{name}{ext}', restored.landmarks[index], cautions))
    if settings.paste_back:
        write_image(target(PHOTOS, f'{job.name}{suffix}{ext}'), _paste(job, restored, first, restorer.upscale))
        report.written += 1
    content = dict(
        file=job.path,
        width=job.image.shape[1],
        height=job.image.shape[0],
        weights=os.path.basename(restorer.path),
        order=next((name for name, number in ORDERS.items() if number == restorer.num_keypoints), None),
        faces=faces)
    write_json(target(LANDMARKS, f'{job.name}{suffix}.json'), content)
    report.written += 1


def _describe(crop: FaceCrop, face: str, landmarks: np.ndarray, cautions: Sequence[Caution]) -> Dict[str, Any]:
    return dict(
        face=face,
        box=list(map(int, crop.box)),
        confidence=None if crop.found is None or crop.found.confidence is None else float(crop.found.confidence),
        landmarks=_coordinates(landmarks),
        landmarks_in_file=_coordinates(crop.to_photograph(landmarks)),
        warnings=[f'{caution.kind} ({caution.detail})' for caution in cautions])


def _coordinates(landmarks: np.ndarray) -> List[List[float]]:
    return landmarks.astype(np.float64).round(2).tolist()


def _paste(job: _Job, restored: RestoredFaces, first: int, upscale: int) -> np.ndarray:
    height, width = job.image.shape[:2]
    factor = paste_factor([crop.side for crop in job.crops], restored.faces.shape[1], upscale, width, height)
    canvas = enlarge_photograph(job.image, factor)
    for number, crop in enumerate(job.crops):  # the largest first: a small face in front of it stays
        paste_face(canvas, restored.faces[first + number], crop.box, factor)
    return canvas
