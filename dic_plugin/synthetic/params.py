"""Everything random about one face: the person, the expression, the pose, the camera, and the light.

Lengths are in head units: half the width of an average face, about 70 mm. x points to the image's right, y down, z
towards the camera; the pupils lie at y = 0. Angles are in radians. Colours are linear RGB planes, (3, 1, 1) float32.
"""
import math

import numpy as np
from numpy.typing import ArrayLike

# linear-light RGB albedo from fair to dark
SKIN_TONES = np.array([(0.64, 0.43, 0.33), (0.58, 0.37, 0.265), (0.52, 0.31, 0.205), (0.43, 0.245, 0.15),
                       (0.32, 0.175, 0.105), (0.21, 0.11, 0.066), (0.125, 0.066, 0.042)])
HAIR_COLOURS = np.array([(0.018, 0.015, 0.014), (0.035, 0.023, 0.017), (0.075, 0.042, 0.025), (0.13, 0.073, 0.040),
                         (0.26, 0.165, 0.085), (0.48, 0.345, 0.19), (0.24, 0.085, 0.035), (0.36, 0.35, 0.34),
                         (0.62, 0.60, 0.58)])
HAIR_WEIGHTS = (0.13, 0.18, 0.22, 0.15, 0.09, 0.08, 0.05, 0.06, 0.04)
IRIS_COLOURS = np.array([(0.05, 0.025, 0.012), (0.10, 0.05, 0.022), (0.16, 0.10, 0.04), (0.12, 0.14, 0.07),
                         (0.14, 0.22, 0.32), (0.20, 0.25, 0.28)])
HAIR_STYLES = ('short', 'crop', 'fringe', 'swept', 'long', 'long_fringe', 'bob', 'curly', 'bun', 'bald', 'receding')
STYLES_MALE = (0.3, 0.2, 0.1, 0.14, 0.02, 0.0, 0.0, 0.07, 0.02, 0.08, 0.07)
STYLES_FEMALE = (0.03, 0.02, 0.04, 0.08, 0.34, 0.15, 0.14, 0.08, 0.12, 0.0, 0.0)
EAR_COVERING = ('long', 'long_fringe', 'bob')


def rgb(colour: ArrayLike) -> np.ndarray:
    """Return a colour (3,) as planes (3, 1, 1) float32, which broadcast over images (3, H, W)."""
    return np.asarray(colour, np.float32)[:, None, None]


def _bounded(x: float, low: float, high: float) -> float:
    return min(max(float(x), low), high)


