"""Measures the detectors on photographs with iBUG's landmarks.

    python scripts/measure/detectors.py helen/testset [--detectors ...] [--yunet FILE] [--without-landmarks lfw]

Found: a face whose landmarks are on average within a tenth of the extent of the true ones. Error: mean distance to
the true points in distances of the outer eye corners, over the faces that are found. Speed: photographs per second of
one process. Prints a table in Markdown.
"""
import argparse
import os
import sys
import time
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from small_faces import annotated  # noqa: E402

from dic_plugin.faces.detectors import DETECTORS, make_detector  # noqa: E402
from dic_plugin.faces.found_face import FoundFace  # noqa: E402
from dic_plugin.faces.photograph import read_photograph  # noqa: E402
from dic_plugin.landmarks.errors import NORMS  # noqa: E402

NEAR = 0.1


def error_of(faces: List[FoundFace], truth: np.ndarray) -> Tuple[bool, float]:
    """Return whether the face was found, and the error of its landmarks."""
    distances = [np.linalg.norm(face.landmarks - truth, axis=1).mean() for face in faces]
    least = min(distances, default=np.inf)
    return least < NEAR * np.ptp(truth, axis=0).max(), float(least / NORMS['outer_eye'](truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', type=os.path.expanduser, help='folder of photographs and .pts')
    parser.add_argument('--detectors', nargs='+', choices=sorted(DETECTORS), default=['dlib', 'dlib_cnn', 'mediapipe'])
    parser.add_argument('--yunet', type=os.path.expanduser, metavar='FILE', help="YuNet's model")
    parser.add_argument('--without-landmarks', type=os.path.expanduser, metavar='DIR', help='a face in each')
    args = parser.parse_args()
    photos = list(annotated(Path(args.photos)))
    others = sorted(Path(args.without_landmarks).rglob('*.jpg')) if args.without_landmarks else []
    print(f'| Detector | Found, of {len(photos)} | Error | Photographs per second | Of {len(others)} others |')
    print('| --- | --- | --- | --- | --- |')
    for name in args.detectors:
        model: Optional[str] = args.yunet if name == 'yunet' else None
        detector = make_detector(name, model)

        def sure(img: np.ndarray, detector=detector) -> List[FoundFace]:
            faces = detector.find(img)
            return [face for face in faces if (face.confidence or np.inf) >= detector.min_confidence]

        begin = time.perf_counter()
        results = [error_of(sure(img), truth) for img, truth in tqdm(photos, name, disable=None)]
        speed = len(photos) / (time.perf_counter() - begin)
        errors = [error for found, error in results if found]
        some = sum(bool(sure(read_photograph(str(path)).pixels)) for path in tqdm(others, name, disable=None))
        print(f'| {name} | {len(errors)} | {np.mean(errors):.4f} | {speed:.1f} | {some} |', flush=True)


if __name__ == '__main__':
    main()
