"""dlib's convolutional detector (King, arXiv 1502.00046), for turned and hidden faces, with its 68-point predictor."""
from typing import List, Optional, Tuple

import numpy as np

from dic_plugin.faces.detectors.dlib_detector import DlibDetector, find_model, sides_of

CNN_FILE = 'mmod_human_face_detector.dat'


class DlibCnnDetector(DlibDetector):
    """Like DlibDetector, but slower and with fewer misses. Confidences are those of the network, about 1 for a face.

    Args, Raises: As DlibDetector; the network comes from face_recognition_models or Debian's libdlib-data.
    """
    min_confidence = 0.5

    def __init__(self, model: Optional[str] = None, upsample: int = 0) -> None:
        super().__init__(model, upsample)
        import dlib
        self._detector = dlib.cnn_face_detection_model_v1(find_model(CNN_FILE))
        self.described = f"dlib's network with {self.model}"

    def _squares(self, img: np.ndarray) -> List[Tuple[np.ndarray, float]]:
        return [(sides_of(each.rect), each.confidence) for each in self._detector(img, self._upsample)]
