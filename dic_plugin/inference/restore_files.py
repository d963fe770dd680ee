"""Restoration of the faces of files: they are read, detected, cropped and restored in batches; results are written."""
import errno
import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Callable, DefaultDict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from dic_plugin.faces.found_face import Detector
from dic_plugin.faces.photograph import PhotographFaces, Skipped, faces_of_photograph
from dic_plugin.inference.files import extension, result_names, write_image
from dic_plugin.inference.paste import enlarge_photograph, paste_face, paste_factor
from dic_plugin.inference.restorer import FaceRestorer, RestoredFaces
from dic_plugin.inference.strip import draw_face_strip
from dic_plugin.landmarks.layouts import ORDERS
from dic_plugin.utils.atomic_write import write_json

FACES, PHOTOS, STRIPS, LANDMARKS = 'faces', 'photos', 'strips', 'landmarks'  # folders of results
MOST_PENDING = 256 * 2**20  # bytes of photographs that wait for a full batch
OF_ONE_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR)  # other errors would meet every file


class Settings(NamedTuple):
    """Settings of the restoration of files."""
    output: str  # folder in which the results' folders are made
    suffix: str = ''  # put behind the name of every result, after an underscore
    ext: str = 'png'  # format of faces and photographs, one of files.EXTENSIONS
    aligned: bool = False  # files are face crops already; otherwise a detector is needed
    paste_back: bool = False  # write photographs with the restored faces in them
    visualise: bool = False  # write a strip of each face
    margin: Optional[float] = None  # see dic_plugin.faces.crop.square_around; None: that of the weights
    min_face: Optional[int] = None  # see dic_plugin.faces.find.find_faces


@dataclass
class Restored:
    """Results for the files, kept up to date during the restoration, so that they are right after an interruption."""
    written: int = 0  # files
    num_faces: int = 0
    without_face: List[str] = field(default_factory=list)
    failed: List[Tuple[str, str]] = field(default_factory=list)  # files with a result missing, and the reason
    # for each kind, names and details of the faces that it is about
    cautions: DefaultDict[str, List[Tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))


def restore_files(files: Sequence[str],
                  restorer: FaceRestorer,
                  settings: Settings,
                  report: Restored,
                  detector: Optional[Detector] = None,
                  say: Callable[[str], None] = tqdm.write) -> None:
    """Restore every face of every file.

    A file that cannot be used, or has no face, is reported and skipped. So is one with a result that its format cannot
    hold or that its file system cannot name; its earlier results stay. A face that cannot be cropped is left out.

    Args:
        files: Images.
        restorer: The weights.
        settings: Kinds of results and their place.
        report: Is filled.
        detector: Finds the faces, unless the files are aligned.
        say: Prints a line.

    Raises:
        ValueError: A result would overwrite its source, or a detector is needed and missing.
        OSError: Results cannot be written, for example for lack of space.
        RuntimeError: The device fails, for example for lack of memory.
    """
    if detector is None and not settings.aligned:
        raise ValueError('a detector is needed to find faces; expected one, or settings.aligned for face crops.')
    targets = {os.path.realpath(os.path.join(settings.output, folder)) for folder in (FACES, PHOTOS, STRIPS, LANDMARKS)}
    for path in files:
        if os.path.dirname(os.path.realpath(path)) in targets:
            raise ValueError(f'{path} is in the folder that its result is to be written to; expected another output '
                             f'folder than {settings.output}.')
    _Restoration(restorer, settings, report, None if settings.aligned else detector, say).run(files)


class _Job(NamedTuple):
    """A file, the name of its results, and its faces."""
    path: str
    name: str
    found: PhotographFaces


