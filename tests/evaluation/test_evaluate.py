"""scripts/evaluate.py and its parts: pairing, landmark errors by the evaluator, intervals, files, messages."""
import csv
import json
import re
import sys
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_niqe
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from hypothesis import given
from hypothesis import strategies as st

from dic_plugin.archs import FeedbackHourglass, StackedHourglass
from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.checkpoints.published_names import published_stacked_hourglass_name
from dic_plugin.cli.evaluate import main
from dic_plugin.data.annotations import FaceAnnotations
from dic_plugin.data.face_files import FaceFiles
from dic_plugin.evaluation import perceptual
from dic_plugin.evaluation.evaluate import MeasureKey, evaluate
from dic_plugin.evaluation.files import open_images, open_results, pair_names
from dic_plugin.evaluation.landmark_evaluator import LandmarkEvaluator
from dic_plugin.evaluation.output import report
from dic_plugin.evaluation.protocols import PROTOCOLS, compare
from dic_plugin.evaluation.summary import areas, cumulative_curve, estimate, failures
from dic_plugin.landmarks.errors import landmark_errors
from dic_plugin.landmarks.heatmaps import decode_heatmaps, render_heatmaps
from helpers import forked
from helpers.paths import ROOT
from helpers.reference import GOLDEN, golden_landmarks

SIZE = 64
NAMES = ['face', 'face_1', 'face_10', 'other']


# ---------------------------------------------------------------- pairing
@pytest.mark.parametrize('suffix', ['', '_DIC', '_x8_train', '_net_g_latest', '_10'])
def test_results_find_their_originals_whatever_the_suffix(suffix):
    gt = ['face', 'a.b', 'face_01', 'face_01_r', '_x']
    pairing = pair_names([name + suffix for name in reversed(gt)], gt)
    assert pairing.pairs == [(4, 0), (3, 1), (2, 2), (1, 3), (0, 4)]
    assert pairing.sr_alone == pairing.gt_alone == []


@given(gt=st.lists(st.text('ab_', min_size=1, max_size=5), unique=True), suffix=st.text('ab_', max_size=4))
def test_a_common_suffix_is_seen_through_or_refused(gt, suffix):
    """Names of originals may end like others with the suffix; no result may then go to the wrong one unnoticed."""
    try:
        pairing = pair_names([f'{name}_{suffix}' for name in gt], gt)
    except ValueError as error:
        assert 'both belong to' in str(error)
    else:
        assert pairing.pairs == [(index, index) for index in range(len(gt))]


def test_files_without_partner_are_named_and_two_results_of_one_original_refused():
    pairing = pair_names(['b_DIC', 'bb', 'A', 'c_'], ['a', 'b', 'c'])
    assert pairing == ([(0, 1), (3, 2)], ['bb', 'A'], ['a'])
    with pytest.raises(ValueError, match="'a_100' and 'a_200' both belong to the original 'a'"):
        pair_names(['a_100', 'a_200'], ['a'])


def test_folders_that_hold_no_results_are_refused(tmp_path):
    save_images(tmp_path / 'set', ['a_DIC'])
    save_images(tmp_path / 'set_steps', ['a_DIC'])
    assert open_results(str(tmp_path / 'set')).names == ['a_DIC']
    with pytest.raises(ValueError, match=r'pictures of all steps; the results are in .*set'):
        open_results(str(tmp_path / 'set_steps'))
    with pytest.raises(ValueError, match='holds no image .*subfolders set, set_steps: name one'):
        open_images(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="'.*absent' does not exist"):
        open_images(str(tmp_path / 'absent'))


# ---------------------------------------------------------------- numbers
def test_interval_is_that_of_the_mean_and_the_same_again():
    values = np.random.default_rng(1).normal(3, 2, 400)
    result = estimate(values)
    assert result == estimate(values) and result.num_images == 400
    assert result.mean == pytest.approx(values.mean())
    standard_error = values.std() / 20  # the mean of many is normal
    assert (result.low, result.high) == pytest.approx(
        (result.mean - 1.96 * standard_error, result.mean + 1.96 * standard_error), abs=0.15 * standard_error)


def test_interval_of_few_and_of_what_cannot_be_measured():
    assert estimate(np.array([2.0])) == (2, 2, 2, 1)
    assert estimate(np.array([1, np.nan, 1])) == (1, 1, 1, 2)
    assert estimate(np.array([np.nan])) == pytest.approx((np.nan, np.nan, np.nan, 0), nan_ok=True)
    assert estimate(np.array([30, np.inf])) == pytest.approx((np.inf, np.nan, np.nan, 2), nan_ok=True)


