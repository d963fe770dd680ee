"""Helpers of the tests of the annotation formats."""
import pickle

import numpy as np

from dic_plugin.prepare.photo import Photo

# landmarks by their number
POINTS = {count: np.random.RandomState(count).randint(0, 4000, (count, 2)) / 8 for count in (5, 68, 194)}
BOX = [10, 20, 210, 220]


def photos_of(*relatives):
    return [
        Photo(relative.replace('/', '_').replace('.', '_'), f'/photos/{relative}', relative) for relative in relatives
    ]


def only_face(source, photo):
    faces = source.find(photo)
    assert len(faces) == 1 and faces[0].landmarks.dtype == np.float64
    return faces[0]


def lines(*texts, end='\n'):
    return end.join(texts) + end


def write_list(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return str(path)
