"""PSNR and SSIM protocols against the recorded figures and against plain formulations of the same definitions."""
import numpy as np
import pytest
from scipy.ndimage import correlate, uniform_filter

from dic_plugin.evaluation.protocols import PROTOCOLS, compare, luma
from helpers.reference import GOLDEN


def golden_pair():
    i = np.arange(128 * 128 * 3)
    gt = np.floor(128 + 100 * np.sin(0.05 * i) + 20 * np.sin(0.0007 * i)).clip(0, 255)
    sr = (gt + np.round(10 * np.sin(0.11 * i))).clip(0, 255)
    return [image.reshape(128, 128, 3).astype(np.uint8) for image in (sr, gt)]


def random_pair(height=31, width=40):
    rng = np.random.default_rng(0)
    gt = rng.integers(0, 256, (height, width, 3))
    return (gt + rng.integers(-30, 31, gt.shape)).clip(0, 255).astype(np.uint8), gt.astype(np.uint8)


@pytest.mark.parametrize('name', PROTOCOLS)
def test_figures_equal_the_recorded_ones(name):
    quality = compare(*golden_pair(), [name])[name]
    recorded = GOLDEN['evaluation'][name.replace('-', '_')]
    assert quality == pytest.approx((recorded['psnr'], recorded['ssim']), rel=1e-9)


# ------------------------------------------------------------------ plain formulations
def plain_psnr(a, b):
    return 20 * np.log10(255 / np.sqrt(np.mean((a.astype(float) - b.astype(float))**2)))


def ssim_map(a, b, mean, unbiased=1.0):
    """Wang et al. 2004, equation 13, with the local mean that is given."""
    a, b = a.astype(float), b.astype(float)
    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b, cov = (unbiased * (mean(x * y) - m * n)
                         for x, y, m, n in ((a, a, mu_a, mu_a), (b, b, mu_b, mu_b), (a, b, mu_a, mu_b)))
    c1, c2 = 2.55**2, 7.65**2
    return (2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))


def gaussian_ssim(a, b):
    profile = np.exp(-np.arange(-5, 6)**2 / (2 * 1.5**2))
    window = np.outer(profile, profile) / profile.sum()**2
    return ssim_map(a, b, lambda x: correlate(x, window))[5:-5, 5:-5].mean()


def matlab_y(image):
    r, g, b = image.astype(float).transpose(2, 0, 1)
    return 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255


def crop(image):
    return image[8:-8, 8:-8]


def plainly(name, sr, gt):
    if name == 'rgb':
        sr, gt = crop(sr), crop(gt)
        return plain_psnr(sr, gt), np.mean([gaussian_ssim(sr[..., c], gt[..., c]) for c in range(3)])
    sr, gt = matlab_y(sr), matlab_y(gt)
    if name == 'basicsr-y':
        sr, gt = crop(sr), crop(gt)
        return plain_psnr(sr, gt), gaussian_ssim(sr, gt)
    if name == 'sparnet':
        sr, gt = np.floor(sr), np.floor(gt)
        return plain_psnr(sr, gt), gaussian_ssim(sr, gt)
    sr, gt = crop(np.round(sr)), crop(np.round(gt))
    if name == 'official-dic':
        # what 8-bit arithmetic makes of 255 * Y
        return plain_psnr(sr, gt), gaussian_ssim(255 * sr % 256, 255 * gt % 256)
    mean = ssim_map(sr, gt, lambda x: uniform_filter(x, 7), unbiased=49 / 48)
    return plain_psnr(sr, gt), mean[3:-3, 3:-3].mean()


@pytest.mark.parametrize('name', PROTOCOLS)
@pytest.mark.parametrize('pair', [random_pair(), golden_pair()], ids=['random', 'golden'])
def test_figures_equal_plain_formulations(name, pair):
    assert compare(*pair, [name])[name] == pytest.approx(plainly(name, *pair), rel=1e-5)  # basicsr-y is in float32


def test_luma_of_primaries():
    primaries = np.uint8([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    assert luma(primaries)[0] == pytest.approx([16, 235, 81.481, 144.553, 40.966])


def test_equal_images_are_perfect_and_no_border_counts_but_for_sparnet():
    sr, gt = random_pair(60, 60)
    for quality in compare(gt, gt).values():
        assert quality.psnr == float('inf') and quality.ssim == pytest.approx(1)
    framed = gt.copy()
    framed[8:-8, 8:-8] = sr[8:-8, 8:-8]
    for name, quality in compare(framed, gt).items():
        assert (quality.psnr == compare(sr, gt)[name].psnr) == (name != 'sparnet'), name


@pytest.mark.parametrize('change, message', [
    (lambda sr: sr[:, :30], r'sr is 30x31, gt 40x31 .*expected one size'),
    (lambda sr: sr[:26], r'sr is uint8 \(26, 40, 3\); expected 8-bit RGB .* at least 27x27'),
    (lambda sr: sr[..., 0], r'sr is uint8 \(31, 40\)'),
    (lambda sr: sr / 255., r'sr is float64'),
])
def test_what_is_no_pair_is_refused(change, message):
    sr, gt = random_pair()
    with pytest.raises(ValueError, match=message):
        compare(change(sr), gt)


def test_protocols_may_come_from_an_iterator_and_unknown_ones_are_refused():
    pair = random_pair()
    assert list(compare(*pair, iter(['rgb', 'survey']))) == ['rgb', 'survey']
    with pytest.raises(ValueError, match="'matlab' is unknown; there are official-dic"):
        compare(*pair, ['matlab'])
