"""Landmark layouts: which points a mirror exchanges, and what is refused."""
import numpy as np
import pytest

from dic_plugin.landmarks.layouts import component_groups, flip_permutation

# A frontal face, symmetric about x = 0, in iBUG's order, as one reads it off the published figure of the 68 points.
_EYE = [(-6, 0), (-5, -1), (-4, -1), (-3, 0), (-4, 1), (-5, 1)]  # image left, from its outer corner over the top
_EYE_RIGHT = [(3, 0), (4, -1), (5, -1), (6, 0), (5, 1), (4, 1)]  # image right, from its inner corner over the top
SYMMETRIC_68 = np.array(
    [(x, 10 - x * x / 8) for x in range(-8, 9)]  # jaw, image left to right
    + [(x, -4) for x in range(-7, -2)] + [(x, -4) for x in range(3, 8)]  # brows
    + [(0, y) for y in range(4)] + [(x, 4) for x in range(-2, 3)]  # bridge, nostrils
    + _EYE + _EYE_RIGHT  #
    + [(x, 6 - (3 - abs(x)) / 4) for x in range(-3, 4)] + [(x, 8 - abs(x) / 4) for x in range(2, -3, -1)]  # outer lips
    + [(x, 6.5 - (2 - abs(x)) / 8) for x in range(-2, 3)] + [(x, 7) for x in range(1, -2, -1)],  # inner lips
    dtype=np.float32)


def test_flipped_symmetric_face_is_itself():
    mirrored = SYMMETRIC_68 * (-1, 1)
    np.testing.assert_allclose(mirrored[flip_permutation(68)], SYMMETRIC_68)


@pytest.mark.parametrize('num_keypoints', [68, 5])
def test_flip_permutation_undoes_itself(num_keypoints):
    permutation = flip_permutation(num_keypoints)
    np.testing.assert_array_equal(permutation[permutation], np.arange(num_keypoints))


def test_flip_exchanges_components():
    """The published code shuffles each eye within itself; here the eyes change places, the rest stays."""
    left_eye, right_eye, nose, mouth, silhouette = component_groups(68)
    permutation = flip_permutation(68)
    assert set(permutation[left_eye]) == set(right_eye)
    for group in (nose, mouth, silhouette):
        assert set(permutation[group]) == set(group)


def test_five_points():
    """Left eye, right eye, nose, left and right corner of the mouth."""
    assert flip_permutation(5).tolist() == [1, 0, 2, 4, 3]


@pytest.mark.parametrize('num_keypoints, reason', [(194, 'lips'), (98, 'known for')])
def test_unknown_mirror_is_refused_with_the_way_out(num_keypoints, reason):
    with pytest.raises(ValueError, match=reason) as info:
        flip_permutation(num_keypoints)
    assert 'use_hflip: false' in str(info.value)
