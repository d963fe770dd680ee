"""LandmarkModel: losses by pass and stack, views, what DIC starts from, EMA, resuming, validation, refused options."""
import copy
import glob

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_metric
from basicsr.models import build_model

from dic_plugin.archs import DIC
from dic_plugin.data.hourglass_views import VIEWS, draw_views, make_view
from dic_plugin.utils.drawing import GAP, ZOOM
from dic_plugin.utils.option_check import OptionError
from helpers.tiny_training import Writer, batch, build, same, step, validate, weights
from helpers.tiny_training import options as tiny_options

RECIPES = ['train_hourglass', 'train_landmarks']


def options(tmp_path, recipe='train_hourglass', *args, **changes):
    return tiny_options(tmp_path, recipe, *args, **changes)


# ------------------------------------------------------------------ training
def test_a_pass_sees_the_mean_subtracted_and_what_the_last_one_handed_on(tmp_path):
    model, data = build(options(tmp_path, train=dict(input_views=['sharp']))), batch()
    torch.nn.init.normal_(model.net_g.head[-1].weight)  # from scratch it begins with heatmaps of zero
    model.feed_data(data)
    target = model.cri_heatmap.target(data['landmarks'], (16, 16))
    expected, hidden = [], None
    with torch.no_grad():
        for _ in range(3):
            heatmap, hidden = model.net_g(data['gt'] - torch.tensor([0.509, 0.424, 0.378]).view(3, 1, 1), hidden)
            expected.append(20 * (heatmap - target).square().mean().item())
    model.optimize_parameters(1)
    log = model.get_current_log()
    assert list(log) == ['l_heatmap', 'l_heatmap_step1', 'l_heatmap_step2', 'l_heatmap_step3']
    assert list(log.values()) == pytest.approx([sum(expected), *expected], rel=1e-4)


