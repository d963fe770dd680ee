"""The preparation of a whole folder of photographs: shards by several processes, then the set in one go.

The set appears under its name by one renaming, when it is whole. Until then all is in ``<output>.unfinished``: the
settings, and a shard for every 64 photographs. A run that finds its own settings there goes on; what it makes does not
depend on where it was interrupted or on how many workers there are.
"""
import contextlib
import os
import shutil
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

import numpy as np
from tqdm import tqdm

from dic_plugin.faces.detectors import make_detector
from dic_plugin.faces.found_face import Detector
from dic_plugin.faces.photograph import Skipped
from dic_plugin.prepare.finish import Counts, build_set, count, write_skipped
from dic_plugin.prepare.formats import open_annotations
from dic_plugin.prepare.formats.celeba_text import read_five_points
from dic_plugin.prepare.formats.names import match_names
from dic_plugin.prepare.photo import AnnotationSource, Photo
from dic_plugin.prepare.photographs import list_photographs
from dic_plugin.prepare.process import CropSettings, SkippedPhoto, Task, prepare_photo
from dic_plugin.prepare.settings import describe_settings, difference, read_record
from dic_plugin.prepare.shards import PHOTOS_PER_SHARD, save_shard, shard_path
from dic_plugin.prepare.splits import read_split
from dic_plugin.prepare.workers import worker_pool
from dic_plugin.utils.atomic_write import write_json

__all__ = ['NothingPrepared', 'prepare']

Work = List[Union[Task, SkippedPhoto]]


class NothingPrepared(Exception):
    """Not one face came out; the text says why."""


class Sources(NamedTuple):
    """Where splits, landmarks and checks of the photographs come from."""
    split_of: Dict[str, str]
    split_spec: str
    landmarks: Union[AnnotationSource, Detector]
    from_files: bool
    five_points: Optional[Dict[str, np.ndarray]]
    five_points_file: Optional[str]


def prepare(options) -> Tuple[Counts, bool]:
    """Prepare a folder of photographs, or go on with it.

    Args:
        options: As :func:`dic_plugin.cli.prepare.parse` returns.

    Returns:
        What became of the photographs, and False if the set was there already.

    Raises:
        ValueError, FileNotFoundError, FileExistsError: options or files that do not fit; nothing was changed.
        NothingPrepared: no photograph gave a face.
        KeyboardInterrupt: interrupted; what was done is kept.
    """
    photos, unnamed = list_photographs(options.photos, options.output)
    sources = _open_sources(options, photos)
    settings = describe_settings(options, photos, None if sources.from_files else sources.landmarks.model)
    record = read_record(os.path.join(options.output, 'prepared.json'))
    if record is not None:
        _refuse_other_settings(options.output, record['settings'], settings)
        return Counts(**record['counts']), False
    if os.path.isdir(options.output) and os.listdir(options.output) or os.path.isfile(options.output):
        raise FileExistsError(f'{options.output!r} exists and was not made by this tool; expected a new folder (-o).')

    unfinished = f'{os.path.normpath(options.output)}.unfinished'
    shards = os.path.join(unfinished, 'shards')
    os.makedirs(shards, exist_ok=True)
    with _only_one_run(unfinished):
        _keep_settings(unfinished, settings)
        paths = _make_shards(shards, photos, sources, options)
        lost = [SkippedPhoto(relative, '', reason) for relative, reason in unnamed]
        if sources.from_files:
            lost += [
                SkippedPhoto(name, '', 'annotated, but no such photograph')
                for name in sources.landmarks.missing(photos)
            ]
        counts = count(paths, lost)
        if not counts.faces:
            skipped = os.path.join(unfinished, 'skipped.csv')
            write_skipped(skipped, paths, lost)
            raise NothingPrepared(
                f'None of the {len(photos)} photographs in {options.photos!r} gave a face. Reasons: ' +
                '; '.join(f'{reason} ({num})' for reason, num in counts.reasons.items()) + f'. All are in {skipped}.')
        finished = os.path.join(unfinished, 'set')
        shutil.rmtree(finished, ignore_errors=True)  # of a run interrupted while writing it
        os.makedirs(finished)
        build_set(finished, paths, lost, counts, sources.landmarks.order, options.scale, options.store)
        write_json(os.path.join(finished, 'prepared.json'), {'settings': settings, 'counts': counts._asdict()})
        if os.path.isdir(options.output):
            os.rmdir(options.output)  # empty
        os.replace(finished, options.output)
    shutil.rmtree(unfinished)
    return counts, True


def _open_sources(options, photos: List[Photo]) -> Sources:
    split_of = read_split(options.split, photos, options.seed)
    if options.landmarks:
        landmarks = open_annotations(options.landmarks, photos)
    else:
        landmarks = make_detector(options.detector, options.model)  # the workers make their own; an error belongs here
    five_points = None
    if options.check_points:
        if landmarks.order not in ('ibug68', 'celeba5'):
            raise ValueError(
                f"--check-points: landmarks in the order {landmarks.order} ({landmarks.described}) cannot be "
                "compared with CelebA's five points; expected ibug68 or celeba5.")
        points = read_five_points(options.check_points)
        matched = match_names(list(points), photos, options.check_points)
        values = list(points.values())
        five_points = {relative: values[row] for relative, row in matched.items()}
    return Sources(split_of, options.split, landmarks, bool(options.landmarks), five_points, options.check_points)


