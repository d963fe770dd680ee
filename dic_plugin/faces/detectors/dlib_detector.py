"""dlib: its HOG detector of frontal faces, and its predictor of the 68 iBUG points (Kazemi and Sullivan, CVPR 2014)."""
import importlib.util
import os
from typing import Any, List, Optional, Tuple

import cv2
import numpy as np

from dic_plugin.faces.found_face import FoundFace
from dic_plugin.utils.regular_file import open_regular

MODEL_FILE = 'shape_predictor_68_face_landmarks.dat'
DEBIAN_FOLDER = '/usr/share/dlib'  # package libdlib-data
HOW_TO_GET = (f"`pip install 'dic_plugin[faces]'` brings dlib and its 68-point predictor; a predictor that you have "
              f'({MODEL_FILE}) is named by --model; where dlib cannot be built, `pip install dlib-bin` brings it built')

# Run time is proportional to the number of pixels. Enlarged once, the detector finds faces from 40 pixels in a
# photograph of this size: of larger ones, those that fill at least 1/25 of the longer side.
MAX_SIDE = 1000


class DlibDetector:
    """dlib's frontal faces with 68 landmarks.

    Faces are searched for in a photograph shrunk to at most ``MAX_SIDE`` pixels; the landmarks are then found in the
    original. The confidence is the detector's score, never below 0: about 1 and more for a clear frontal face. A score
    below 0.2 is seldom a face: in scikit-image's astronaut, a part of the suit has 0.12, the face 1.16.

    Args:
        model: The file of the 68-point predictor. None: that of the package face_recognition_models, or of Debian's
            libdlib-data.
        upsample: How often the photograph is doubled before the search; 0 is four times as fast and finds faces from 80
            instead of 40 pixels.

    Raises:
        ModuleNotFoundError: dlib is not installed.
        FileNotFoundError: There is no predictor.
        ValueError: The file is packed, or no predictor of 68 points.
    """
    order = 'ibug68'
    min_confidence = 0.2

    def __init__(self, model: Optional[str] = None, upsample: int = 1) -> None:
        try:
            import dlib
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f'dlib is not installed: {HOW_TO_GET}.') from error
        path = find_model(MODEL_FILE) if model is None else model
        if not os.path.isfile(path):
            raise FileNotFoundError(f'The landmark predictor {path!r} does not exist: {HOW_TO_GET}.')
        with open_regular(path, 'rb') as file:
            if file.read(3) == b'BZh':  # as dlib.net offers it
                raise ValueError(f'{path}: is packed; `bunzip2 {os.path.basename(path)}` makes the predictor of it.')
        try:
            self._predictor = dlib.shape_predictor(path)
        except RuntimeError as error:
            raise ValueError(f'{path}: is no landmark predictor of dlib ({error}): {HOW_TO_GET}.') from error
        # only a prediction shows how many points a predictor has
        num_points = self._predictor(np.zeros((8, 8, 3), np.uint8), dlib.rectangle(0, 0, 7, 7)).num_parts
        if num_points != 68:
            raise ValueError(f'{path}: predicts {num_points} landmarks, expected 68: {HOW_TO_GET}.')
        self._rectangle = dlib.rectangle
        self._detector = dlib.get_frontal_face_detector()
        self._upsample = upsample
        self.described = f'dlib with {path}'
        self.model: Optional[str] = path

    def _squares(self, img: np.ndarray) -> List[Tuple[np.ndarray, float]]:
        """Return the first and last column and row of the faces' squares in uint8 RGB, and the confidence of each."""
        rectangles, scores, _ = self._detector.run(img, self._upsample)
        return [(sides_of(each), score) for each, score in zip(rectangles, scores)]

    def find(self, img: np.ndarray) -> List[FoundFace]:
        """Return all faces of a photograph, uint8 RGB (H, W, 3), those of highest confidence first."""
        img = seen = np.ascontiguousarray(img)
        height, width = img.shape[:2]
        zoom = max(height, width) / MAX_SIDE
        if zoom > 1:
            size = (max(round(width / zoom), 1), max(round(height / zoom), 1))
            seen = cv2.resize(img, size, interpolation=cv2.INTER_AREA)
        zooms = np.array([width / seen.shape[1], height / seen.shape[0]] * 2)
        faces = []
        for sides, score in sorted(self._squares(seen), key=lambda found: -found[1]):
            sides = np.round((sides + 0.5) * zooms - 0.5).astype(int)
            parts = self._predictor(img, self._rectangle(*sides.tolist())).parts()
            faces.append(FoundFace(np.array([(part.x, part.y) for part in parts], np.float64), confidence=score))
        return faces


def sides_of(rectangle: Any) -> np.ndarray:
    """Return the first column and row of dlib's rectangle, then the last."""
    return np.array([rectangle.left(), rectangle.top(), rectangle.right(), rectangle.bottom()])


def find_model(name: str) -> str:
    """Return the path of a model of dlib that is installed.

    Raises:
        FileNotFoundError: There is none of this name.
    """
    # located without an import, which would need pkg_resources, absent from recent setuptools
    spec = importlib.util.find_spec('face_recognition_models')
    package = (spec and spec.submodule_search_locations) or []
    paths = [
        os.path.join(folder, name) for folder in (*(os.path.join(root, 'models') for root in package), DEBIAN_FOLDER)
    ]
    for path in paths:
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(f'{name} is not installed: {HOW_TO_GET}. On Debian, the package libdlib-data has it too. '
                            f'Looked for {", ".join(paths)}.')