class FaceParams:
    """One random face. The order of the draws is part of the format: changing it changes every face."""

    def __init__(self, rng: np.random.Generator) -> None:

        def uniform(low: float = 0.0, high: float = 1.0) -> float:
            return float(rng.uniform(low, high))

        def normal(mean: float, std: float) -> float:
            """Return a normal number, cut off at two standard deviations so that every face is plausible."""
            return mean + std * _bounded(rng.standard_normal(), -2, 2)

        # what other parameters depend on
        self.masculine = masculine = uniform()
        male = masculine > 0.5
        self.age = uniform()
        tone = float(rng.beta(1.1, 1.5)) * 6
        low = min(int(tone), len(SKIN_TONES) - 2)
        skin = SKIN_TONES[low] * (1 - (tone - low)) + SKIN_TONES[low + 1] * (tone - low)
        self.skin = rgb(skin * np.exp(rng.normal(0, 0.05, 3)))
        darkness = 1 - float(self.skin.mean()) / 0.50

        self.smile = _bounded(rng.normal(0.35, 0.4), -0.3, 1)  # below 0 the corners of the mouth hang
        smiling = max(self.smile, 0)
        opened, gap = rng.random(2)
        self.mouth_gap = 0.0  # between the lips
        if opened < 0.35:
            self.mouth_gap = 0.03 + 0.09 * float(gap) * max(self.smile, 0.4)
        elif opened < 0.45:
            self.mouth_gap = 0.05 + 0.17 * float(gap)
        brow_raise = float(rng.normal(0, 0.5))
        open_eye = _bounded(rng.normal(1, 0.13) + 0.08 * brow_raise - 0.12 * smiling, 0.55, 1.3)
        if rng.random() < 0.02:  # a blink
            open_eye = 0.12
        self.y_nose = normal(0.555, 0.03)  # of the tip
        self.y_mouth = self.y_nose + normal(0.43, 0.03)
        self.y_chin = self.y_mouth + normal(0.59, 0.04) + 0.04 * masculine + 0.7 * self.mouth_gap

        hair_index = int(rng.choice(len(HAIR_COLOURS), p=HAIR_WEIGHTS))
        if darkness > 0.45 and rng.random() < 0.8:
            hair_index = int(rng.integers(0, 2))
        self.hair = rgb(HAIR_COLOURS[hair_index] * np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.15)))
        self.hair_style = HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=STYLES_MALE if male else STYLES_FEMALE))]
        brown_eyes = darkness > 0.35 or (hair_index < 2 and rng.random() < 0.6)
        iris = IRIS_COLOURS[int(rng.integers(0, 2 if brown_eyes else len(IRIS_COLOURS)))]
        beard_kind, beard_strength = rng.random(2)
        self.beard = 0.0  # below 0.5 stubble, above a beard
        if male and beard_kind > 0.75:
            self.beard = 0.75 + 0.25 * float(beard_strength)
        elif male and beard_kind > 0.35:
            self.beard = 0.15 + 0.3 * float(beard_strength)
        frontal = rng.random() < 0.6
        yaw = rng.normal(0, 9) if frontal else rng.uniform(-35, 35)

        # head
        self.jaw_width = normal(0.97 + 0.05 * masculine, 0.04)
        self.jaw_square = normal(0.2 + 0.5 * masculine, 0.3)
        self.cheek = normal(1, 0.4)
        self.fullness = normal(0, 1)
        self.ear = normal(0.12, 0.03) * (0.1 if self.hair_style in EAR_COVERING else 1)  # how far it stands out
        # eyes and brows
        self.eye_x = normal(0.438, 0.018)  # of the middle
        self.eye_half_width = normal(0.2, 0.01)
        self.eye_up = normal(0.080, 0.008) * open_eye  # from the line between the corners to the upper lid
        self.eye_low = normal(0.052, 0.006) * (0.35 + 0.65 * open_eye) * (1 - 0.15 * smiling)
        self.eye_slant = normal(0.05, 0.05)  # rise from the inner to the outer corner over the width
        self.eye_depth = normal(0.10, 0.02)  # of the sockets
        self.lid_crease = normal(0.045, 0.015)  # distance above the lid's edge
        self.lashes = uniform() * (0.4 if male else 1.0)
        self.gaze_x = normal(0, 0.035)  # offset of the pupils
        self.gaze_y = normal(0, 0.012)
        self.iris = rgb(iris * np.exp(rng.normal(0, 0.2)))
        self.pupil = uniform(0.03, 0.05)  # radius
        self.brow_y = normal(-0.265, 0.022) + 0.03 * masculine - 0.035 * brow_raise
        self.brow_arch = normal(0.07 - 0.02 * masculine, 0.02)
        self.brow_thickness = normal(0.036 + 0.016 * masculine, 0.009)  # half of it
        self.brow_slant = normal(0.02, 0.03)
        self.brow_density = uniform(0.55, 0.95)
        # nose and mouth
        self.nose_width = normal(0.185 + 0.01 * masculine + 0.03 * darkness, 0.016)  # half of it, at the wings
        self.nose_height = normal(0.27 - 0.03 * darkness, 0.03)
        self.nose_bridge = normal(0.095, 0.022)  # height between the eyes
        self.nose_tip_width = normal(0.10, 0.012)
        self.mouth_half_width = normal(0.345, 0.024) * (1 + 0.16 * smiling)
        self.lip_up = normal(0.075 + 0.015 * darkness, 0.017) * (1 - 0.2 * smiling)  # thickness
        self.lip_low = normal(0.105 + 0.015 * darkness, 0.017) * (1 - 0.12 * smiling)
        self.lip_red = uniform(0.1, 0.6) if male else uniform(0.2, 1.2)
        self.teeth = uniform()
        # surface
        self.redness = uniform(0.3, 1.2)
        self.freckles = float(rng.random() < 0.12) * uniform(0.3, 1) * (1 - darkness)
        self.blotches = uniform(0.02, 0.06)
        self.shine = uniform(0.2, 1.0)
        self.beard_style = int(rng.integers(0, 4))  # see shading._beard
        self.brow_colour = self.hair * np.float32(0.75 if self.hair.mean() < 0.3 else 0.45)
        self.hair_volume = uniform(0.7, 1.5)
        self.hairline = normal(-0.80, 0.06)  # y on the forehead
        self.hair_part = uniform(-0.6, 0.6)  # angle of the parting
        self.hair_frame = uniform()  # how far back long hair hangs
        self.collar = uniform(1.95, 2.3)  # y of the clothes' edge on the neck
        self.collar_dip = float(rng.choice([0.1, 0.2, 0.6], p=[0.4, 0.4, 0.2]))  # how much lower it is in front
        self.glasses = float(rng.random() < 0.15) * uniform(0.2, 1)  # 0: none; above, strength of their reflection
        # pose and camera
        self.yaw = math.radians(_bounded(yaw, -35, 35))
        self.pitch = math.radians(_bounded(rng.normal(0, 6), -15, 15))
        self.roll = math.radians(_bounded(rng.normal(0, 6), -16, 16))
        self.distance = uniform(7, 16)
        self.fill = uniform(0.60, 0.74)  # larger extent of the landmarks over the image's width
        self.shift = np.array([uniform(-1, 1), uniform(-1, 1)])  # fraction of the room that landmarks leave


class Light:
    """One random light: a directional key light and ambient light, in camera axes."""

    def __init__(self, rng: np.random.Generator) -> None:
        hard = float(rng.beta(2, 2))
        azimuth = float(np.clip(rng.normal(0, 0.6), -1.15, 1.15))
        elevation = float(np.clip(rng.normal(0.55, 0.3), -0.1, 1.1))
        sideways, frontal = np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation)
        direction = np.array([sideways, -np.sin(elevation), frontal])
        half = direction + [0, 0, 1]
        warmth = rng.normal(0.03, 0.07)
        tint = np.array([1 + warmth, 1.0, 1 - 1.3 * warmth])
        fill_tint = np.array([1 - 0.5 * warmth, 1.0, 1 + 0.6 * warmth]) * (1 + rng.normal(0, 0.03, 3))
        sky = (0.75 - 0.45 * hard) * fill_tint
        self.direction = direction.astype(np.float32)  # towards the light, unit length
        self.half = (half / np.linalg.norm(half)).astype(np.float32)  # between the light and the viewer
        self.key = rgb((0.35 + 0.75 * hard) * tint)
        self.sky = rgb(sky)
        self.ground = rgb(sky * rng.uniform(0.45, 0.85))
        self.exposure = float(np.exp(np.clip(rng.normal(0.08, 0.25), -0.55, 0.5)))
