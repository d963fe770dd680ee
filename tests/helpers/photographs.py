"""Photographs with known landmarks, made here: drawn faces pasted into larger scenes, as JPEG."""
import csv
import pickle
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np

from dic_plugin.synthetic import draw_face


class Scene(NamedTuple):
    """A photograph's landmarks (68, 2) in its pixels, and the square that the face was pasted into."""
    landmarks: np.ndarray
    box: Tuple[int, int, int, int]


def make_photographs(folder: Path, num: int, size=(150, 120), face_size=64, subfolder='') -> Dict[str, Scene]:
    """Write ``num`` photographs of about ``size`` (width, height), 000001.jpg and so on; returns what they show."""
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    scenes = {}
    for index in range(1, num + 1):
        rng = np.random.RandomState(index)
        width, height = size[0] + 10 * (index % 3), size[1] + 10 * (index % 2)
        coarse = rng.randint(0, 256, (height // 20, width // 20, 3), np.uint8)
        img = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        face, landmarks = draw_face(0, index, face_size)
        x0, y0 = rng.randint(0, width - face_size + 1), rng.randint(0, height - face_size + 1)
        img[y0:y0 + face_size, x0:x0 + face_size] = face[:, :, ::-1]
        name = f'{subfolder}{index:06d}.jpg'
        assert cv2.imwrite(str(folder / name), img, [cv2.IMWRITE_JPEG_QUALITY, 95])
        scenes[name] = Scene(landmarks + (x0, y0), (x0, y0, x0 + face_size, y0 + face_size))
    return scenes


def write_dic_list(path: Path, scenes: Dict[str, Scene]) -> None:
    """The published form of a list: image name -> landmark and bbox."""
    content = {name: {'landmark': scene.landmarks.tolist(), 'bbox': list(scene.box)} for name, scene in scenes.items()}
    path.write_bytes(pickle.dumps(content, protocol=2))


def read_csv(path: Path) -> List[Dict[str, str]]:
    """The rows of a table that dic-prepare writes."""
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))
