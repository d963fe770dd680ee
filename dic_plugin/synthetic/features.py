"""Eyes, brows, nostrils and lips, painted on the head's front view over small windows of pixels."""
from typing import Tuple

import numpy as np

from .camera import Camera, Hit
from .landmarks import brow_curve, lip_curves, lower_lid, upper_lid
from .params import FaceParams, rgb
from .texture import GRAIN, STRAND, lookup


def clamp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Clip as np.clip does, faster on small arrays."""
    return np.minimum(np.maximum(x, low), high)


def ramp(t: np.ndarray) -> np.ndarray:
    """Return an edge one unit wide around t = 0, from 0 to 1."""
    return clamp(t + 0.5, 0, 1)


def blend(target: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    """Blend a colour, or an image (3, H, W), into target (3, H, W) in place, by mask (H, W) from 0 to 1."""
    target += mask * (colour - target)


def paint_features(albedo: np.ndarray, gloss: np.ndarray, p: FaceParams, camera: Camera, hit: Hit,
                   landmarks: np.ndarray, light: np.ndarray) -> None:
    """Paint all features in place, each in the pixels around its landmarks.

    Args:
        albedo, gloss: of the skin, (3, H, W) and (H, W); highlights go into gloss.
        landmarks: (68, 2), in pixels.
        light: direction to the key light in the head's axes.
    """

    def cut(part: slice, margin: float) -> Tuple[np.ndarray, ...]:
        points, margin = landmarks[part], margin * camera.scale
        low = np.clip(np.floor(points.min(0) - margin), 0, camera.size - 1).astype(int)
        high = np.clip(np.ceil(points.max(0) + margin) + 1, 1, camera.size).astype(int)
        w = slice(low[1], high[1]), slice(low[0], high[0])
        return albedo[(slice(None), *w)], gloss[w], hit.x[w], hit.y[w]

    colour, _, x, y = cut(slice(17, 27), 0.12)
    _paint_brows(colour, p, np.abs(x), y, camera.pixel)
    colour, shine, x, y = cut(slice(36, 48), 0.14)
    _paint_eyes(colour, shine, p, x, y, camera.pixel, light)
    colour, _, x, y = cut(slice(31, 36), 0.1)
    _paint_nostrils(colour, p, np.abs(x), y)
    colour, shine, x, y = cut(slice(48, 68), 0.1)
    _paint_mouth(colour, shine, p, x, y, camera.pixel)


def _paint_brows(albedo: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray, pixel: float) -> None:
    """Paint both brows, x being unsigned: dense inside, thinning out to the temple, with slanting hairs."""
    x_in, x_out = (float(end) for end in brow_curve(p, np.array([0.0, 1.0]))[0])
    t = (x - x_in) / (x_out - x_in)
    _, mid = brow_curve(p, clamp(t, -0.2, 1.2))
    half = p.brow_thickness * (1 - 0.65 * clamp(t, 0, 1)**2) * clamp(0.85 + 0.9 * t, 0.7, 1.15)
    lean = 0.35 + 0.9 * clamp(t, 0, 1)  # hairs stand up near the nose and lie flat at the temple
    hairs = lookup(STRAND, x * 75 + (y - mid) * 75 * lean, (x * lean - y) * 25)
    across = ramp((half - np.abs(y - mid)) / (pixel + 0.02) + 0.15 * hairs)
    along = clamp(t * 4.5 + 0.35, 0, 1) * clamp((1.06 - t) * 4, 0, 1)
    mask = across * along * clamp(p.brow_density + 0.12 * hairs, 0, 1)
    blend(albedo, mask, p.brow_colour)


def _paint_eyes(albedo: np.ndarray, gloss: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray, pixel: float,
                light: np.ndarray) -> None:
    """Paint both eyes: lids, ball, iris, pupil, catchlight, lashes."""
    outward = np.abs(x) - p.eye_x
    e = outward / p.eye_half_width
    e_in = clamp(e, -1.15, 1.15)
    level = y + p.eye_slant * outward
    upper, lower = upper_lid(p, e_in), lower_lid(p, e_in)
    soft = 0.9 * pixel
    inside = ramp((level - upper) / soft) * ramp((lower - level) / soft)

    # lids: crease above, shadow of the socket's inner corner, soft bag below
    near = np.exp(-(e * e) * 0.9)
    crease = np.exp(-((level - upper + p.lid_crease * (0.6 + 0.4 * near)) / 0.018)**2) * clamp(1.25 - np.abs(e), 0, 1)
    albedo *= 1 - 0.42 * crease * rgb((0.8, 1, 1))
    bag = np.exp(-((level - lower - 0.075) / 0.03)**2) * clamp(1.1 - e * e, 0, 1)
    albedo *= 1 - (0.08 + 0.14 * p.age) * bag

    dx = np.sign(x) * (outward + 0.02) - p.gaze_x
    dy = level - 0.01 - p.gaze_y + 0.012
    radius = np.sqrt(dx * dx + dy * dy)
    iris_radius = 0.088
    shade = clamp(1 - 0.35 * e * e, 0, 1) * clamp(0.45 + (level - upper) / 0.09, 0.25, 1)
    white = rgb((0.44, 0.405, 0.385)) * shade
    corner = clamp(-e * 5 - 4.1, 0, 1)
    blend(white, corner, rgb((0.45, 0.2, 0.17)) * shade)
    iris = ramp((iris_radius - radius) / (1.1 * pixel))
    glow = 0.55 + 0.6 * clamp((radius - p.pupil) / iris_radius, 0, 1) + 4 * clamp(dy, -0.03, 0.05)
    ring = 1 - 0.6 * clamp((radius - 0.7 * iris_radius) / (0.3 * iris_radius), 0, 1)
    blend(white, iris, p.iris * (glow * ring * clamp(0.5 + (level - upper) / 0.07, 0.25, 1)))
    blend(white, ramp((p.pupil - radius) / (1.1 * pixel)), rgb((0.006, 0.006, 0.006)))
    blend(albedo, inside, white)

    # catchlight where the key light mirrors
    spot_x, spot_y = dx - 0.05 * float(light[0]), dy - 0.05 * float(light[1])
    spot = clamp(1.3 - np.sqrt(spot_x * spot_x + spot_y * spot_y) / (0.010 + 0.35 * pixel), 0, 1) * inside
    gloss += 0.7 * spot + 0.015 * inside

    lash = 0.014 + 0.016 * p.lashes * (1 + 0.5 * e_in)
    upper_lash = ramp((lash - np.abs(level - upper + 0.35 * lash)) / soft) * clamp((1.1 - np.abs(e)) * 6, 0, 1)
    blend(albedo, min(0.75 + 0.2 * p.lashes, 1.0) * upper_lash, rgb((0.02, 0.02, 0.02)))
    lower_lash = ramp((0.007 - np.abs(level - lower)) / soft) * clamp((1.05 - np.abs(e)) * 4, 0, 1)
    albedo *= 1 - (0.25 + 0.3 * p.lashes) * lower_lash


def _paint_mouth(albedo: np.ndarray, gloss: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray,
                 pixel: float) -> None:
    """Paint lips, the line between them, and the open mouth with teeth and tongue."""
    m = x / p.mouth_half_width
    inner = clamp(m, -1.08, 1.08)
    upper_out, upper_in, lower_in, lower_out = lip_curves(p, inner)
    soft, sharp = 0.02 + 0.8 * pixel, pixel
    lips = ramp((y - upper_out) / soft) * ramp((lower_out - y) / (1.3 * soft))
    red = p.skin * rgb((0.92, 0.62, 0.62))
    made_up = rgb((0.48, 0.10, 0.11)) * (0.4 + 0.6 * float(p.skin.mean()) / 0.5)
    colour = red + (made_up - red) * min(max(p.lip_red - 0.25, 0.0), 0.8)
    upper_dark = 1 - 0.2 * ramp((lower_in - y) / soft)
    fine = lookup(GRAIN, (x * 260).astype(np.float32), (y * 40).astype(np.float32))
    blend(albedo, 0.85 * lips, colour * (upper_dark + 0.04 * fine))
    gloss += 0.05 * lips * np.exp(-((y - lower_in - 0.42 * (lower_out - lower_in)) / 0.025)**2 - (inner / 0.45)**2)

    opened = ramp((y - upper_in) / sharp) * ramp((lower_in - y) / sharp)
    opened *= min(p.mouth_gap / (1.5 * pixel), 1.0)
    hole = np.zeros((3, *x.shape), np.float32) + rgb((0.06, 0.018, 0.014))
    tongue_y = p.y_mouth + 0.85 * p.mouth_gap
    tongue = np.exp(-(x / (0.6 * p.mouth_half_width))**2 - ((y - tongue_y) / 0.06)**2)
    blend(hole, 0.8 * tongue, rgb((0.36, 0.13, 0.11)))
    if p.smile > 0.1 or p.teeth > 0.4:
        edge = upper_in + 0.02 + 0.075 * (1 - 0.5 * inner * inner)
        gap = np.abs(np.sin(np.pi * (x / 0.085)))
        tooth = rgb((0.72, 0.66, 0.57)) * clamp(1.05 - 0.75 * inner**4, 0.1, 1)
        tooth = tooth * (1 - 0.22 * clamp(1 - gap / 0.22, 0, 1)) * clamp(0.45 + (y - upper_in) / 0.05, 0.3, 1)
        blend(hole, ramp((edge - y) / sharp), tooth)
    blend(albedo, opened, hole)
    line = ramp((0.010 - np.abs(y - 0.5 * (upper_in + lower_in))) / (0.8 * soft))
    line *= clamp((1.07 - np.abs(m)) * 8, 0, 1) * max(1 - p.mouth_gap / 0.03, 0.0)
    corners = np.exp(-((np.abs(m) - 1.0) / 0.09)**2 - ((y - upper_in) / 0.028)**2)
    albedo *= 1 - clamp(0.75 * line + 0.5 * corners, 0, 0.9)


def _paint_nostrils(albedo: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray) -> None:
    """Paint the openings under the tip of the nose, and the creases around its wings, x being unsigned."""
    wing = p.nose_width
    hole = np.exp(-((x - 0.5 * wing) / (0.27 * wing))**4 - ((y - p.y_nose - 0.105 - 0.1 * (x - 0.5 * wing)) / 0.034)**2)
    crease = np.exp(-((x - 1.08 * wing) / 0.022)**2 - ((y - p.y_nose - 0.06) / 0.07)**2)
    albedo *= 1 - clamp(0.85 * hole + 0.25 * crease, 0, 1) * rgb((0.92, 1, 1))