@dataclass
class _Restoration:
    restorer: FaceRestorer
    settings: Settings
    report: Restored
    detector: Optional[Detector]
    say: Callable[[str], None]

    def run(self, files: Sequence[str]) -> None:
        pending: List[_Job] = []
        try:
            for path, name in zip(tqdm(files, unit='file', disable=None), result_names(files)):
                pending += self.read(path, name)
                full = sum(len(job.found.crops) for job in pending) >= self.restorer.batch_size
                if full or sum(job.found.image.nbytes for job in pending) >= MOST_PENDING:
                    jobs, pending = pending, []
                    self.finish(jobs)
        except Exception:  # ends it all, but not the files read before
            self.finish(pending)
            raise
        self.finish(pending)

    def read(self, path: str, name: str) -> List[_Job]:
        """Return the job of a file, or an empty list if there is nothing to restore."""
        try:
            margin = self.restorer.margin if self.settings.margin is None else self.settings.margin
            found = faces_of_photograph(path, self.detector, self.restorer.input_size, self.restorer.upscale, margin,
                                        self.settings.min_face)
        except (Skipped, OSError, ValueError) as error:
            self.fail(path, str(error))
            return []
        for reason in found.left_out:
            self.say(f'{path}: a face is left out: {reason}')
        if not found.crops:
            self.report.without_face.append(path)
            self.say(f'{path}: no face found')
            return []
        return [_Job(path, name, found)]

    def fail(self, path: str, reason: str) -> None:
        self.report.failed.append((path, reason))
        self.say(f'{path}: {reason}')

    def finish(self, jobs: List[_Job]) -> None:
        """Restore the faces of these files and write their results."""
        if not jobs:
            return
        restored = self.restorer([crop.lq for job in jobs for crop in job.found.crops])
        first = 0
        for job in jobs:
            try:
                self.write(job, restored, first)
            except ValueError as error:
                self.fail(job.path, str(error))
            except OSError as error:
                if error.errno not in OF_ONE_NAME:
                    raise
                self.fail(job.path, f'a result cannot be written ({error.strerror})')
            first += len(job.found.crops)

    def write(self, job: _Job, restored: RestoredFaces, first: int) -> None:
        """Write the results of one file, whose faces are those of ``restored`` from ``first`` on."""
        settings, restorer, image = self.settings, self.restorer, job.found.image
        ext = extension(settings.ext, job.path)
        suffix = f'_{settings.suffix}' if settings.suffix else ''
        faces = []
        for number, (crop, cautions) in enumerate(zip(job.found.crops, job.found.cautions)):
            index = first + number
            name = f'{job.name}{"" if settings.aligned else f"_{number:02d}"}{suffix}'
            self.save(write_image, FACES, f'{name}{ext}', restored.faces[index])
            self.report.num_faces += 1
            if settings.visualise:
                self.save(write_image, STRIPS, f'{name}.png', draw_face_strip(crop, restored.steps, index))
            for caution in cautions:
                self.report.cautions[caution.kind].append((name, caution.detail))
            confidence = None if crop.found is None else crop.found.confidence
            landmarks = restored.landmarks[index].astype(np.float64)
            faces.append(
                dict(
                    face=f'{FACES}/{name}{ext}',
                    box=list(map(int, crop.box)),
                    confidence=None if confidence is None else float(confidence),
                    landmarks=landmarks.round(2).tolist(),
                    landmarks_in_file=crop.to_photograph(landmarks).round(2).tolist(),
                    warnings=[f'{caution.kind} ({caution.detail})' for caution in cautions]))
        if settings.paste_back:
            self.save(write_image, PHOTOS, f'{job.name}{suffix}{ext}',
                      _paste(job, restored.faces[first:first + len(faces)], restorer.upscale))
        content = dict(
            file=job.path,
            width=image.shape[1],
            height=image.shape[0],
            weights=os.path.basename(restorer.path),
            order=next((name for name, number in ORDERS.items() if number == restorer.num_keypoints), None),
            faces=faces)
        self.save(write_json, LANDMARKS, f'{job.name}{suffix}.json', content)

    def save(self, write: Callable[[str, Any], None], folder: str, name: str, content: Any) -> None:
        os.makedirs(os.path.join(self.settings.output, folder), exist_ok=True)
        write(os.path.join(self.settings.output, folder, name), content)
        self.report.written += 1


def _paste(job: _Job, faces: np.ndarray, upscale: int) -> np.ndarray:
    height, width = job.found.image.shape[:2]
    crops = job.found.crops
    factor = paste_factor([crop.side for crop in crops], faces.shape[1], upscale, width, height)
    canvas = enlarge_photograph(job.found.image, factor)
    for crop, face in zip(crops, faces):  # the largest first: a small face in front of it stays
        paste_face(canvas, face, crop.box, factor)
    return canvas
