"""The report: ``table.md``, ``table.csv``, ``table.json``, plots, and one HTML page that needs no network."""
import base64
from datetime import date
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import cv2
import jinja2
import numpy as np

from dic_plugin import __version__
from dic_plugin.benchmark.outcome import Outcome
from dic_plugin.benchmark.plots import DPI, colours, plots
from dic_plugin.benchmark.tables import (
    budget,
    cells,
    columns,
    difference_table,
    differences,
    json_content,
    table,
)
from dic_plugin.benchmark.workspace import Workspace
from dic_plugin.evaluation.files import open_results, pair_names
from dic_plugin.evaluation.summary import LEVEL, NUM_RESAMPLES, SEED
from dic_plugin.utils.atomic_write import atomic_write, write_json, write_text

PARTS = {'eyes': slice(36, 48), 'mouth': slice(48, 68)}  # in iBUG's order
PART_ASPECT = 2.2  # width of an enlarged part over its height
WORDS = {'iterations': 'at equal iterations', 'time': 'at equal training time', 'end': 'trained to the end'}
PART_MARGIN = 1.35  # width of an enlarged part over that of the landmarks in it


def write_report(outcome: Outcome, workspace: Workspace) -> Path:
    """Write all files of the report into the results folder; return the path of the page, ``index.html``."""
    plan, today, shown = outcome.plan, date.today().isoformat(), columns(outcome)
    frame, drawn, colour_of = table(outcome, shown), plots(outcome), colours(outcome)
    compared = [column for column in shown if column.is_compared]
    tables, compared_tables = [], []
    for name in outcome.tables:
        rows = zip(outcome.of(name), cells(frame[frame['table'] == name], shown))
        tables.append((_heading(outcome, name), [(run, budget(run, plan.models), row) for run, row in rows]))
        found = differences(outcome, shown, name)
        if found:
            titles = [plan.models[model].title for model in found]
            compared_tables.append((WORDS[name], list(zip(titles, cells(difference_table(found), compared, sign='+')))))
    content = dict(
        plan=plan,
        facts=facts(outcome, today),
        columns=shown,
        colours=colour_of,
        tables=tables,
        compared=compared,
        differences=compared_tables,
        reference_titles=['Model', 'Data', 'PSNR (dB)', 'SSIM', 'Source', ''],
        references=[_reference_texts(row) for row in plan.references],
        plots={
            name: (png, int.from_bytes(png[16:20], 'big') / DPI)
            for name, png in drawn.items()
        },
        faces=_faces(outcome, workspace),
        judge=next((each.title for each in plan.evaluators if each.name in outcome.evaluators), None))
    for name, png in drawn.items():
        with atomic_write(workspace.root / f'{name}.png') as temporary:
            Path(temporary).write_bytes(png)
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name('templates')),
        autoescape=lambda name: name == 'index.html.j2',
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True)
    templates.filters['base64'] = lambda data: base64.b64encode(data).decode('ascii')
    templates.filters['cell'] = lambda text: ' '.join(str(text).split()).replace('|', '\\|')
    texts = {name: templates.get_template(f'{name}.j2').render(content) for name in ('table.md', 'index.html')}
    texts['table.csv'] = frame.to_csv(index=False, lineterminator='\n')
    for name, text in texts.items():
        write_text(workspace.root / name, text)
    write_json(workspace.root / 'table.json', json_content(outcome, shown, today))
    return workspace.root / 'index.html'


def _heading(outcome: Outcome, name: str) -> str:
    if name == 'iterations':
        return 'Equal iterations'
    if name == 'end':
        return ('To the end: the best models, trained twice as long until that gains less than '
                f'{outcome.plan.to_the_end:g} dB on the validation set')
    return f'Equal training time (about {(outcome.seconds or 0) / 60:.1f} minutes each)'


def _reference_texts(row: Mapping[str, Any]) -> List[str]:
    figures = [f'{row[key]:{form}}' if key in row else '-' for key, form in (('psnr', '.2f'), ('ssim', '.4f'))]
    status = '' if row['confirmed'] else 'unconfirmed: the publication could not be checked'
    return [row['model'], row['data'], *figures, row['source'], status]


