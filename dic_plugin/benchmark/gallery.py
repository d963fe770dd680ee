"""The gallery of the page: the same faces across models, with eyes and mouth enlarged, and landmarks on request."""
import base64
import html
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from dic_plugin.benchmark.run import Outcome
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.evaluation.files import open_results, pair_names
from dic_plugin.evaluation.landmark_errors import LandmarkEvaluator

PARTS = {'eyes': slice(36, 48), 'mouth': slice(48, 68)}  # in iBUG's order
SHAPE = 2.2  # width of an enlarged part over its height
MARGIN = 1.35  # its width over that of the landmarks in it


class Picture(NamedTuple):
    """A picture of the gallery: a title, the PNG file's bytes, its size, landmarks ``K,2`` or None."""
    title: str
    png: bytes
    size: Tuple[int, int]
    landmarks: Optional[np.ndarray]


class Box(NamedTuple):
    """A part of an image in pixels."""
    left: float
    top: float
    width: float
    height: float


def gallery(outcome: Outcome, pictures: Mapping[str, Path]) -> str:
    """HTML of the gallery; '' if there is nothing to show.

    Args:
        outcome: what was run.
        pictures: folder of results by title of the model.
    """
    names = outcome.test_set.names
    number = min(outcome.plan.gallery, len(names))
    # spread over the set: chosen by number, not by looks
    chosen = [names[index] for index in np.linspace(0, len(names) - 1, number).round().astype(int)] if number else []
    evaluator = next(iter(outcome.evaluators.values()), None)
    truth = _true_landmarks(outcome)
    files = {title: _files(folder, names) for title, folder in pictures.items()}
    return '\n'.join(_face(outcome, name, files, evaluator, truth.get(name)) for name in chosen)


def _files(folder: Path, names: Sequence[str]) -> Dict[str, str]:
    """Path of the result by name of the original."""
    files = open_results(str(folder))
    return {names[gt]: files.paths[sr] for sr, gt in pair_names(files.names, names).pairs}


def _true_landmarks(outcome: Outcome) -> Dict[str, np.ndarray]:
    if outcome.test_set.annotations is None:
        return {}
    annotations = FaceAnnotations.load(outcome.test_set.annotations)
    return dict(zip(annotations.names.tolist(), annotations.landmarks))


def _face(outcome: Outcome, name: str, files: Mapping[str, Mapping[str, str]], evaluator: Optional[LandmarkEvaluator],
          truth: Optional[np.ndarray]) -> str:
    gt = _picture('Truth', f'{outcome.test_set.gt}/{name}.png')._replace(landmarks=truth)
    shown = [_picture('Input', f'{outcome.test_set.lq}/{name}.png')]
    for title, paths in files.items():
        picture = _picture(title, paths[name])
        if evaluator is not None:
            picture = picture._replace(landmarks=_found(evaluator, picture))
        shown.append(picture)
    parts = _parts(truth, gt.size)
    tiles = ''.join(_tile(picture, gt.size, parts) for picture in [*shown, gt])
    return f'<div class="face-row"><p class="face-name">{html.escape(name)}</p><div class="tiles">{tiles}</div></div>'


def _picture(title: str, path: str) -> Picture:
    png = Path(path).read_bytes()
    height, width = _decode(png).shape[:2]
    return Picture(title, png, (width, height), None)


def _decode(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def _found(evaluator: LandmarkEvaluator, picture: Picture) -> np.ndarray:
    return evaluator.landmarks_of(np.ascontiguousarray(_decode(picture.png)[..., ::-1]))[True]


def _parts(truth: Optional[np.ndarray], size: Tuple[int, int]) -> Dict[str, Box]:
    """Boxes around the true eyes and mouth, inside the image; none for other landmarks than iBUG's 68."""
    if truth is None or len(truth) != 68:
        return {}
    boxes = {}
    for name, points in PARTS.items():
        low, high = truth[points].min(0), truth[points].max(0)
        extent = high - low
        width = min(MARGIN * max(extent[0], SHAPE * extent[1]), size[0], SHAPE * size[1])
        height = width / SHAPE
        left, top = ((low + high) / 2 + 0.5) - (width / 2, height / 2)
        boxes[name] = Box(
            float(np.clip(left, 0, size[0] - width)), float(np.clip(top, 0, size[1] - height)), float(width),
            float(height))
    return boxes


def _tile(picture: Picture, size: Tuple[int, int], parts: Mapping[str, Box]) -> str:
    whole = Box(0, 0, *size)
    views = _view('whole', whole, size, picture.landmarks)
    views += ''.join(_view(name, box, size, picture.landmarks) for name, box in parts.items())
    data = base64.b64encode(picture.png).decode('ascii')
    return (f'<figure style="--img:url(data:image/png;base64,{data})"><figcaption>{html.escape(picture.title)}'
            f'</figcaption>{views}</figure>')


def _view(name: str, box: Box, size: Tuple[int, int], landmarks: Optional[np.ndarray]) -> str:
    """The part of the tile's picture that is in a box, with the landmarks in it."""

    def share(start: float, length: float, total: float) -> float:
        return 100 * start / (total - length) if total > length else 0

    style = (f'aspect-ratio:{box.width:.2f}/{box.height:.2f};'
             f'background-size:{100 * size[0] / box.width:.2f}% {100 * size[1] / box.height:.2f}%;'
             f'background-position:{share(box.left, box.width, size[0]):.2f}% '
             f'{share(box.top, box.height, size[1]):.2f}%')
    points = ''
    if landmarks is not None:
        # pixel centres are whole numbers in our landmarks, halves in SVG
        path = ' '.join(f'M{x + 0.5:.1f} {y + 0.5:.1f}h0' for x, y in landmarks if np.isfinite([x, y]).all())
        view = f'{box.left:.2f} {box.top:.2f} {box.width:.2f} {box.height:.2f}'
        points = f'<svg viewBox="{view}" style="--dot:{box.width / 60:.2f}"><path d="{path}"/></svg>'
    return f'<div class="view {name}" style="{style}">{points}</div>'
