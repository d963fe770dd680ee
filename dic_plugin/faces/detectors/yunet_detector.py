"""YuNet (Wu et al., MIR 2023) through OpenCV, for small and turned faces, with dlib's 68-point predictor."""
import os
from typing import List, Optional, Tuple

import cv2
import numpy as np

from dic_plugin.faces.detectors.dlib_detector import DlibDetector

HOW_TO_GET = ("YuNet's model file is not in any package: download face_detection_yunet_2023mar.onnx of OpenCV's model "
              'zoo and name it by --model')
MIN_SCORE = 0.3  # below, OpenCV does not report a face
# The square that dlib's predictor expects, from eyes and mouth: medians over 419 faces of Helen's training part that
# dlib's own detector found.
CENTRE, SIDE = 0.448, 1.185


class YuNetDetector(DlibDetector):
    """Faces of YuNet; the 68 landmarks are dlib's predictor's, in squares laid by its eyes and mouth.

    Args:
        model: YuNet's ONNX file.

    Raises:
        ModuleNotFoundError: dlib is not installed.
        FileNotFoundError: There is no model file, or no predictor.
        ValueError: OpenCV cannot load the file.
    """
    min_confidence = 0.6

    def __init__(self, model: Optional[str] = None) -> None:
        super().__init__()
        if model is None:
            raise FileNotFoundError(f'{HOW_TO_GET}.')
        if not os.path.isfile(model):
            raise FileNotFoundError(f'{model}: does not exist. {HOW_TO_GET}.')
        try:
            self._yunet = cv2.FaceDetectorYN.create(model, '', (320, 320), MIN_SCORE)
        except cv2.error as error:
            raise ValueError(
                f'{model}: OpenCV cannot load it as YuNet ({" ".join(str(error).split())}). {HOW_TO_GET}.') from error
        self.described, self.model = f'YuNet of {model}', model

    def _squares(self, img: np.ndarray) -> List[Tuple[np.ndarray, float]]:
        self._yunet.setInputSize(img.shape[1::-1])
        faces = self._yunet.detect(cv2.cvtColor(img, cv2.COLOR_RGB2BGR))[1]
        squares = []
        for face in [] if faces is None else faces.astype(np.float64):
            points = face[4:14].reshape(5, 2)  # eyes, nose, corners of the mouth
            eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
            half = SIDE * (np.linalg.norm(points[1] - points[0]) + np.linalg.norm(mouth - eyes)) / 2
            centre = eyes + CENTRE * (mouth - eyes)
            squares.append((np.concatenate([centre - half, centre + half]), float(face[14])))
        return squares
