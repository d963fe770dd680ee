"""Everything random about one face: the person, the expression, the pose, the light, and the camera.

Lengths are in units of half the width of an average face (about 70 mm); x to the image's right, y down, z towards the
camera; the pupils lie at y = 0.
"""
import math
from dataclasses import dataclass
from typing import Tuple

import numpy as np

# linear-light RGB albedo from fair to dark
SKIN_TONES = np.array([(0.64, 0.43, 0.33), (0.58, 0.37, 0.265), (0.52, 0.31, 0.205), (0.43, 0.245, 0.15),
                       (0.32, 0.175, 0.105), (0.21, 0.11, 0.066), (0.125, 0.066, 0.042)])
HAIR_COLOURS = np.array([(0.018, 0.015, 0.014), (0.035, 0.023, 0.017), (0.075, 0.042, 0.025), (0.13, 0.073, 0.040),
                         (0.26, 0.165, 0.085), (0.48, 0.345, 0.19), (0.24, 0.085, 0.035), (0.36, 0.35, 0.34),
                         (0.62, 0.60, 0.58)])
HAIR_WEIGHTS = np.array([0.13, 0.18, 0.22, 0.15, 0.09, 0.08, 0.05, 0.06, 0.04])
IRIS_COLOURS = np.array([(0.05, 0.025, 0.012), (0.10, 0.05, 0.022), (0.16, 0.10, 0.04), (0.12, 0.14, 0.07),
                         (0.14, 0.22, 0.32), (0.20, 0.25, 0.28)])
HAIR_STYLES = ('short', 'crop', 'fringe', 'swept', 'long', 'long_fringe', 'bob', 'curly', 'bun', 'bald', 'receding')
STYLES_MALE = np.array([0.3, 0.2, 0.1, 0.14, 0.02, 0.0, 0.0, 0.07, 0.02, 0.08, 0.07])
STYLES_FEMALE = np.array([0.03, 0.02, 0.04, 0.08, 0.34, 0.15, 0.14, 0.08, 0.12, 0.0, 0.0])
EAR_COVERING = ('long', 'long_fringe', 'bob')


@dataclass
class FaceParams:
    """One random face. Lengths are in head units, angles in radians, colours linear RGB; the rest is 0 to 1 or so."""
    # head
    masculine: float
    age: float
    jaw_width: float
    jaw_square: float
    cheek: float
    fullness: float
    y_nose: float  # the tip's height; the pupils' is 0
    y_mouth: float
    y_chin: float
    ear: float  # how far the ears stand out
    # eyes and brows
    eye_x: float  # of the opening's middle
    eye_half_width: float
    eye_up: float  # from the line between the corners to the upper lid
    eye_low: float
    eye_slant: float  # rise from the inner to the outer corner over the width
    eye_depth: float  # of the sockets
    lid_crease: float  # its distance above the lid's edge
    lashes: float
    gaze_x: float  # offsets of the pupils
    gaze_y: float
    iris: np.ndarray
    pupil: float  # radius
    brow_y: float
    brow_arch: float
    brow_thickness: float  # half of it
    brow_slant: float
    brow_density: float
    # nose and mouth
    nose_width: float  # half of it, at the wings
    nose_height: float
    nose_bridge: float  # height between the eyes
    nose_tip_width: float
    mouth_half_width: float
    lip_up: float  # thickness of the upper lip
    lip_low: float
    lip_red: float
    mouth_gap: float  # between the lips
    smile: float  # -0.3 (sulking) to 1
    teeth: float
    # surface
    skin: np.ndarray
    redness: float
    freckles: float
    blotches: float
    shine: float
    beard: float  # below 0.5 stubble, above a beard
    beard_style: int  # see shading._beard
    hair: np.ndarray
    brow_colour: np.ndarray
    hair_style: str
    hair_volume: float
    hairline: float  # its y on the forehead
    hair_part: float  # angle of the parting
    hair_frame: float  # how far back long hair hangs
    collar: float  # y of the clothes' edge on the neck
    collar_dip: float  # how much lower it is in front
    glasses: float  # 0 is none, more is more reflection
    # pose and camera
    yaw: float
    pitch: float
    roll: float
    distance: float
    fill: float  # larger extent of the landmarks over the image's width
    shift_x: float  # -1 to 1 of the shift that keeps the landmarks inside
    shift_y: float