def test_failures_and_area_under_the_curve():
    errors = np.array([0.1, 0.02, 0.3, 0.0, np.nan])
    assert failures(errors) == pytest.approx([0, 0, 1, 0, np.nan], nan_ok=True)
    x, fraction = cumulative_curve(errors)
    assert x.tolist() == [0, 0.02, 0.1, 0.3] and fraction.tolist() == [0.25, 0.5, 0.75, 1]
    grid = np.arange(0, 0.1, 1e-5) + 5e-6
    integral = np.mean([(errors[:4] <= limit).mean() for limit in grid])
    assert np.nanmean(areas(errors)) == pytest.approx(integral, abs=1e-4)


def test_landmark_errors_equal_the_published_ones():
    heatmaps = render_heatmaps(golden_landmarks(), (32, 32))
    found = {subpixel: decode_heatmaps(heatmaps, subpixel).numpy() for subpixel in (True, False)}
    errors = landmark_errors(found, golden_landmarks().numpy() + 1.3)
    entry = GOLDEN['landmark_decode']
    assert errors['published-width'] == pytest.approx(entry['width'])
    assert errors['published-outer-eye'] == pytest.approx(entry['eye_outer_width'])
    assert errors['published-inter-ocular'] == pytest.approx(entry['eye_dist'])
    # the subpixel peak of an exact Gaussian is the landmark itself: what is left is the shift by 1.3 in x and y
    gt = golden_landmarks().numpy()
    assert errors['outer-eye'] == pytest.approx(1.3 * 2**0.5 / np.linalg.norm(gt[45] - gt[36]), rel=1e-3)


def test_landmark_errors_of_turned_faces_and_other_landmark_sets():
    gt = true_landmarks()[0]
    mirrored = gt * [-1, 1]
    errors = landmark_errors({True: mirrored, False: mirrored}, mirrored)
    assert np.isnan(errors.pop('published-outer-eye')) and np.isnan(errors.pop('published-inter-ocular'))
    assert errors == {'published-width': 0, 'outer-eye': 0, 'inter-ocular': 0}
    for number, names in ((194, ['published-width', 'inter-ocular']), (5, ['published-width',
                                                                           'inter-ocular']), (7, ['published-width'])):
        points = np.random.default_rng(0).uniform(0, SIZE, (number, 2))
        assert list(landmark_errors({True: points, False: points}, points)) == names


# ---------------------------------------------------------------- the evaluator
def hourglass(num_keypoints=68):
    torch.manual_seed(0)
    network = StackedHourglass(num_feat=8, num_stacks=2, num_keypoints=num_keypoints).eval()
    for stack in network.stacks:  # untrained, it would find all landmarks in one place
        torch.nn.init.normal_(stack.predict.weight)
    return network


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'HG_tiny.pth'
    torch.save({'params': hourglass().state_dict()}, path)
    return str(path)


def test_evaluator_is_the_network_of_its_file(weights):
    evaluator = LandmarkEvaluator(weights)
    assert (evaluator.name, evaluator.num_keypoints) == ('HG_tiny.pth', 68)
    assert evaluator.options == dict(num_feat=8, num_stacks=2, num_keypoints=68)
    images = torch.rand(2, 3, 64, 128)
    with torch.no_grad():
        heatmaps = hourglass()(images)
    assert torch.equal(evaluator.landmarks(images), decode_heatmaps(heatmaps))
    assert torch.equal(evaluator.landmarks(images, subpixel=False), decode_heatmaps(heatmaps, subpixel=False))
    image = (images[0].permute(1, 2, 0) * 255).round().byte()
    found = evaluator.landmarks_of(image.numpy())
    batch = image.permute(2, 0, 1)[None].float() / 255
    assert found[True] == pytest.approx(evaluator.landmarks(batch)[0].numpy())
    assert found[False].tolist() == evaluator.landmarks(batch, subpixel=False)[0].tolist()


