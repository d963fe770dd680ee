"""MediaPipe's face mesh (Kartynnik et al., arXiv 1907.06724), of whose 468 points 68 stand for iBUG's."""
from typing import List, Optional

import numpy as np

from dic_plugin.faces.found_face import FoundFace

HOW_TO_GET = ("MediaPipe's face mesh is in the package up to version 0.10.21, for Python up to 3.12: `pip install "
              "'mediapipe<0.10.22'`")
MAX_FACES = 20
MIN_CONFIDENCE = 0.5
# Of each iBUG point the vertex that is nearest on average: 435 faces of Helen's training part, 0.048 inter-ocular.
VERTICES = (127, 227, 177, 215, 172, 136, 149, 148, 152, 377, 378, 365, 397, 435, 401, 447, 356, 70, 63, 105, 66, 55,
            336, 296, 334, 293, 300, 168, 197, 5, 4, 240, 97, 2, 326, 460, 246, 159, 158, 155, 153, 144, 382, 385, 387,
            263, 373, 380, 61, 39, 37, 0, 267, 304, 291, 321, 314, 17, 84, 181, 62, 38, 13, 268, 292, 317, 14,
            87)  # yapf: disable


class MediaPipeDetector:
    """Faces of MediaPipe, which needs no compiler and no model file; it gives no confidence.

    Args:
        model: None: the model is in the package.

    Raises:
        ModuleNotFoundError: MediaPipe is not installed, or a version without its model.
        ValueError: A model is named.
    """
    order = 'ibug68'
    min_confidence = 0.

    def __init__(self, model: Optional[str] = None) -> None:
        if model is not None:
            raise ValueError(f'{model}: MediaPipe has its model in its package; expected no --model.')
        try:
            from mediapipe.python.solutions.face_mesh import FaceMesh
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f'{HOW_TO_GET}.') from error
        self._mesh = FaceMesh(static_image_mode=True, max_num_faces=MAX_FACES, min_detection_confidence=MIN_CONFIDENCE)
        self.described = "MediaPipe's face mesh"
        self.model: Optional[str] = None

    def find(self, img: np.ndarray) -> List[FoundFace]:
        """Return all faces of a photograph, uint8 RGB (H, W, 3)."""
        meshes = self._mesh.process(np.ascontiguousarray(img)).multi_face_landmarks or []
        size = np.array(img.shape[1::-1])
        points = [np.array([(point.x, point.y) for point in mesh.landmark])[list(VERTICES)] for mesh in meshes]
        return [FoundFace(each * size - 0.5) for each in points]
