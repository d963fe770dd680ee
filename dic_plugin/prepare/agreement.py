"""Distance of landmarks from CelebA's own five points.

The paper's authors kept only the CelebA faces on which OpenFace's landmarks agree with these points.
"""
import numpy as np

__all__ = ['five_point_error']


def five_point_error(landmarks: np.ndarray, order: str, points: np.ndarray) -> float:
    """Return the mean distance between five points of the face, in units of the distance between CelebA's eyes.

    The points are the centres of the eyes, the tip of the nose and the corners of the mouth, the left one in the image
    first. In ibug68 they are the means of 36-41 and 42-47, then 30, 48 and 54.

    Args:
        landmarks: (68, 2) or (5, 2), in pixels of the photograph.
        order: Order of the landmarks, 'ibug68' or 'celeba5'.
        points: (5, 2) CelebA's points in the same photograph.

    Raises:
        ValueError: the order has no such points, or CelebA's eyes coincide.

    >>> points = np.array([[0., 0.], [10., 0.], [5., 5.], [2., 8.], [8., 8.]])
    >>> five_point_error(points + [3, 4], 'celeba5', points)
    0.5
    """
    if order == 'ibug68':
        eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
        landmarks = np.stack([*eyes, *landmarks[[30, 48, 54]]])
    elif order != 'celeba5':
        raise ValueError(
            f"Landmarks in the order {order!r} cannot be compared with CelebA's five points; expected ibug68 "
            'or celeba5.')
    points = np.asarray(points, np.float64)
    eye_distance = float(np.linalg.norm(points[1] - points[0]))
    if not eye_distance > 0:
        raise ValueError(f"CelebA's points {points.tolist()} have both eyes in one place; expected two.")
    return float(np.linalg.norm(landmarks - points, axis=1).mean() / eye_distance)
