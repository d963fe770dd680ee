"""Measures what becomes of small faces in photographs: whether they are found, and whether restoration helps them.

    python scripts/measure/small_faces.py helen/testset [-w WEIGHTS] [--num 100]

PHOTOS is a folder of photographs with iBUG's .pts of 68 points beside them. Each is shrunk (Pillow, bicubic) until
the square of its face is of each width, stored as PNG or as JPEG of each quality, and given to the restorer. Found: a
detector's face whose landmarks are nearer than a tenth of the square to the annotated ones on average. Quality: PSNR
in dB on luma, 8 pixels cropped, of the restored face against the same square of the photograph before it was shrunk,
beside that of the shrunk photograph's face enlarged with Pillow's bicubic filter. Squares are cut at the annotated
landmarks. Faces whose square has less than 128 pixels before, or reaches out of the photograph, are left out of the
quality. Prints a table in Markdown.
"""
import argparse
import os
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import cv2
import mmcv
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from dic_plugin import FaceRestorer  # noqa: E402
from dic_plugin.data.image_file import decode_rgb  # noqa: E402
from dic_plugin.evaluation.protocols import compare  # noqa: E402
from dic_plugin.faces.crop import crop_face, square_around  # noqa: E402
from dic_plugin.faces.detectors import make_detector  # noqa: E402
from dic_plugin.faces.find import find_faces  # noqa: E402
from dic_plugin.faces.found_face import Detector, FoundFace  # noqa: E402
from dic_plugin.faces.photograph import read_photograph  # noqa: E402
from dic_plugin.prepare.formats.ibug_pts import read_pts  # noqa: E402

WIDTHS = (16, 20, 24, 32, 48, 64)
QUALITIES = (95, 75)
NEAR = 0.1  # of the square's side


def annotated(folder: Path) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Yield the photographs, uint8 RGB, and their landmarks."""
    for points in sorted(folder.glob('*.pts')):
        photos = [path for path in folder.glob(f'{points.stem}.*') if path != points]
        if photos:
            yield read_photograph(str(photos[0])).pixels, read_pts(str(points))


def shrunk(photo: np.ndarray, landmarks: np.ndarray, side: int,
           width: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return photograph and landmarks, shrunk so that a square of ``side`` pixels gets ``width``, and the factor."""
    size = np.maximum(np.round(np.array(photo.shape[1::-1]) * width / side), 1).astype(int)
    factor = size / photo.shape[1::-1]
    image = mmcv.imresize(photo, tuple(map(int, size)), interpolation='bicubic', backend='pillow')
    return image, (landmarks + 0.5) * factor - 0.5, factor


def square_of(photo: np.ndarray, box: Sequence[int], factor: np.ndarray, size: int) -> Optional[np.ndarray]:
    """Return a square of the shrunk photograph as it was before, in ``size`` pixels; None if it reaches out."""
    x0, y0, x1, y1 = (np.array(box).reshape(2, 2) / factor).ravel()
    if x0 < 0 or y0 < 0 or x1 > photo.shape[1] or y1 > photo.shape[0] or x1 - x0 < size:
        return None
    image = Image.fromarray(photo).resize((size, size), Image.Resampling.BICUBIC, (x0, y0, x1, y1))
    return np.asarray(image)


def as_jpeg(photo: np.ndarray, quality: Optional[int]) -> np.ndarray:
    """Return the photograph after it was stored as JPEG; None: as it is."""
    if quality is None:
        return photo
    done, content = cv2.imencode('.jpg', photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return decode_rgb(content.tobytes(), 'JPEG')


def is_found(photo: np.ndarray, landmarks: np.ndarray, width: int, detector: Detector) -> bool:
    """Whether a detector finds the annotated face."""
    errors = [np.linalg.norm(face.landmarks - landmarks, axis=1).mean() for face in find_faces(photo, detector)]
    return min(errors, default=np.inf) < NEAR * width


def measure(folder: Path, restorer: FaceRestorer, detector: Detector, num: Optional[int],
            widths: Sequence[int]) -> pd.DataFrame:
    """Return a row for every photograph, width and way of storing: found, restored, bicubic."""
    faces = list(annotated(folder))[:num]
    rows: List[Dict[str, float]] = []
    for number, (photo, landmarks) in enumerate(tqdm(faces, unit='photo')):
        box = square_around(landmarks, restorer.margin)
        side = box[2] - box[0]
        cases = [(width, quality) for width in widths for quality in (None, *QUALITIES) if width <= side]
        small, originals = [], []
        for width, quality in cases:
            image, points, factor = shrunk(photo, landmarks, side, width)
            image = as_jpeg(image, quality)
            rows.append(dict(face=number, width=width, quality=quality or 100))
            if quality is None:
                rows[-1]['found'] = is_found(image, points, width, detector)
            small.append(crop_face(image, FoundFace(points), restorer.input_size, restorer.upscale, restorer.margin))
            originals.append(square_of(photo, small[-1].box, factor, restorer.input_size * restorer.upscale))
        restored = restorer([crop.lq for crop in small]).faces
        for row, crop, result, original in zip(rows[len(rows) - len(cases):], small, restored, originals):
            if original is not None:
                row['restored'] = compare(result, original, ['basicsr-y'])['basicsr-y'].psnr
                row['bicubic'] = compare(crop.crop, original, ['basicsr-y'])['basicsr-y'].psnr
    return pd.DataFrame(rows)


def main(argv: Optional[List[str]] = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', type=os.path.expanduser)
    parser.add_argument('-w', '--weights', type=os.path.expanduser)
    parser.add_argument('--num', type=int, help='photographs (default: all)')
    parser.add_argument('--widths', type=int, nargs='+', default=WIDTHS)
    args = parser.parse_args(argv)
    table = measure(Path(args.photos), FaceRestorer(args.weights, 'cpu'), make_detector('dlib'), args.num, args.widths)
    judged = table[table.restored.notna()]
    large = judged[judged.quality == 100]
    by_width = large.groupby('width')
    wins = (large.restored > large.bicubic).groupby(large.width).mean()
    print(f'{table.face.nunique()} photographs, {large.face.nunique()} of them judged')
    print('\n| Square in the photograph (px) | ' + ' | '.join(map(str, by_width.groups)) + ' |')
    print('| --- |' + ' --- |' * len(by_width))
    plain = table[table.quality == 100].groupby('width')
    print('| Found by dlib | ' + ' | '.join(f'{100 * value:.0f} %' for value in plain.found.mean()) + ' |')
    print('| Restored (dB) | ' + ' | '.join(f'{value:.2f}' for value in by_width.restored.mean()) + ' |')
    print('| Bicubic (dB) | ' + ' | '.join(f'{value:.2f}' for value in by_width.bicubic.mean()) + ' |')
    print('| Faces that restoration improves | ' + ' | '.join(f'{100 * value:.0f} %' for value in wins) + ' |')
    for quality in QUALITIES:
        jpeg = judged[judged.quality == quality].groupby('width').restored.mean()
        print(f'| JPEG of quality {quality}: dB lost | ' +
              ' | '.join(f'{value:.2f}' for value in by_width.restored.mean() - jpeg) + ' |')
    return 0


if __name__ == '__main__':
    sys.exit(main())
