"""Preparation of a folder of photographs by several processes.

The set appears under its name by one rename, when it is complete. Until then everything is in ``<output>.unfinished``:
the settings and, for each finished photograph, its PNG files and a record, which is written last. A run with the same
settings continues there. The result depends neither on interruptions nor on the number of workers.
"""
import os
import re
import shutil
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from dic_plugin.faces.detectors import make_detector
from dic_plugin.faces.found_face import Detector
from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.finish import (
    Counts,
    build_set,
    count,
    leave_out_copies,
    load_result,
    save_result,
    write_skipped,
)
from dic_plugin.prepare.formats import open_annotations
from dic_plugin.prepare.formats.annotations import BAD_FILE, Annotations
from dic_plugin.prepare.formats.celeba_text import read_five_points
from dic_plugin.prepare.formats.names import match_names
from dic_plugin.prepare.photo import Photo
from dic_plugin.prepare.photographs import list_photographs
from dic_plugin.prepare.process import CropSettings, PreparedFace, SkippedPhoto, Task, prepare_photo
from dic_plugin.prepare.settings import describe_settings, read_record
from dic_plugin.prepare.splits import NUMBER, read_split
from dic_plugin.prepare.workers import worker_map
from dic_plugin.utils.atomic_write import write_json

__all__ = ['NothingPrepared', 'prepare']

PHOTOS_PER_FOLDER = 1000  # of the results; also the number of photographs that are handed to the workers at a time
FEW_PHOTOS = 64  # are finished before workers would have started


class NothingPrepared(Exception):
    """No photograph gave a face; the message lists the reasons."""


def prepare(options: Any) -> Tuple[Counts, bool]:
    """Prepare a folder of photographs, or continue an interrupted preparation.

    Args:
        options: As :func:`dic_plugin.cli.prepare.parse` returns.

    Returns:
        The counts of faces and photographs, and False if the set existed already.

    Raises:
        ValueError, FileNotFoundError, FileExistsError: options or files are not valid; nothing was changed.
        NothingPrepared: no photograph gave a face.
        KeyboardInterrupt: interrupted; finished photographs are kept.
    """
    output = os.path.normpath(options.output)
    if os.path.islink(output):  # to a larger disk, for example: the set belongs there, and the link stays
        output = os.path.realpath(output)
    unfinished = f'{output}.unfinished'
    photos, unusable, others = list_photographs(options.photos, output)
    planner = _Planner(options, photos)
    annotations, detector = planner.annotations, planner.detector
    settings = describe_settings(options, photos, detector.model if detector else None)
    record = read_record(os.path.join(output, 'prepared.json'), settings)
    if record is not None:
        shutil.rmtree(unfinished, ignore_errors=True)  # left by a run that was killed after the set was complete
        return Counts(**record['counts']), False
    if os.path.exists(output) and not (os.path.isdir(output) and not os.listdir(output)):
        raise FileExistsError(f'{output!r} exists and was not made by this tool; expected a new folder (-o).')

    planner.check_landmark_files(photos)
    os.makedirs(unfinished, exist_ok=True)
    try:  # the operating system releases the lock when a run ends, however it ends
        only_run = FileLock(os.path.join(unfinished, 'lock')).acquire(timeout=0)
    except Timeout as error:
        raise FileExistsError(f'{unfinished!r}: another run is working there.') from error
    with only_run:
        if read_record(os.path.join(unfinished, 'settings.json'), settings) is None:
            write_json(os.path.join(unfinished, 'settings.json'), {'settings': settings})
        results = _prepare_photos(unfinished, photos, planner, options)
        if re.fullmatch(NUMBER, options.split):  # otherwise the user chose the test photographs
            leave_out_copies(results)
        faces = {stem: result for stem, result in results.items() if isinstance(result, PreparedFace)}
        skipped = [result for result in results.values() if isinstance(result, SkippedPhoto)]
        skipped += [SkippedPhoto(relative, '', reason) for relative, reason in unusable]
        skipped += [SkippedPhoto(file, '', f'{BAD_FILE} ({reason})') for file, reason in planner.bad_files]
        lost = annotations.missing(photos) if annotations else []
        skipped += [SkippedPhoto(name, '', 'annotated, but no such photograph') for name in lost]
        counts = count(list(faces.values()), skipped, others)
        if not faces:
            table = os.path.join(unfinished, 'skipped.csv')
            write_skipped(table, skipped)
            reasons = '; '.join(f'{reason} ({num})' for reason, num in counts.reasons.items())
            raise NothingPrepared(f'None of the {len(photos)} photographs in {options.photos!r} gave a face. Reasons: '
                                  f'{reasons}. All are in {table}.')
        finished = os.path.join(unfinished, 'set')
        shutil.rmtree(finished, ignore_errors=True)  # left by a run that was interrupted while writing it
        os.makedirs(finished)
        build_set(finished, faces, skipped, planner.source.order, options.scale, options.store)
        write_json(os.path.join(finished, 'prepared.json'), {'settings': settings, 'counts': counts._asdict()})
        if os.path.isdir(output):
            os.rmdir(output)  # it is empty
        os.replace(finished, output)
    shutil.rmtree(unfinished)
    return counts, True