def facts(outcome: Outcome, today: str) -> List[str]:
    """Return the conditions of the measurements, and warnings, one line each."""
    batches = {
        model.options['datasets']['train']['batch_size_per_gpu']
        for model in outcome.plan.models.values() if model.is_trained_here
    }
    lines = [
        f'{today}; {outcome.machine}; dic_plugin {__version__}.',
        f'{len(outcome.test_set.names)} test images; every model got the same low-quality files.',
    ]
    if len(batches) == 1:
        lines.append(f'Batches of {batches.pop()} in training; each model is trained once, and figures also vary with '
                     'the seed of the training.')
    elif batches:
        lines.append(f'Batch sizes differ ({min(batches)} to {max(batches)} images): equal iterations are not equal '
                     'numbers of images.')
    drawing = [run.model.title for run in outcome.of('iterations') if run.training.get('first_epoch_only')]
    if drawing:
        lines.append('Training ended within its first epoch, in which faces are drawn or read for the first time; its '
                     f'time is too long, most of all for fast models: {", ".join(drawing)}.')
    for run in {row.run.name: row.run for row in outcome.rows}.values():
        machine = run.training.get('machine', outcome.machine)
        if machine != outcome.machine:
            lines.append(f'{run.name} was trained elsewhere ({run.training["date"]}; {machine}): its training time '
                         'cannot be compared.')
    lines.append(f'In brackets: {LEVEL:.0%} bootstrap interval of the mean over images ({NUM_RESAMPLES} resamples, '
                 f'seed {SEED}).')
    return lines + outcome.warnings


class View(NamedTuple):
    """A part of an image, in pixels."""
    left: float
    top: float
    width: float
    height: float

    def style(self, width: int, height: int) -> str:
        """Return CSS that shows this part of a background image of this size."""

        def share(start: float, length: float, total: float) -> float:
            return 100 * start / (total - length) if total > length else 0

        return (f'aspect-ratio:{self.width:.2f}/{self.height:.2f};'
                f'background-size:{100 * width / self.width:.2f}% {100 * height / self.height:.2f}%;'
                f'background-position:{share(self.left, self.width, width):.2f}% '
                f'{share(self.top, self.height, height):.2f}%')


def _faces(outcome: Outcome, workspace: Workspace) -> List[Dict[str, Any]]:
    """Return the faces of the gallery, spread evenly over the test set, each with its tiles and views."""
    test_set = outcome.test_set
    names, all_landmarks = test_set.names, test_set.landmarks
    results: Dict[str, Dict[str, str]] = {}
    for run in outcome.of('iterations'):
        if run.measured:
            files = open_results(str(workspace.pictures(run.name, test_set.name)))
            pairs = pair_names(files.names, names).pairs
            results[run.model.title] = {names[gt]: files.paths[sr] for sr, gt in pairs}
    evaluator = next(iter(outcome.evaluators.values()), None)

    def found(path: str) -> Optional[np.ndarray]:
        if evaluator is None:
            return None
        return evaluator.landmarks_of(np.ascontiguousarray(_read(path)[..., ::-1]))[True]

    faces = []
    number = min(outcome.plan.gallery, len(names)) if results else 0
    for index in np.linspace(0, len(names) - 1, number).round().astype(int):
        name = names[index]
        truth, gt = all_landmarks.get(name), f'{test_set.gt}/{name}.png'
        height, width = _read(gt).shape[:2]
        tiles = [_tile('Input', f'{test_set.lq}/{name}.png', None)]
        tiles += [_tile(title, paths[name], found(paths[name])) for title, paths in results.items()]
        tiles.append(_tile('Truth', gt, truth))
        views = {'whole': View(0, 0, width, height), **_parts(truth, width, height)}
        faces.append(dict(name=name, size=(width, height), views=views, tiles=tiles))
    return faces


def _read(path: str) -> np.ndarray:
    image = cv2.imread(path)
    if image is None:
        raise ValueError(f'{path}: cannot be read.')
    return image


def _tile(title: str, path: str, landmarks: Optional[np.ndarray]) -> Dict[str, Any]:
    points = [] if landmarks is None else landmarks[np.isfinite(landmarks).all(1)]
    # Pixel centres are whole numbers in landmarks, halves in SVG.
    dots = ' '.join(f'M{x + 0.5:.1f} {y + 0.5:.1f}h0' for x, y in points)
    return dict(title=title, png=Path(path).read_bytes(), dots=dots)


def _parts(truth: Optional[np.ndarray], width: int, height: int) -> Dict[str, View]:
    """Return boxes around the true eyes and mouth, inside the image; none for other landmarks than iBUG's 68."""
    if truth is None or len(truth) != 68:
        return {}
    boxes = {}
    for name, points in PARTS.items():
        low, high = truth[points].min(0), truth[points].max(0)
        extent = high - low
        across = min(PART_MARGIN * max(extent[0], PART_ASPECT * extent[1]), width, PART_ASPECT * height)
        part = np.array([across, across / PART_ASPECT])
        start = np.clip((low + high) / 2 + 0.5 - part / 2, 0, (width, height) - part)
        boxes[name] = View(*start.tolist(), *part.tolist())
    return boxes