def _mix_colours(rng: np.random.Generator, palette: np.ndarray, position: float) -> np.ndarray:
    low = min(int(position), len(palette) - 2)
    frac = position - low
    colour = palette[low] * (1 - frac) + palette[low + 1] * frac
    return (colour * np.exp(rng.normal(0, 0.05, 3))).astype(np.float32)


def _bounded(x: float, low: float, high: float) -> float:
    return min(max(float(x), low), high)


def _normal(rng: np.random.Generator, mean: float, std: float, limit: float = 2.0) -> float:
    """A normal number cut off at `limit` standard deviations, so that no face leaves the plausible."""
    return mean + std * _bounded(rng.standard_normal(), -limit, limit)


def _sample_expression(rng: np.random.Generator) -> Tuple[float, float, float, float]:
    """Smile (-0.3 to 1), gap between the lips, raise of the brows (about -1 to 1), opening of the eyes (1 is usual)."""
    smile = _bounded(rng.normal(0.35, 0.4), -0.3, 1)
    opened, gap = rng.random(2)
    mouth_gap = 0.0
    if opened < 0.35:
        mouth_gap = 0.03 + 0.09 * float(gap) * max(smile, 0.4)
    elif opened < 0.45:
        mouth_gap = 0.05 + 0.17 * float(gap)
    brow_raise = float(rng.normal(0, 0.5))
    open_eye = _bounded(rng.normal(1, 0.13) + 0.08 * brow_raise - 0.12 * max(smile, 0), 0.55, 1.3)
    if rng.random() < 0.02:
        open_eye = 0.12
    return smile, mouth_gap, brow_raise, open_eye


