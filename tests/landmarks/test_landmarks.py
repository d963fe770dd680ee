"""Heatmaps, landmarks read off them, and landmark errors."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dic_plugin.landmarks.errors import NORMS, nrmse
from dic_plugin.landmarks.heatmaps import decode_heatmaps, render_heatmaps
from dic_plugin.losses import LandmarkHeatmapLoss
from dic_plugin.metrics import calculate_nrmse
from helpers.reference import GOLDEN, assert_digest, golden_landmarks


def test_target_equals_the_published_one():
    assert_digest(render_heatmaps(golden_landmarks(), (32, 32)), GOLDEN['heatmap_target']['output'])


def test_published_decoding_and_errors():
    entry = GOLDEN['landmark_decode']
    landmarks = decode_heatmaps(render_heatmaps(golden_landmarks(), (32, 32)), subpixel=False)
    assert landmarks[:8].tolist() == entry['first_8']
    assert landmarks.sum().item() == entry['sum']
    gt = golden_landmarks().numpy() + 1.3
    for norm, key in (('face_width', 'width'), ('published_outer_eye', 'eye_outer_width'), ('published_inter_ocular',
                                                                                            'eye_dist')):
        assert nrmse(landmarks.numpy(), gt, norm) == pytest.approx(entry[key], rel=1e-9)


@settings(max_examples=50)
@given(x=st.floats(4, 120), y=st.floats(4, 56), sigma=st.floats(0.7, 3))
def test_subpixel_decoding_inverts_rendering(x, y, sigma):
    landmark = torch.tensor([[[x, y]]], dtype=torch.float64)
    heatmap = render_heatmaps(landmark, (16, 32), sigma)
    assert torch.allclose(decode_heatmaps(heatmap), landmark, atol=1e-3)
    # the peak cell is the landmark's cell
    assert heatmap.flatten().argmax().item() in {
        row * 32 + column
        for row in {int(np.floor(y / 4 + 0.5)), int(np.ceil(y / 4 - 0.5))}
        for column in {int(np.floor(x / 4 + 0.5)), int(np.ceil(x / 4 - 0.5))}
    }


def test_decoding_at_the_border_and_of_flat_maps_stays_inside():
    corners = torch.tensor([[[0., 0.], [28., 0.], [0., 12.], [28., 12.]]])
    assert torch.equal(decode_heatmaps(render_heatmaps(corners, (4, 8))), corners)
    assert torch.equal(decode_heatmaps(torch.full((1, 2, 4, 4), -1.)), torch.zeros(1, 2, 2))


def faces(num=3):
    """Random faces of 68 points whose eyes are where eyes are."""
    points = np.random.default_rng(0).uniform(0, 100, (num, 68, 2))
    points[:, 36:42, 0] /= 4
    points[:, 42:48, 0] = 75 + points[:, 42:48, 0] / 4
    return points


@pytest.mark.parametrize('norm', sorted(NORMS))
def test_error_scales_and_shifts_as_it_should(norm):
    gt = faces()
    assert nrmse(gt, gt, norm) == pytest.approx([0, 0, 0])
    moved = gt + np.array([3.0, 4.0])
    assert nrmse(moved, gt, norm) * NORMS[norm](gt) == pytest.approx([5, 5, 5])
    assert nrmse(7 * moved, 7 * gt, norm) == pytest.approx(nrmse(moved, gt, norm))
    assert calculate_nrmse(
        landmarks=moved[1], gt_landmarks=gt[1], norm=norm, img=None) == pytest.approx(nrmse(moved, gt, norm)[1])


def test_error_by_hand():
    gt = np.array([[10, 0], [40, 40], [20, 20], [15, 30], [30, 30]], float)  # the eyes are 50 apart
    found = gt.copy()
    found[2] += [6, 8]
    assert nrmse(found, gt) == pytest.approx((10**2 / 5)**0.5 / 50)
    assert nrmse(found, gt, 'face_width') == pytest.approx((10**2 / 5)**0.5 / 30)


@pytest.mark.parametrize('gt, norm, message', [
    (np.zeros((1, 68, 2)), 'inter_ocular', r'face \(0,\) is 0; expected a positive'),
    (np.zeros((68, 2)), 'face_width', 'expected a positive'),
    (np.full((1, 68, 2), np.nan), 'outer_eye', 'expected a positive'),
    (np.zeros((1, 7, 2)), 'inter_ocular', 'defined for .5, 68, 194. landmarks, not for 7'),
    (np.zeros((1, 68, 2)), 'iod', "'iod' is unknown; there are inter_ocular"),
])
def test_error_refuses(gt, norm, message):
    with pytest.raises(ValueError, match=message):
        nrmse(gt, gt, norm)


def test_error_refuses_other_shapes():
    with pytest.raises(ValueError, match='expected one shape'):
        nrmse(np.zeros((68, 2)), np.zeros((5, 2)))


def test_loss_by_hand():
    pred = torch.zeros(1, 2, 3, 3)
    target = torch.zeros(1, 2, 3, 3)
    target[0, 0, 1, 1] = 3
    target[0, 1, 0, 0] = 6
    assert LandmarkHeatmapLoss()(pred, target).item() == pytest.approx((9 + 36) / 18)
    assert LandmarkHeatmapLoss(0.1, 'sum')(pred, target).item() == pytest.approx(4.5)
    assert LandmarkHeatmapLoss(2, 'none')(pred, target)[0, 1, 0, 0].item() == 72


def test_loss_is_zero_at_its_own_target_and_differentiable():
    criterion = LandmarkHeatmapLoss(sigma=1.5)
    target = criterion.target(torch.tensor([[[4., 8.], [0., 2.]]], dtype=torch.float64), (3, 4))
    assert criterion(target, target).item() == 0
    pred = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: criterion(value, target), pred)


@pytest.mark.parametrize('call, message', [
    (lambda: LandmarkHeatmapLoss(reduction='avg'), "'avg' is not supported"),
    (lambda: LandmarkHeatmapLoss(sigma=0), 'expected a positive'),
    (lambda: LandmarkHeatmapLoss()(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 4, 4)), 'expected one shape'),
])
def test_loss_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
