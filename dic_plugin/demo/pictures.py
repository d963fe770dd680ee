"""What the page shows of a restored face, enlarged by repeating pixels, so that nothing looks sharper than it is."""
from typing import List, Optional, Tuple

import numpy as np
from basicsr.metrics import calculate_psnr

from dic_plugin.demo.faces import DemoFace
from dic_plugin.faces.face_crop import enlarge
from dic_plugin.inference.strip import attention_overlay
from dic_plugin.landmarks.layouts import COMPONENTS
from dic_plugin.utils.drawing import draw_landmarks

SIDE = 384  # about how wide a picture is, in pixels
PSNR_BORDER = 8


def input_picture(face: DemoFace) -> np.ndarray:
    """The network's input, uint8 RGB."""
    return _large(face.crop.lq)


def bicubic_picture(face: DemoFace) -> np.ndarray:
    """The input enlarged without a network, uint8 RGB."""
    return _large(_bicubic(face))


def original_picture(face: DemoFace) -> Optional[np.ndarray]:
    """The face as the photograph has it, uint8 RGB; None where that is no more than the input."""
    return _large(face.crop.crop) if face.crop.side > len(face.crop.lq) else None


def step_picture(face: DemoFace, step: int, landmarks: bool) -> np.ndarray:
    """What step ``step``, counted from 1, gave, uint8 RGB; with the landmarks that it found if asked for."""
    given = face.steps[step - 1]
    return _large(given.faces[0], given.landmarks[0] if landmarks else np.empty((0, 2)))


def attention_pictures(face: DemoFace, step: int) -> List[Tuple[np.ndarray, str]]:
    """Where the fusion of this step looked, laid over the face of the step before, whose landmarks guided it.

    Returns:
        One uint8 RGB picture per facial component, with its name; none in the first step and without fusion.
    """
    attention = face.steps[step - 1].attention
    if attention is None:
        return []
    names = [name.replace('_', ' ') for name in COMPONENTS]
    if attention.shape[1] != len(names):
        names = [f'component {number}' for number in range(1, attention.shape[1] + 1)]
    before = face.steps[step - 2].faces[0]
    return [(_large(attention_overlay(component, before)), name) for component, name in zip(attention[0], names)]


def psnr(face: DemoFace, step: int) -> Optional[Tuple[float, float]]:
    """Of this step's face and of the bicubic one, in dB, on luma, 8 pixels of border cropped.

    None where the photograph's face is smaller than the result, so that there is no truth.
    """
    truth = face.crop.crop
    if face.crop.side < len(truth):
        return None
    return tuple(
        calculate_psnr(image[..., ::-1], truth[..., ::-1], PSNR_BORDER, test_y_channel=True)
        for image in (face.steps[step - 1].faces[0], _bicubic(face)))


def _bicubic(face: DemoFace) -> np.ndarray:
    return enlarge(face.crop.lq, len(face.crop.crop))


def _large(image: np.ndarray, landmarks: np.ndarray = np.empty((0, 2))) -> np.ndarray:
    return draw_landmarks(image, landmarks, max(SIDE // image.shape[1], 1))
