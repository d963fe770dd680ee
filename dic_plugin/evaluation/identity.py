"""Identity: whether a restored face shows the same person, by dlib's face descriptor of 128 numbers."""
import hashlib
import os
from importlib.util import find_spec
from typing import Dict, Optional

import numpy as np

from dic_plugin.evaluation.perceptual import MetricUnavailable
from dic_plugin.faces.detectors import make_detector

__all__ = ['SAME_PERSON', 'Identity']

SAME_PERSON = 0.6  # dlib's threshold: photographs with nearer descriptors show the same person
MODEL_FILE = 'dlib_face_recognition_resnet_model_v1.dat'
CHIP_SIZE, CHIP_PADDING = 150, 0.25  # of the face crops that dlib's network was trained on


class Identity:
    """Distance between the face descriptors of a result and its original, the lower the better.

    The network is the one in the package face_recognition_models. Both images are cropped by the original's
    landmarks, so that the distance depends on the faces and not on the crops. Descriptors of originals are kept for the
    results of further models.

    Raises:
        MetricUnavailable: dlib or the network is not installed.
    """
    description = ("Euclidean distance of dlib's face descriptors, cropped by the original's landmarks; below "
                   f'{SAME_PERSON} counts as the same person; lower is better')

    def __init__(self) -> None:
        spec = find_spec('face_recognition_models')
        folders = list(spec.submodule_search_locations or ()) if spec else []
        try:
            import dlib
            self._network = dlib.face_recognition_model_v1(os.path.join(*folders, 'models', MODEL_FILE))
            self._detector = make_detector('dlib')
        except (ImportError, OSError, RuntimeError) as error:
            raise MetricUnavailable(f'The identity metric needs dlib and {MODEL_FILE} ({error}): '
                                    "`pip install 'dic_plugin[faces]'`.") from error
        self._dlib = dlib
        self._originals: Dict[bytes, np.ndarray] = {}  # by digest: a descriptor takes a quarter of a second

    def __call__(self, sr: np.ndarray, gt: np.ndarray, landmarks: Optional[np.ndarray] = None) -> float:
        """Return the distance.

        Args:
            sr: Result, uint8 RGB ``H,W,3``.
            gt: Original of the same size and type.
            landmarks: iBUG's 68 in the original, ``68,2``. Default: those that dlib finds on it.

        Returns:
            At least 0; NaN if no landmarks are given and dlib finds no face on the original.
        """
        if landmarks is None or len(landmarks) != 68:
            faces = self._detector.find(gt)
            if not faces:
                return np.nan
            landmarks = faces[0].landmarks
        key = hashlib.blake2b(gt.tobytes() + landmarks.tobytes()).digest()
        if key not in self._originals:
            self._originals[key] = self._descriptor(gt, landmarks)
        return float(np.linalg.norm(self._descriptor(sr, landmarks) - self._originals[key]))

    def _descriptor(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        points = [self._dlib.point(x, y) for x, y in np.rint(landmarks).astype(int).tolist()]
        height, width = image.shape[:2]
        shape = self._dlib.full_object_detection(
            self._dlib.rectangle(0, 0, width - 1, height - 1), self._dlib.points(points))
        chip = self._dlib.get_face_chip(np.ascontiguousarray(image), shape, CHIP_SIZE, CHIP_PADDING)
        return np.array(self._network.compute_face_descriptor(chip))