def sample_face(rng: np.random.Generator) -> FaceParams:
    """Draws one face's parameters."""
    masculine = float(rng.random())
    male = masculine > 0.5
    age = float(rng.random())
    skin = _mix_colours(rng, SKIN_TONES, float(rng.beta(1.1, 1.5)) * 6)
    darkness = 1 - float(skin.mean()) / 0.50

    smile, mouth_gap, brow_raise, open_eye = _sample_expression(rng)
    y_nose = _normal(rng, 0.555, 0.03)
    y_mouth = y_nose + _normal(rng, 0.43, 0.03)
    y_chin = y_mouth + _normal(rng, 0.59, 0.04) + 0.04 * masculine + 0.7 * mouth_gap

    hair_index = int(rng.choice(len(HAIR_COLOURS), p=HAIR_WEIGHTS))
    if darkness > 0.45 and rng.random() < 0.8:
        hair_index = int(rng.integers(0, 2))
    hair = (HAIR_COLOURS[hair_index] * np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.15))).astype(np.float32)
    style = HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=STYLES_MALE if male else STYLES_FEMALE))]
    brown_eyes = darkness > 0.35 or (hair_index < 2 and rng.random() < 0.6)
    iris = IRIS_COLOURS[int(rng.integers(0, 2 if brown_eyes else len(IRIS_COLOURS)))]

    beard_kind, beard_strength = rng.random(2)
    beard = 0.0
    if male and beard_kind > 0.75:
        beard = 0.75 + 0.25 * float(beard_strength)
    elif male and beard_kind > 0.35:
        beard = 0.15 + 0.3 * float(beard_strength)

    turned = rng.random()
    yaw = rng.normal(0, 9) if turned < 0.6 else rng.uniform(-35, 35)
    return FaceParams(
        masculine=masculine,
        age=age,
        jaw_width=_normal(rng, 0.97 + 0.05 * masculine, 0.04),
        jaw_square=_normal(rng, 0.2 + 0.5 * masculine, 0.3),
        cheek=_normal(rng, 1, 0.4),
        fullness=_normal(rng, 0, 1),
        y_nose=y_nose,
        y_mouth=y_mouth,
        y_chin=y_chin,
        ear=_normal(rng, 0.12, 0.03) * (0.1 if style in EAR_COVERING else 1),
        eye_x=_normal(rng, 0.438, 0.018),
        eye_half_width=_normal(rng, 0.2, 0.01),
        eye_up=_normal(rng, 0.080, 0.008) * open_eye,
        eye_low=_normal(rng, 0.052, 0.006) * (0.35 + 0.65 * open_eye) * (1 - 0.15 * max(smile, 0)),
        eye_slant=_normal(rng, 0.05, 0.05),
        eye_depth=_normal(rng, 0.10, 0.02),
        lid_crease=_normal(rng, 0.045, 0.015),
        lashes=float(rng.random()) * (0.4 if male else 1.0),
        gaze_x=_normal(rng, 0, 0.035),
        gaze_y=_normal(rng, 0, 0.012),
        iris=(iris * np.exp(rng.normal(0, 0.2))).astype(np.float32),
        pupil=float(rng.uniform(0.03, 0.05)),
        brow_y=_normal(rng, -0.265, 0.022) + 0.03 * masculine - 0.035 * brow_raise,
        brow_arch=_normal(rng, 0.07 - 0.02 * masculine, 0.02),
        brow_thickness=_normal(rng, 0.036 + 0.016 * masculine, 0.009),
        brow_slant=_normal(rng, 0.02, 0.03),
        brow_density=float(rng.uniform(0.55, 0.95)),
        nose_width=_normal(rng, 0.185 + 0.01 * masculine + 0.03 * darkness, 0.016),
        nose_height=_normal(rng, 0.27 - 0.03 * darkness, 0.03),
        nose_bridge=_normal(rng, 0.095, 0.022),
        nose_tip_width=_normal(rng, 0.10, 0.012),
        mouth_half_width=_normal(rng, 0.345, 0.024) * (1 + 0.16 * max(smile, 0)),
        lip_up=_normal(rng, 0.075 + 0.015 * darkness, 0.017) * (1 - 0.2 * max(smile, 0)),
        lip_low=_normal(rng, 0.105 + 0.015 * darkness, 0.017) * (1 - 0.12 * max(smile, 0)),
        lip_red=float(rng.uniform(0.1, 0.6)) if male else float(rng.uniform(0.2, 1.2)),
        mouth_gap=mouth_gap,
        smile=smile,
        teeth=float(rng.random()),
        skin=skin,
        redness=float(rng.uniform(0.3, 1.2)),
        freckles=float(rng.random() < 0.12) * float(rng.uniform(0.3, 1)) * (1 - darkness),
        blotches=float(rng.uniform(0.02, 0.06)),
        shine=float(rng.uniform(0.2, 1.0)),
        beard=beard,
        beard_style=int(rng.integers(0, 4)),
        hair=hair,
        brow_colour=(hair * 0.75 if hair.mean() < 0.3 else hair * 0.45).astype(np.float32),
        hair_style=style,
        hair_volume=float(rng.uniform(0.7, 1.5)),
        hairline=_normal(rng, -0.80, 0.06),
        hair_part=float(rng.uniform(-0.6, 0.6)),
        hair_frame=float(rng.random()),
        collar=float(rng.uniform(1.95, 2.3)),
        collar_dip=float(rng.choice([0.1, 0.2, 0.6], p=[0.4, 0.4, 0.2])),
        glasses=float(rng.random() < 0.15) * float(rng.uniform(0.2, 1)),
        yaw=math.radians(_bounded(yaw, -35, 35)),
        pitch=math.radians(_bounded(rng.normal(0, 6), -15, 15)),
        roll=math.radians(_bounded(rng.normal(0, 6), -16, 16)),
        distance=float(rng.uniform(7, 16)),
        fill=float(rng.uniform(0.60, 0.74)),
        shift_x=float(rng.uniform(-1, 1)),
        shift_y=float(rng.uniform(-1, 1)),
    )