def test_evaluator_reads_published_weights_and_prefers_the_average(tmp_path):
    state = hourglass(5).state_dict()
    images = torch.rand(1, 3, 64, 64)
    published = {published_stacked_hourglass_name(key): value for key, value in state.items()}
    other = {key: value * 0 for key, value in state.items()}
    expected = None
    for index, content in enumerate([{'params': state}, published, {'params': other, 'params_ema': state}]):
        torch.save(content, tmp_path / f'{index}.pth')
        landmarks = LandmarkEvaluator(str(tmp_path / f'{index}.pth')).landmarks(images)
        expected = landmarks if expected is None else expected
        assert torch.equal(landmarks, expected)


@pytest.mark.parametrize('content, message', [
    (lambda: {'params': FeedbackHourglass(hg_num_feat=8, num_keypoints=5).state_dict()},
     'holds no StackedHourglass .*LandmarkModel'),
    (lambda: {'params': {key: value for key, value in hourglass().state_dict().items() if 'stem.0' not in key}},
     '2 missing: stem.0.weight'),
    (lambda: {'params': {'stacks.0.predict.weight': torch.zeros(68, 6, 1, 1)}}, 'is for 6 features; expected a multi'),
    (lambda: {'params': 3}, 'holds no state dict'),
    (lambda: {'hg.': torch.zeros(1)}, 'published FeedbackHourglass'),
])  # yapf: disable
def test_evaluator_refuses_other_files(tmp_path, content, message):
    path = str(tmp_path / 'weights.pth')
    torch.save(content(), path)
    with pytest.raises(CheckpointError, match=f'weights.pth: .*{message}'):
        LandmarkEvaluator(path)


# ---------------------------------------------------------------- LPIPS, NIQE, FID
def gradient(size=128):
    image = np.linspace(0, 255, size * size * 3).reshape(size, size, 3)
    return (image + 20 * np.random.default_rng(0).random(image.shape)).clip(0, 255).astype(np.uint8)


def test_niqe_takes_small_blocks_only_where_it_must():
    measure = perceptual.Niqe()
    assert np.isfinite(measure(gradient(128)))
    large = gradient(192)
    assert measure(large) == pytest.approx(calculate_niqe(large[..., ::-1], 0), rel=1e-3)
    with pytest.raises(ValueError, match='needs two blocks of 32 px; the image is 40x40'):
        measure(gradient(40))


def test_lpips_without_package_or_weights_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, 'lpips', None)
    with pytest.raises(perceptual.MetricUnavailable, match='pip install lpips'):
        perceptual.Lpips('cpu')

    class NoNetwork:

        @staticmethod
        def LPIPS(**kwargs):
            raise URLError('no route')

    monkeypatch.setitem(sys.modules, 'lpips', NoNetwork)
    with pytest.raises(perceptual.MetricUnavailable, match='no route.*alexnet-owt-7be5be79.pth into'):
        perceptual.Lpips('cpu')


def test_frechet_distance_of_known_gaussians():
    """Of uncorrelated features: squared difference of the means plus that of the standard deviations."""
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * 0.75**0.5  # unit covariance
    distance = perceptual.frechet_distance(corners * [3, 2] + [1, 5], corners * [1, 7])
    assert distance == pytest.approx(1**2 + 5**2 + (3 - 1)**2 + (2 - 7)**2)


def test_fid_is_zero_of_equal_sets_and_without_weights_says_what_to_do(monkeypatch):

    class Means(torch.nn.Module):  # stands in for Inception: every channel's mean

        def forward(self, x):
            return [x.mean((2, 3))]

    monkeypatch.setattr(perceptual, 'load_patched_inception_v3', lambda device: Means())
    fid, shifted = perceptual.Fid('cpu'), perceptual.Fid('cpu')
    for seed in range(5):
        image = np.random.default_rng(seed).integers(0, 245, (2, 2, 3)).astype(np.uint8)
        fid.add(image, image)
        shifted.add(image + np.uint8(10), image)
    assert fid.result() == pytest.approx(0, abs=1e-6)
    assert shifted.result() == pytest.approx(3 * (10 / 127.5)**2, rel=1e-3)
    with pytest.raises(ValueError, match='at least two'):
        perceptual.Fid('cpu').result()

    def no_network(device):
        raise URLError('no route')

    monkeypatch.setattr(perceptual, 'load_patched_inception_v3', no_network)
    with pytest.raises(perceptual.MetricUnavailable, match='no route.*experiments/pretrained_models'):
        perceptual.Fid('cpu')


# ---------------------------------------------------------------- the command
def save_images(folder, names, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for name in names:
        rng = np.random.default_rng([seed, *name.encode()[:6]])
        images[name] = rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f'{name}.png'), images[name][..., ::-1])
    return images