class _Planner:
    """What to do with each photograph, from the options and the files that they name.

    Attributes:
        source: Where the landmarks come from: ``annotations`` or ``detector``; the other one is None.
    """

    def __init__(self, options: Any, photos: List[Photo]) -> None:
        self.options = options
        self.split_of = read_split(options.split, photos, options.seed, options.group_by)
        self.source: Union[Annotations, Detector] = (
            open_annotations(options.landmarks, photos) if options.landmarks else
            # each worker makes its own, but errors are raised here
            make_detector(options.detector, options.model))
        self.annotations = self.source if isinstance(self.source, Annotations) else None
        self.detector = None if isinstance(self.source, Annotations) else self.source
        self.bad_files = self.annotations.bad_files if self.annotations else []
        self.five_points: Dict[str, np.ndarray] = {}  # CelebA's, by Photo.relative
        if options.check_points:
            if self.source.order not in ('ibug68', 'celeba5'):
                raise ValueError(
                    f'--check-points: landmarks in the order {self.source.order} ({self.source.described}) cannot be '
                    "compared with CelebA's five points; expected ibug68 or celeba5.")
            points = read_five_points(options.check_points)
            values = list(points.values())
            matched = match_names(list(points), photos, options.check_points)
            self.five_points = {relative: values[row] for relative, row in matched.items()}

    def check_landmark_files(self, photos: List[Photo]) -> None:
        """Raise ValueError if more landmark files cannot be used than ``--max-failures`` allows."""
        skipped = (self.plan(photo) for photo in photos if self.annotations)
        bad = [task.reason for task in skipped if isinstance(task, SkippedPhoto) and BAD_FILE in task.reason]
        bad += [f'{BAD_FILE} ({reason})' for _, reason in self.bad_files]
        if len(bad) > max(1, self.options.max_failures * len(photos)):  # one bad file never ends a run
            raise ValueError(f'{bad[0]}; {len(bad)} landmark files of {len(photos)} photographs cannot be used, more '
                             f'than --max-failures {self.options.max_failures:g} allows.')

    def plan(self, photo: Photo) -> Union[Task, SkippedPhoto]:
        """Return the task of a photograph, or the reason to skip it that is known without its pixels."""
        split = self.split_of.get(photo.name)
        if split is None:
            return SkippedPhoto(photo.relative, '', f'not in {os.path.basename(self.options.split)}')
        try:
            faces = self.annotations.find(photo) if self.annotations else None
        except Skipped as reason:
            return SkippedPhoto(photo.relative, split, str(reason))
        five_points = self.five_points.get(photo.relative)
        if self.options.check_points and five_points is None:
            return SkippedPhoto(photo.relative, split, f'not in {os.path.basename(self.options.check_points)}')
        return Task(photo, split, faces, self.source.order, self.source.min_confidence, five_points)


def _prepare_photos(folder: str, photos: List[Photo], planner: _Planner,
                    options: Any) -> Dict[str, Union[PreparedFace, SkippedPhoto]]:
    """Prepare the photographs that have no result yet; return the results of all by the stem of their files."""
    stems = [os.path.join(folder, f'{index // PHOTOS_PER_FOLDER:03d}', f'{index:06d}') for index in range(len(photos))]
    todo = [(stem, photo) for stem, photo in zip(stems, photos) if not os.path.exists(f'{stem}.json')]
    for subfolder in {os.path.dirname(stem) for stem, _ in todo}:
        os.makedirs(subfolder, exist_ok=True)
    crop = CropSettings(options.size, options.gt_size, options.scale, options.margin, options.whole,
                        options.min_confidence, options.max_error if options.check_points else None)
    workers = 0 if len(todo) <= FEW_PHOTOS or options.workers == 1 else options.workers
    detector = (options.detector, options.model) if workers and planner.detector else planner.detector
    bar = tqdm(total=len(photos), initial=len(photos) - len(todo), desc='cropping', unit='photo', smoothing=0.05)
    try:
        with bar, worker_map(workers, _start_worker, crop, detector) as run:
            for start in range(0, len(todo), PHOTOS_PER_FOLDER):  # not all at once, to bound the memory
                part = todo[start:start + PHOTOS_PER_FOLDER]
                for _ in run(_prepare_one, [(stem, planner.plan(photo)) for stem, photo in part]):
                    bar.update()
    except BrokenProcessPool as error:
        raise RuntimeError('A worker process died, perhaps for lack of memory. Run the same command again, with fewer '
                           '--workers: it continues where it stopped.') from error
    return {stem: load_result(stem) for stem in stems}


_WORKER: tuple = ()  # of a worker process, set when it starts: settings and detector


def _start_worker(crop: CropSettings, detector: Union[Detector, Tuple[str, Optional[str]], None]) -> None:
    global _WORKER
    _WORKER = (crop, make_detector(*detector) if isinstance(detector, tuple) else detector)


def _prepare_one(work: Tuple[str, Union[Task, SkippedPhoto]]) -> None:
    stem, task = work
    save_result(stem, task if isinstance(task, SkippedPhoto) else prepare_photo(task, *_WORKER))