def _make_shards(folder: str, photos: List[Photo], sources: Sources, options) -> List[str]:
    """Make the shards that are not there yet; returns the paths of all, in order."""
    for name in os.listdir(folder):
        if name.endswith('.tmp'):
            os.remove(os.path.join(folder, name))
    chunks = [photos[start:start + PHOTOS_PER_SHARD] for start in range(0, len(photos), PHOTOS_PER_SHARD)]
    paths = [shard_path(folder, index) for index in range(len(chunks))]
    todo = [(path, chunk) for path, chunk in zip(paths, chunks) if not os.path.exists(path)]
    work = ((path, [_plan(photo, sources) for photo in chunk]) for path, chunk in todo)
    crop = CropSettings(options.size, options.gt_size, options.scale, options.margin, options.whole,
                        options.min_confidence, options.max_error if options.check_points else None)
    detector = None if sources.from_files else (options.detector, options.model)
    num_done = len(photos) - sum(len(chunk) for _, chunk in todo)
    with tqdm(total=len(photos), initial=num_done, desc='cropping', unit='photo', smoothing=0.05) as bar:
        if options.workers == 1 or len(todo) == 1:  # others would not be done before they had started
            own = None if sources.from_files else sources.landmarks
            for path, tasks in work:
                bar.update(_make_shard(path, tasks, crop, own))
        else:
            _share_out(work, crop, detector, options.workers, bar)
    return paths


def _plan(photo: Photo, sources: Sources) -> Union[Task, SkippedPhoto]:
    """What is to be done with a photograph, as far as it is known without its pixels."""
    split = sources.split_of.get(photo.name)
    if split is None:
        return SkippedPhoto(photo.relative, '', f'not in {os.path.basename(sources.split_spec)}')
    faces = five_points = None
    if sources.from_files:
        try:
            faces = sources.landmarks.find(photo)
        except Skipped as reason:
            return SkippedPhoto(photo.relative, split, str(reason))
    if sources.five_points is not None:
        five_points = sources.five_points.get(photo.relative)
        if five_points is None:
            return SkippedPhoto(photo.relative, split, f'not in {os.path.basename(sources.five_points_file)}')
    return Task(photo, split, faces, sources.landmarks.order, sources.landmarks.min_confidence, five_points)


def _share_out(work: Iterator[Tuple[str, Work]], crop: CropSettings, detector: Optional[Tuple[str, Optional[str]]],
               workers: int, bar: tqdm) -> None:
    """Let several processes make the shards; a few at a time are planned ahead, so that memory stays bounded."""
    running = set()
    try:
        with worker_pool(workers, _start_worker, (crop, detector)) as pool:
            for path, tasks in work:
                running.add(pool.submit(_make_shard_in_worker, path, tasks))
                if len(running) >= 2 * workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    bar.update(sum(future.result() for future in done))
            for future in running:
                bar.update(future.result())
    except BrokenProcessPool as error:
        raise RuntimeError('A worker process died, perhaps for want of memory. Run the same command again, with fewer '
                           '--workers: it goes on where it stopped.') from error


_WORKER: Tuple[Optional[CropSettings], Optional[Detector]] = (None, None)  # of a worker process; set when it starts


def _start_worker(crop: CropSettings, detector: Optional[Tuple[str, Optional[str]]]) -> None:
    global _WORKER
    _WORKER = (crop, make_detector(*detector) if detector else None)


def _make_shard_in_worker(path: str, tasks: Work) -> int:
    return _make_shard(path, tasks, *_WORKER)


def _make_shard(path: str, tasks: Work, crop: CropSettings, detector: Optional[Detector]) -> int:
    save_shard(path,
               [task if isinstance(task, SkippedPhoto) else prepare_photo(task, crop, detector) for task in tasks])
    return len(tasks)


@contextlib.contextmanager
def _only_one_run(unfinished: str):
    """Keep a second run out of a folder; the operating system lets go of the lock when a run ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    with open(os.path.join(unfinished, 'lock'), 'w', encoding='ascii') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FileExistsError(f'{unfinished!r}: another run is at work there.') from error
        yield


def _keep_settings(unfinished: str, settings: dict) -> None:
    path = os.path.join(unfinished, 'settings.json')
    record = read_record(path)
    if record is None:
        write_json(path, {'settings': settings})
    else:
        _refuse_other_settings(unfinished, record['settings'], settings)


def _refuse_other_settings(folder: str, before: dict, now: dict) -> None:
    changed = difference(before, now)
    if changed:
        raise FileExistsError(f'{folder!r} holds a preparation with other settings: {changed}. Repeat them, delete the '
                              'folder, or choose another one (-o).')