def true_landmarks():
    landmarks = np.random.default_rng(0).uniform(0, SIZE, (len(NAMES), 68, 2)).astype(np.float32)
    landmarks[:, 36:42, 0] /= 4
    landmarks[:, 42:48, 0] = 48 + landmarks[:, 42:48, 0] / 4
    return landmarks


@pytest.fixture
def faces(tmp_path):
    """Originals, results called *_x8_DIC of all but the last and one more, and annotations."""
    gt = save_images(tmp_path / 'gt', NAMES)
    sr = save_images(tmp_path / 'sr', [f'{name}_x8_DIC' for name in NAMES[:-1] + ['stranger']], seed=1)
    annotate(tmp_path / 'gt.npz')
    return tmp_path, gt, sr


def annotate(path, names=NAMES, num_keypoints=68, size=SIZE):
    rows = len(names)
    FaceAnnotations(
        np.array(names),
        true_landmarks()[:rows, :num_keypoints],
        f'points{num_keypoints}',
        image_size=np.full((rows, 2), size, np.int32)).save(str(path))
    return str(path)


def run(tmp_path, *arguments):
    return main(['--sr', str(tmp_path / 'sr'), '--gt', str(tmp_path / 'gt'), *arguments])


def test_evaluation_from_folder_to_files(faces, weights, capsys):
    tmp_path, gt, sr = faces
    out = tmp_path / 'new' / 'out'
    assert run(tmp_path, '--evaluator', weights, '--annotations', str(tmp_path / 'gt.npz'), '-o', str(out), '--metrics',
               'niqe', '--trained-on', 'Helen, 2000 faces') == 0
    printed = capsys.readouterr()
    for text in ('3 images; training set of the model: Helen, 2000 faces', 'HG_tiny.pth (num_feat 8', 'gt.npz',
                 *(f'{name}: ' for name in PROTOCOLS), 'published-outer-eye: ', 'failures (> 0.1)', 'or of 32 px'):
        assert text in printed.out
    assert "1 results in" in printed.err and 'stranger_x8_DIC' in printed.err
    assert '1 originals in' in printed.err and 'other' in printed.err

    with open(out / 'images.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['name'], row['result']) for row in rows] == [(name, f'{name}_x8_DIC') for name in NAMES[:3]]
    evaluator = LandmarkEvaluator(weights)
    for row, landmarks in zip(rows, true_landmarks()):
        for protocol, quality in compare(sr[row['result']], gt[row['name']]).items():
            assert (float(row[f'psnr_{protocol}']), float(row[f'ssim_{protocol}'])) == quality
        for protocol, error in landmark_errors(evaluator.landmarks_of(sr[row['result']]), landmarks).items():
            assert float(row[f'nrmse_{protocol}']) == error

    content = json.loads((out / 'evaluation.json').read_text())
    assert content['num_images'] == 3 and content['trained_on'] == 'Helen, 2000 faces'
    assert content['originals_without_result'] == ['other']
    assert content['results_without_original'] == ['stranger_x8_DIC']
    summary = {(entry['measure'], entry['protocol']): entry for entry in content['summary']}
    assert len(summary) == 5 * 2 + 5 * 3 + 1
    for (measure, protocol), entry in summary.items():
        assert entry['definition'] and entry['num_images'] == 3
        if measure in ('psnr', 'ssim', 'nrmse'):
            assert entry['mean'] == pytest.approx(np.mean([float(row[f'{measure}_{protocol}']) for row in rows]))
            assert entry['low'] <= entry['mean'] <= entry['high']
    assert cv2.imread(str(out / 'cumulative_error.png')).shape[0] > 300
    assert sorted(path.name for path in out.iterdir()) == ['cumulative_error.png', 'evaluation.json', 'images.csv']


def test_several_evaluators_and_measures_read_each_image_once(faces, weights, monkeypatch):
    tmp_path, gt, sr = faces
    torch.save({'params': {key: value + 0.01 for key, value in hourglass().state_dict().items()}}, tmp_path / 'b.pth')
    evaluators = dict(a=LandmarkEvaluator(weights), b=LandmarkEvaluator(str(tmp_path / 'b.pth')))
    folders, reads, read = (str(tmp_path / 'sr'), str(tmp_path / 'gt')), [], FaceFiles.read
    monkeypatch.setattr(FaceFiles, 'read', lambda files, index: reads.append(files.paths[index]) or read(files, index))
    both = evaluate(*folders, ['rgb'], evaluators, str(tmp_path / 'gt.npz'),
                    measures=[lambda pair: {MeasureKey('mean', 'mean'): pair.sr.mean()}])  # yapf: disable
    assert len(reads) == len(set(reads)) == 2 * 3
    titles = {column.title: values.tolist() for column, values in both.columns.items()}
    assert titles['mean'] == [sr[name].mean() for name in both.files]
    for name, evaluator in evaluators.items():
        alone = evaluate(*folders, ['rgb'], {'': evaluator}, str(tmp_path / 'gt.npz'))
        for column, values in alone.columns.items():
            title = f'{column.title}@{name}' if column.measure == 'nrmse' else column.title
            assert titles[title] == values.tolist()
    assert titles['nrmse_inter-ocular@a'] != titles['nrmse_inter-ocular@b']
    text = report(both)
    assert 'a: StackedHourglass of HG_tiny.pth' in text and text.count('inter-ocular@b') == 2


def test_equal_images_in_an_lmdb_as_a_process_of_its_own(tmp_path):
    """PSNR is infinite, which strict JSON cannot hold, and landmarks compared with those on the originals are equal."""
    save_images(tmp_path / 'sr', NAMES[:2])
    make_lmdb_from_imgs(
        str(tmp_path / 'sr'), str(tmp_path / 'gt.lmdb'), [f'{name}.png' for name in NAMES[:2]], NAMES[:2])
    torch.save({'params': hourglass(5).state_dict()}, tmp_path / 'five.pth')
    said = forked.run([
        ROOT / 'scripts/evaluate.py', '--sr', 'sr', '--gt', 'gt.lmdb', '-o', 'out', '--evaluator', 'five.pth',
        '--protocol', 'survey', 'rgb'
    ], cwd=tmp_path)  # yapf: disable
    assert 'not as published' in said and 'training set of the model: not said' in said
    assert 'sparnet' not in said and 'published-outer-eye' not in said
    content = json.loads((tmp_path / 'out' / 'evaluation.json').read_text())
    summary = {(entry['measure'], entry['protocol']): entry for entry in content['summary']}
    assert summary['psnr', 'survey']['mean'] == 'inf' and summary['psnr', 'survey']['low'] is None
    assert summary['nrmse', 'inter-ocular']['mean'] == 0 and summary['area', 'inter-ocular']['mean'] == 1
    assert content['images'][0]['psnr_rgb'] == 'inf'


@pytest.mark.parametrize('arguments, message', [
    (lambda p: ['--sr', str(p / 'absent')], 'absent.* does not exist'),
    (lambda p: ['--gt', str(p / 'strangers')], r"such as 'face_10?_x8_DIC'.*such as 'nobody'"),
    (lambda p: ['--gt', str(p / 'small')], r'face_x8_DIC.png: sr is 64x64, gt 32x64'),
    (lambda p: ['--annotations', str(p / 'gt.npz')], 'but no evaluator'),
    (lambda p: ['--evaluator', 'absent.pth'], 'absent.pth: no such file'),
    (lambda p: ['--evaluator', 'W', '--annotations', annotate(p / 'a.npz', NAMES[1:])],
     r"a.npz: has no landmarks for 'face' \(1 of 3"),
    (lambda p: ['--evaluator', 'W', '--annotations', annotate(p / 'a.npz', num_keypoints=60)],
     'a.npz: has 60 landmarks per face, the evaluator HG_tiny.pth finds 68'),
    (lambda p: ['--evaluator', 'W', '--annotations', annotate(p / 'a.npz', size=128)],
     'was annotated as 128x128'),
    (lambda p: ['-o', annotate(p / 'a.npz')], 'a.npz.* exists and is no folder'),
])  # yapf: disable
def test_mistakes_end_in_one_clear_error(faces, weights, capsys, arguments, message):
    tmp_path, _, _ = faces
    save_images(tmp_path / 'strangers', ['nobody'])
    save_images(tmp_path / 'small', NAMES)
    cv2.imwrite(str(tmp_path / 'small' / 'face.png'), np.zeros((64, 32, 3), np.uint8))
    given_arguments = [weights if argument == 'W' else argument for argument in arguments(tmp_path)]
    assert run(tmp_path, *given_arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    assert re.search(message, error), error
