"""Measures how well the synthetic faces pass for photographs, with detectors that were trained on photographs.

    python scripts/measure/synthetic_faces.py --num 500 --seed 1 --sheet faces.png

dlib's frontal face detector looks for a face in each image, enlarged twice by bicubic interpolation (128 to 256
pixels), with one more upsampling of its own. dlib's 68-point predictor then finds the landmarks in the detected box.
Their mean distance from the exact ones, divided by the distance between the outer corners of the eyes (points 36 and
45), is the face's error. A face that is not detected counts as an infinite error. Faces are drawn on one thread.

Exits with 1 where a target is missed, with 2 where dlib or the predictor's file is.
"""
import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from dic_plugin.synthetic import draw_face  # noqa: E402

PREDICTOR = 'shape_predictor_68_face_landmarks.dat'
PARTS = {'jaw': (0, 17), 'brows': (17, 27), 'nose': (27, 36), 'eyes': (36, 48), 'mouth': (48, 68)}
MIN_DETECTED, MAX_MEDIAN, MIN_SPEED = 0.90, 0.10, 100.0
ROUND = 100  # faces drawn between two looks at the clock
ENLARGE = 2


class MissingTool(Exception):
    """dlib or its predictor's file is not there."""


def find_predictor(given: Optional[str] = None) -> Path:
    """The predictor's file: the given one, the package face_recognition_models', or Debian's libdlib-data's.

    Raises:
        MissingTool: There is no such file.
    """
    if given is not None:
        if not Path(given).is_file():
            raise MissingTool(f'--predictor: there is no file {given}.')
        return Path(given)
    # the package itself is not imported: it needs pkg_resources, which newer setuptools lack
    spec = importlib.util.find_spec('face_recognition_models')
    places = [Path('/usr/share/dlib') / PREDICTOR]
    if spec is not None and spec.origin is not None:
        places.insert(0, Path(spec.origin).parent / 'models' / PREDICTOR)
    for place in places:
        if place.is_file():
            return place
    raise MissingTool(f'{PREDICTOR} was not found. Install it with `pip install face_recognition_models` (or Debian\'s '
                      'libdlib-data), or give its path with --predictor.')


class DlibLandmarks:
    """dlib's face detector and 68-point predictor."""

    def __init__(self, predictor: Optional[str] = None) -> None:
        try:
            import dlib
        except ImportError as error:
            raise MissingTool(
                'dlib is not installed. Install it with `pip install dlib-bin face_recognition_models`.') from error
        self.detector = dlib.get_frontal_face_detector()
        self.predictor = dlib.shape_predictor(str(find_predictor(predictor)))

    def __call__(self, image: np.ndarray) -> Optional[np.ndarray]:
        """Landmarks (68, 2) in pixels of the RGB image (H, W, 3) uint8, of its largest face; None without a face."""
        big = cv2.resize(image, None, fx=ENLARGE, fy=ENLARGE, interpolation=cv2.INTER_CUBIC)
        boxes = self.detector(big, 1)
        if not boxes:
            return None
        shape = self.predictor(big, max(boxes, key=lambda box: box.area()))
        points = np.array([(part.x, part.y) for part in shape.parts()], np.float64)
        return (points + 0.5) / ENLARGE - 0.5


def landmark_errors(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance of each point from the exact one, (68,), over the distance between the eyes' outer corners."""
    return np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact[36] - exact[45])


def measure(seed: int, num: int, finder: DlibLandmarks, size: int = 128) -> Tuple[Dict[str, float], List[np.ndarray]]:
    """Draws faces 0 to num - 1 of the series, measures them, and returns the figures and the images."""
    draw_face(seed, 0, size)  # makes the fixed textures
    faces, speed = [], 0.0
    while len(faces) < num:  # in rounds, of which the fastest counts: the load of other programs only slows down
        start, drawn = time.process_time(), len(faces)
        faces += [draw_face(seed, index, size) for index in range(drawn, min(drawn + ROUND, num))]
        speed = max(speed, (len(faces) - drawn) / (time.process_time() - start))
    errors = np.full((num, 68), np.inf)
    for index, (image, exact) in enumerate(faces):
        found = finder(image)
        if found is not None:
            errors[index] = landmark_errors(found, exact)
    detected = np.isfinite(errors[:, 0])
    figures = {'detected': float(detected.mean()), 'median': float(np.median(errors.mean(1)))}
    if detected.any():
        figures['mean'] = float(errors[detected].mean())
        for part, (first, last) in PARTS.items():
            figures[part] = float(np.median(errors[detected, first:last].mean(1)))
    figures['speed'] = speed
    return figures, [image for image, _ in faces]


def contact_sheet(images: List[np.ndarray], columns: int = 8) -> np.ndarray:
    """The first images side by side, `columns` in a row, at most as many rows, RGB."""
    images = images[:columns * columns]
    blank = np.zeros_like(images[0])
    images = images + [blank] * (-len(images) % columns)
    return np.vstack([np.hstack(images[i:i + columns]) for i in range(0, len(images), columns)])


def main() -> int:
    """Runs the measurement; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=int, default=500, help='how many faces (default: 500)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the series (default: 0)')
    parser.add_argument('--size', type=int, default=128, help='width and height of the faces (default: 128)')
    parser.add_argument(
        '--sheet', type=os.path.expanduser, help='write a contact sheet of the first 64 faces to this PNG')
    parser.add_argument('--predictor', type=os.path.expanduser, help=f'path of {PREDICTOR} (default: look for it)')
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num must be at least 1, but is {args.num}.')

    cv2.setNumThreads(1)
    try:
        finder = DlibLandmarks(args.predictor)
    except MissingTool as error:
        print(error, file=sys.stderr)
        return 2
    figures, images = measure(args.seed, args.num, finder, args.size)
    if args.sheet:
        cv2.imwrite(args.sheet, contact_sheet(images)[..., ::-1])

    print(f'{args.num} faces of {args.size}x{args.size}, seed {args.seed}')
    print(f'detected           {figures["detected"]:8.1%}   (target: at least {MIN_DETECTED:.0%})')
    print(f'median error       {figures["median"]:8.4f}   (target: at most {MAX_MEDIAN:.2f}; undetected ones count)')
    if 'mean' in figures:
        print(f'mean error         {figures["mean"]:8.4f}   (of the detected faces)')
        for part in PARTS:
            print(f'  median, {part:6s}   {figures[part]:8.4f}')
    print(
        f'faces a second     {figures["speed"]:8.1f}   (target: at least {MIN_SPEED:.0f}; one thread, fastest {ROUND})')
    missed = []
    if figures['detected'] < MIN_DETECTED:
        missed.append('detected')
    if figures['median'] > MAX_MEDIAN:
        missed.append('median error')
    if args.size == 128 and figures['speed'] < MIN_SPEED:
        missed.append('faces a second')
    if missed:
        print('missed: ' + ', '.join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