def test_every_stack_has_a_loss(tmp_path):
    model, data = build(options(tmp_path, 'train_landmarks', train=dict(ema_decay=0))), batch()
    torch.nn.init.normal_(model.net_g.stacks[0].predict.weight)  # heatmaps are zero before training
    model.feed_data(data)
    with torch.no_grad():
        heatmaps = copy.deepcopy(model.net_g)(data['gt'], return_stacks=True)
    target = model.cri_heatmap.target(data['landmarks'], (16, 16))
    model.optimize_parameters(1)
    expected = [model.cri_heatmap(heatmap, target).item() for heatmap in heatmaps]
    assert list(model.get_current_log().values()) == pytest.approx([sum(expected), *expected], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('recipe', RECIPES)
def test_training_lowers_the_loss(tmp_path, recipe):
    model, losses = build(options(tmp_path, recipe, train=dict(input_views=['sharp']))), []
    for current_iter in range(1, 61):
        model.feed_data(batch(seed=1))
        model.optimize_parameters(current_iter)
        losses.append(model.get_current_log()['l_heatmap'])
    assert losses[-1] < 0.95 * losses[0]


def test_dic_starts_from_what_is_saved(tmp_path):
    model = build(options(tmp_path))
    step(model, [1, 2])
    model.save(0, 2)
    for param_key, label in ((None, 'net_g'), ('params_ema', 'net_g_ema')):
        path = dict(pretrain_network_hourglass=str(tmp_path / 'net_g_2.pth'), param_key_hourglass=param_key)
        dic = build(tiny_options(tmp_path, path=path, network=dict(hg_from_scratch=False)))
        assert same(weights(model, labels=[label]) * 2, weights(dic, 'hourglass.'))


def test_the_hourglass_is_shown_what_dic_shows(tmp_path):
    """A DIC whose SR image is given: its hourglass finds what LandmarkModel's finds on that image."""
    model, data = build(options(tmp_path)), batch()
    torch.nn.init.normal_(model.net_g.head[-1].weight)
    dic = DIC(num_feat=4, num_groups=1, num_steps=3, hg_num_feat=8, num_fusion_block=1)
    dic.hourglass.load_state_dict(model.net_g.state_dict())
    with torch.no_grad():
        steps = dic(data['lq'], return_steps=True)
        heatmaps = model._heatmaps(model.net_g, steps.sr)
    for ours, theirs in zip(heatmaps, steps.heatmap):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_ema_follows_the_batch_norms_too(tmp_path):
    model = build(options(tmp_path, 'train_landmarks', train=dict(ema_decay=0.5)))
    before = model.net_g_ema.stem[1].running_mean.clone()
    step(model, [1])
    now = model.net_g.stem[1].running_mean
    assert not torch.allclose(now, before)
    assert torch.allclose(model.net_g_ema.stem[1].running_mean, (before + now) / 2)
    assert model.net_g_ema.stem[1].num_batches_tracked == 1


def test_images_and_landmarks_are_asked_for(tmp_path):
    model, data = build(options(tmp_path)), batch()
    with pytest.raises(ValueError, match='`gt`, which this dataset does not give'):
        model.feed_data({key: value for key, value in data.items() if key != 'gt'})
    model.feed_data({key: value for key, value in data.items() if key != 'landmarks'})
    with pytest.raises(ValueError, match='train:heatmap_opt needs landmarks'):
        model.optimize_parameters(1)


# ---------------------------------------------------------------- validation
def validated(tmp_path, recipe, save_img=False, is_train=True):
    opt = options(tmp_path, recipe, is_train)
    model, writer = build(opt), Writer()
    validate(model, opt, writer, save_img)
    return model, writer.scalars


@pytest.mark.parametrize('recipe, rows', [('train_hourglass', ['_sharp', '_sr_like', '']), ('train_landmarks', [''])])
def test_validation_measures_every_view(tmp_path, recipe, rows):
    model, scalars = validated(tmp_path, recipe)
    assert set(scalars) == {f'metrics/synthetic/{name}{row}' for name in ('nrmse', 'failure_rate') for row in rows}
    assert scalars['metrics/synthetic/failure_rate'] == 1  # untrained
    assert model.best_metric_results['synthetic']['nrmse'] == dict(
        better='lower', val=scalars['metrics/synthetic/nrmse'], iter=5)
    assert model.net_g.training
    assert validated(tmp_path, recipe)[1] == scalars


@pytest.mark.parametrize('recipe, tiles', [('train_hourglass', 4), ('train_landmarks', 2)])
@pytest.mark.parametrize('is_train, path', [
    (True, 'synthetic_1_000002/synthetic_1_000002_5.png'),
    (False, 'synthetic/synthetic_1_000002_{}.png'),
])
def test_pictures(tmp_path, recipe, tiles, is_train, path):
    validated(tmp_path, recipe, True, is_train)
    assert len(glob.glob(str(tmp_path / 'pictures' / '*' / '*.png'))) == 3
    picture = cv2.imread(str(tmp_path / 'pictures' / path.format(recipe)))
    assert picture.shape[1] == tiles * (ZOOM * 64 + GAP) - GAP


@pytest.mark.parametrize('shift, threshold, failed', [(0.9, 0.1, 0), (1.1, 0.1, 1), (1.1, 0.2, 0)])
def test_failure_rate(shift, threshold, failed):
    truth = np.random.default_rng(0).uniform(0, 128, (68, 2))
    eyes = np.linalg.norm(truth[36:42].mean(0) - truth[42:48].mean(0))
    found = truth + [0.1 * shift * eyes, 0]
    data = dict(img=None, img2=None, landmarks=found, gt_landmarks=truth)
    assert calculate_metric(data, dict(type='calculate_failure_rate', threshold=threshold)) == failed


# --------------------------------------------------------------------- views
def sharpness(img):
    return (img[..., 1:] - img[..., :-1]).abs().mean().item()


def face_like(size=2):
    """Smooth random images and their eighth."""
    gt = torch.nn.functional.interpolate(torch.rand(size, 3, 32, 32), scale_factor=4, mode='bilinear')
    return torch.nn.functional.avg_pool2d(gt, 8), gt


def test_views_get_better():
    torch.manual_seed(0)
    lq, gt = face_like()
    half = torch.full((2, ), 0.5)
    views = {kind: make_view(kind, lq, gt, half) for kind in VIEWS}
    assert all(view.shape == gt.shape and 0 <= view.min() and view.max() <= 1 for view in views.values())
    assert list(VIEWS) == sorted(VIEWS, key=lambda kind: sharpness(views[kind]))
    assert torch.equal(views['sharp'], gt)
    for kind in ('blurred', 'sr_like'):
        low, high = (make_view(kind, lq, gt, torch.full((2, ), value)) for value in (0., 1.))
        assert sharpness(low) < sharpness(views[kind]) < sharpness(high)
    # of a batch with two qualities each face is made as it would be alone
    mixed = make_view('blurred', lq, gt, torch.tensor([0., 1.]))
    alone = make_view('blurred', lq[1:], gt[1:], torch.ones(1))
    assert torch.allclose(mixed[1:], alone)


def test_drawn_views_go_from_worse_to_better_and_mix_all_kinds():
    torch.manual_seed(0)
    lq, gt = face_like(1)
    lq, gt = lq.expand(40, -1, -1, -1), gt.expand(40, -1, -1, -1)
    views = draw_views(lq, gt, ['sharp', 'bicubic'], 3)
    bicubic = make_view('bicubic', lq, gt, torch.ones(40))
    is_sharp = torch.tensor([[torch.equal(view[i], gt[i]) for view in views] for i in range(40)])
    is_bicubic = torch.tensor([[torch.allclose(view[i], bicubic[i], atol=1e-6) for view in views] for i in range(40)])
    assert (is_sharp ^ is_bicubic).all()
    assert (is_sharp[:, 1:] >= is_sharp[:, :-1]).all()
    assert len({tuple(row) for row in is_sharp.tolist()}) == 4
    torch.manual_seed(0)
    again = draw_views(lq, gt, ['bicubic', 'sharp'], 3)
    torch.manual_seed(0)
    assert all(torch.equal(*pair) for pair in zip(again, draw_views(lq, gt, ['sharp', 'bicubic'], 3)))


def test_an_unknown_view_is_refused():
    with pytest.raises(ValueError, match="no view 'sharpp'; there are bicubic"):
        make_view('sharpp', *face_like(), torch.ones(2))


# ------------------------------------------------------------------- options
@pytest.mark.parametrize('recipe, change, message', [
    ('train_hourglass', dict(num_steps=None), 'num_steps: missing; expected how many passes'),
    ('train_hourglass', dict(num_steps=0), 'num_steps is 0; expected a whole number of at least 1'),
    ('train_landmarks', dict(num_steps=3), 'num_steps is for FeedbackHourglass; StackedHourglass has network_g:num_st'),
    ('train_hourglass', dict(train=dict(input_views=['sharpp'])),
     r"train:input_views: sharpp: no such view; did you mean 'sharp'\?"),
    ('train_hourglass', dict(train=dict(input_views=[])), r'train:input_views is \[\]; expected a list of different'),
    ('train_hourglass', dict(val=dict(input_views='sharp')), "val:input_views is 'sharp'; expected a list"),
    ('train_hourglass', dict(val=dict(input_views=['sharp', 'sharp'])), 'val:input_views is .* expected a list of'),
    ('train_hourglass', dict(train=dict(heatmap_opt=None)), 'train:heatmap_opt: missing'),
    ('train_hourglass', dict(train=dict(pixel_opt=dict(type='L1Loss'))), 'train:pixel_opt: LandmarkModel makes no'),
    ('train_hourglass', dict(train=dict(input_view=['sharp'])), "no such option; did you mean 'input_views'"),
    ('train_hourglass', dict(train=dict(release_hourglass_iter=5)), 'train:release_hourglass_iter: no such option'),
    ('train_hourglass', dict(network_g=dict(type='DIC')), 'network_g:type is DIC; LandmarkModel trains FeedbackHourgl'),
])  # yapf: disable
def test_impossible_options_are_named(tmp_path, recipe, change, message):
    with pytest.raises(OptionError, match=message):
        build_model(options(tmp_path, recipe, **change))
