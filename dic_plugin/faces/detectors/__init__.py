"""Face detectors, one per file.

To add one, write ``<name>_detector.py`` with a class that implements :class:`dic_plugin.faces.found_face.Detector` and
takes the path of its model, or None; enter it below. Import its library in the constructor, so that the others work
without it.
"""
from typing import Callable, Dict, Optional

from dic_plugin.faces.detectors.dlib_cnn_detector import DlibCnnDetector
from dic_plugin.faces.detectors.dlib_detector import DlibDetector
from dic_plugin.faces.detectors.mediapipe_detector import MediaPipeDetector
from dic_plugin.faces.detectors.yunet_detector import YuNetDetector
from dic_plugin.faces.found_face import Detector

DETECTORS: Dict[str, Callable[[Optional[str]], Detector]] = {
    'dlib': DlibDetector,
    'dlib_cnn': DlibCnnDetector,
    'mediapipe': MediaPipeDetector,
    'yunet': YuNetDetector
}


def make_detector(name: str, model: Optional[str] = None) -> Detector:
    """Return a detector by its name.

    Args:
        name: One of :data:`DETECTORS`.
        model: Its model file. None: searched for in its usual places.

    Raises:
        ValueError: There is no such detector, or the model is of another kind.
        ModuleNotFoundError, FileNotFoundError: Its library or model is missing; the message says where to get it.
    """
    if name not in DETECTORS:
        raise ValueError(f'There is no detector {name!r}; known: {", ".join(sorted(DETECTORS))}.')
    return DETECTORS[name](model)
