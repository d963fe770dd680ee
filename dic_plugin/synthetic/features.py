"""Eyes, brows and lips, painted on the head's front view over small windows of pixels."""
from typing import Tuple

import numpy as np

from .landmarks import brow_curve, lip_curves, lower_lid, upper_lid
from .noise import grain_texture, lookup, strand_texture
from .params import FaceParams

Window = Tuple[slice, slice]


def window(points: np.ndarray, margin: float, size: int) -> Window:
    """Rows and columns of the pixels within `margin` of the points' bounding box, cut at the image's edge."""
    low = np.clip(np.floor(points.min(0) - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(points.max(0) + margin) + 1, 1, size).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def clamp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """np.clip, in less time on small arrays."""
    return np.minimum(np.maximum(x, low), high)


def ramp(t: np.ndarray) -> np.ndarray:
    """An edge one unit wide around t = 0, from 0 to 1."""
    return clamp(t + 0.5, 0, 1)


def blend(target: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    """Lays a colour, (3, H, W) or (3,) or a grey, over target (3, H, W) in place, as much as mask (H, W) says."""
    target += mask * (planes(colour) - target)


def planes(colour: np.ndarray) -> np.ndarray:
    """An RGB colour (3,) as planes (3, 1, 1); anything else unchanged."""
    return colour[:, None, None] if np.ndim(colour) == 1 else colour


def paint_brows(albedo: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray, pixel: float) -> None:
    """Both brows, x being unsigned: dense inside, thinning out to the temple, with slanting hairs."""
    x_in, x_out = (float(end) for end in brow_curve(p, np.array([0.0, 1.0]))[0])
    t = (x - x_in) / (x_out - x_in)
    _, mid = brow_curve(p, clamp(t, -0.2, 1.2))
    half = p.brow_thickness * (1 - 0.65 * clamp(t, 0, 1)**2) * clamp(0.85 + 0.9 * t, 0.7, 1.15)
    lean = 0.35 + 0.9 * clamp(t, 0, 1)  # hairs stand up near the nose and lie flat at the temple
    hairs = lookup(strand_texture(), x * 75 + (y - mid) * 75 * lean, (x * lean - y) * 25)
    across = ramp((half - np.abs(y - mid)) / (pixel + 0.02) + 0.15 * hairs)
    along = clamp(t * 4.5 + 0.35, 0, 1) * clamp((1.06 - t) * 4, 0, 1)
    mask = across * along * clamp(p.brow_density + 0.12 * hairs, 0, 1)
    blend(albedo, mask, p.brow_colour)


def paint_eyes(albedo: np.ndarray, gloss: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray, pixel: float,
               light: np.ndarray) -> None:
    """Both eyes at x, y: lids, ball, iris, pupil, lashes; highlights go into gloss."""
    width = p.eye_half_width
    side = np.sign(x)
    outward = np.abs(x) - p.eye_x
    e = outward / width
    e_in = clamp(e, -1.15, 1.15)
    level = y + p.eye_slant * outward
    upper, lower = upper_lid(p, e_in), lower_lid(p, e_in)
    soft = 0.9 * pixel
    inside = ramp((level - upper) / soft) * ramp((lower - level) / soft)

    # lids: crease above, shadow of the socket's inner corner, soft bag below
    near = np.exp(-(e * e) * 0.9)
    crease = np.exp(-((level - upper + p.lid_crease * (0.6 + 0.4 * near)) / 0.018)**2) * clamp(1.25 - np.abs(e), 0, 1)
    albedo *= 1 - 0.42 * crease * planes(np.array([0.8, 1, 1], np.float32))
    bag = np.exp(-((level - lower - 0.075) / 0.03)**2) * clamp(1.1 - e * e, 0, 1)
    albedo *= 1 - (0.08 + 0.14 * p.age) * bag

    ball_y = level - 0.01
    dx = side * (outward + 0.02) - p.gaze_x
    dy = ball_y - p.gaze_y + 0.012
    radius = np.sqrt(dx * dx + dy * dy)
    iris_radius = 0.088
    shade = clamp(1 - 0.35 * e * e, 0, 1) * clamp(0.45 + (level - upper) / 0.09, 0.25, 1)
    white = planes(np.array([0.44, 0.405, 0.385], np.float32)) * shade
    corner = clamp(-e * 5 - 4.1, 0, 1)
    blend(white, corner, planes(np.array([0.45, 0.2, 0.17], np.float32)) * shade)
    iris = ramp((iris_radius - radius) / (1.1 * pixel))
    glow = 0.55 + 0.6 * clamp((radius - p.pupil) / iris_radius, 0, 1) + 4 * clamp(dy, -0.03, 0.05)
    ring = 1 - 0.6 * clamp((radius - 0.7 * iris_radius) / (0.3 * iris_radius), 0, 1)
    blend(white, iris, planes(p.iris) * (glow * ring * clamp(0.5 + (level - upper) / 0.07, 0.25, 1)))
    blend(white, ramp((p.pupil - radius) / (1.1 * pixel)), np.float32(0.006))
    blend(albedo, inside, white)

    # catchlight where the key light mirrors
    spot_x = dx - 0.05 * float(light[0])
    spot_y = dy - 0.05 * float(light[1])
    spot = clamp(1.3 - np.sqrt(spot_x * spot_x + spot_y * spot_y) / (0.010 + 0.35 * pixel), 0, 1) * inside
    gloss += 0.7 * spot + 0.015 * inside

    lash = 0.014 + 0.016 * p.lashes * (1 + 0.5 * e_in)
    upper_lash = ramp((lash - np.abs(level - upper + 0.35 * lash)) / soft) * clamp((1.1 - np.abs(e)) * 6, 0, 1)
    blend(albedo, min(0.75 + 0.2 * p.lashes, 1.0) * upper_lash, np.float32(0.02))
    lower_lash = ramp((0.007 - np.abs(level - lower)) / soft) * clamp((1.05 - np.abs(e)) * 4, 0, 1)
    albedo *= 1 - (0.25 + 0.3 * p.lashes) * lower_lash


def paint_mouth(albedo: np.ndarray, gloss: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray,
                pixel: float) -> None:
    """Lips, the line between them, and the open mouth with teeth and tongue."""
    m = x / p.mouth_half_width
    inner = clamp(m, -1.08, 1.08)
    upper_out, upper_in, lower_in, lower_out = lip_curves(p, inner)
    soft = 0.02 + 0.8 * pixel
    sharp = 1.0 * pixel
    lips = ramp((y - upper_out) / soft) * ramp((lower_out - y) / (1.3 * soft))
    red = p.skin * np.array([0.92, 0.62, 0.62], np.float32)
    made_up = np.array([0.48, 0.10, 0.11], np.float32) * (0.4 + 0.6 * float(p.skin.mean()) / 0.5)
    colour = red + (made_up - red) * min(max(p.lip_red - 0.25, 0.0), 0.8)
    upper_dark = 1 - 0.2 * ramp((lower_in - y) / soft)
    fine = lookup(grain_texture(), (x * 260).astype(np.float32), (y * 40).astype(np.float32))
    blend(albedo, 0.85 * lips, planes(colour) * (upper_dark + 0.04 * fine))
    gloss += 0.05 * lips * np.exp(-((y - lower_in - 0.42 * (lower_out - lower_in)) / 0.025)**2 - (inner / 0.45)**2)

    opened = ramp((y - upper_in) / sharp) * ramp((lower_in - y) / sharp)
    opened *= min(p.mouth_gap / (1.5 * pixel), 1.0)
    hole = np.zeros((3, ) + x.shape, np.float32) + planes(np.array([0.06, 0.018, 0.014], np.float32))
    tongue_y = p.y_mouth + 0.85 * p.mouth_gap
    blend(hole, 0.8 * np.exp(-(x / (0.6 * p.mouth_half_width))**2 - ((y - tongue_y) / 0.06)**2),
          np.array([0.36, 0.13, 0.11], np.float32))
    if p.smile > 0.1 or p.teeth > 0.4:
        edge = upper_in + 0.02 + 0.075 * (1 - 0.5 * inner * inner)
        bite = ramp((edge - y) / sharp)
        gap = np.abs(np.sin(np.pi * (x / 0.085 + 0.0)))
        tooth = planes(np.array([0.72, 0.66, 0.57], np.float32)) * clamp(1.05 - 0.75 * inner**4, 0.1, 1)
        tooth = tooth * (1 - 0.22 * clamp(1 - gap / 0.22, 0, 1))
        tooth = tooth * clamp(0.45 + (y - upper_in) / 0.05, 0.3, 1)
        blend(hole, bite, tooth)
    blend(albedo, opened, hole)
    line = ramp((0.010 - np.abs(y - 0.5 * (upper_in + lower_in))) / (0.8 * soft))
    line *= clamp((1.07 - np.abs(m)) * 8, 0, 1) * max(1 - p.mouth_gap / 0.03, 0.0)
    corners = np.exp(-((np.abs(m) - 1.0) / 0.09)**2 - ((y - upper_in) / 0.028)**2)
    albedo *= 1 - clamp(0.75 * line + 0.5 * corners, 0, 0.9)


def paint_nostrils(albedo: np.ndarray, p: FaceParams, x: np.ndarray, y: np.ndarray) -> None:
    """Two dark openings under the tip of the nose, and the creases around its wings; x is unsigned."""
    wing = p.nose_width
    hole = np.exp(-((x - 0.5 * wing) / (0.27 * wing))**4 - ((y - p.y_nose - 0.105 - 0.1 * (x - 0.5 * wing)) / 0.034)**2)
    crease = np.exp(-((x - 1.08 * wing) / 0.022)**2 - ((y - p.y_nose - 0.06) / 0.07)**2)
    albedo *= 1 - clamp(0.85 * hole + 0.25 * crease, 0, 1) * planes(np.array([0.92, 1, 1], np.float32))
