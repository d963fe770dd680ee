"""What the page shows of a restored face, enlarged by repeating pixels, so that nothing looks sharper than it is."""
from typing import List, NamedTuple, Optional, Tuple

import numpy as np
from basicsr.metrics import calculate_psnr

from dic_plugin.demo.faces import DemoFace
from dic_plugin.faces.face_crop import enlarge
from dic_plugin.inference.strip import attention_overlay
from dic_plugin.landmarks.layouts import COMPONENTS
from dic_plugin.utils.drawing import draw_landmarks

SIDE = 384  # approximate width of a picture, in pixels
PSNR_BORDER = 8


class Pictures(NamedTuple):
    """Pictures of a face, uint8 RGB.

    Attributes:
        input: the network's input.
        bicubic: the input enlarged without a network.
        step: the result of the step, with its landmarks if they are wanted.
        original: the face as the photograph has it; None if that is no larger than the input.
        attention: one picture and name per facial component: the attention of the step's fusion, over the result of the
            previous step, whose landmarks guided it. Empty in the first step and without fusion.
    """
    input: np.ndarray
    bicubic: np.ndarray
    step: np.ndarray
    original: Optional[np.ndarray]
    attention: List[Tuple[np.ndarray, str]]


def pictures(face: DemoFace, step: int, landmarks: bool) -> Pictures:
    """Return the pictures of a face after ``step`` steps, at least 1."""
    result, lq, crop = face.steps[step - 1], face.crop.lq, face.crop.crop
    attention = []
    if result.attention is not None:
        before, maps = face.steps[step - 2].faces[0], result.attention[0]
        names = [name.replace('_', ' ') for name in COMPONENTS]
        if len(maps) != len(names):
            names = [f'component {number}' for number in range(1, len(maps) + 1)]
        attention = [(_large(attention_overlay(each, before)), name) for each, name in zip(maps, names)]
    return Pictures(
        _large(lq), _large(enlarge(lq, len(crop))), _large(result.faces[0], result.landmarks[0] if landmarks else None),
        _large(crop) if face.crop.side > len(lq) else None, attention)


def psnr(face: DemoFace, step: int) -> Optional[Tuple[float, float]]:
    """Return the PSNR of this step's face and of the bicubic one, in dB, on luma, 8 pixels of border cropped.

    None if the photograph's face is smaller than the result: there is no ground truth then.
    """
    truth = face.crop.crop
    if face.crop.side < len(truth):
        return None
    ours, bicubic = (
        calculate_psnr(image[..., ::-1], truth[..., ::-1], PSNR_BORDER, test_y_channel=True)
        for image in (face.steps[step - 1].faces[0], enlarge(face.crop.lq, len(truth))))
    return ours, bicubic


def _large(image: np.ndarray, landmarks: Optional[np.ndarray] = None) -> np.ndarray:
    points = np.empty((0, 2)) if landmarks is None else landmarks
    return draw_landmarks(image, points, max(SIDE // image.shape[1], 1))
