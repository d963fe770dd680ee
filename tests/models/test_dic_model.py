"""DICModel: losses, the frozen hourglass, resuming, validation and pictures; and DIC under BasicSR's own SRModel."""
import copy
import glob
import os
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from basicsr.models.sr_model import SRModel
from basicsr.utils import imwrite, tensor2img

from dic_plugin.archs import DIC
from dic_plugin.checkpoints.files import CheckpointError, save_params
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from dic_plugin.models.face_validation import batches
from dic_plugin.models.found_landmarks import found_landmarks_file, load_found_landmarks
from dic_plugin.synthetic import draw_face
from dic_plugin.utils.drawing import ZOOM, Tile, draw_landmarks, draw_strip
from dic_plugin.utils.option_check import OptionError
from helpers.tiny_training import (
    TINY,
    Writer,
    batch,
    build,
    one_process,
    options,
    resume,
    same,
    step,
    validate,
    weights,
)


@pytest.mark.parametrize('section, key, message', [
    ('train', 'release_hourglas_iter',
     "train:release_hourglas_iter: no such option; did you mean 'release_hourglass_iter'"),
    ('val', 'batchsize', "did you mean 'batch_size'"),
    ('network_g', 'num_featt', "network_g:num_featt: no such option; did you mean 'num_feat'"),
])
def test_misspelt_options_are_named_also_without_our_launchers(tmp_path, section, key, message):
    opt = options(tmp_path)
    opt[section][key] = 1
    with pytest.raises(OptionError, match=message):
        build_model(opt)


def test_losses_are_sums_over_the_steps_and_logged_by_step(tmp_path):
    model = build(options(tmp_path))
    data = batch()
    model.feed_data(data)
    with torch.no_grad():
        output = model.net_g(data['lq'], return_steps=True)
    expected = [(sr - data['gt']).abs().mean().item() for sr in output.sr]
    target = model.cri_heatmap.target(data['landmarks'], (16, 16))
    weight = model.opt['train']['heatmap_opt']['loss_weight']
    expected_heatmap = [weight * (heatmap - target).square().mean().item() for heatmap in output.heatmap]
    model.optimize_parameters(1)
    log = model.get_current_log()
    assert list(log) == ['l_pix', 'l_pix_step1', 'l_pix_step2', 'l_heatmap', 'l_heatmap_step1', 'l_heatmap_step2']
    assert [log['l_pix_step1'], log['l_pix_step2']] == pytest.approx(expected, rel=1e-4)
    assert log['l_pix'] == pytest.approx(sum(expected), rel=1e-4)
    assert log['l_heatmap'] == pytest.approx(sum(expected_heatmap), rel=1e-4)


def test_training_lowers_the_loss(tmp_path):
    model, data = build(options(tmp_path, train=dict(ema_decay=0))), batch(seed=1)
    data['gt'] = 0.5 * torch.ones_like(data['gt'])
    losses = []
    for current_iter in range(1, 41):
        model.feed_data(data)
        model.optimize_parameters(current_iter)
        losses.append(model.get_current_log()['l_pix'])
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize('parallel', [False, True])
def test_hourglass_is_frozen_until_released(tmp_path, parallel):
    model = build(options(tmp_path, train=dict(release_hourglass_iter=2)))
    optimised = {id(param) for group in model.optimizer_g.param_groups for param in group['params']}
    assert {id(param) for param in model.net_g.parameters()} == optimised

    def of(part, label='net_g'):
        return weights(model, part, [label])

    with one_process(tmp_path, model) if parallel else nullcontext():
        hourglass, recovery = of('hourglass.'), of('first_block.')
        step(model, [1, 2])
        assert same(hourglass, of('hourglass.')) and not same(recovery, of('first_block.'))
        assert all(torch.allclose(*pair, rtol=1e-5) for pair in zip(of('hourglass.', 'net_g_ema'), hourglass))
        step(model, [3])
        assert not same(hourglass, of('hourglass.'))


@pytest.mark.parametrize('ema_decay', [0, 0.5])
def test_hourglass_starts_from_given_weights(tmp_path, ema_decay):
    torch.manual_seed(7)
    trained = DIC(**TINY).hourglass.state_dict()
    file = str(tmp_path / 'hourglass.pth')
    save_params({file: trained})
    opt = options(tmp_path, train=dict(ema_decay=ema_decay), path=dict(pretrain_network_hourglass=file))
    model = build(opt)
    assert same([*trained.values()] * (2 if ema_decay else 1), weights(model, 'hourglass.'))
    # a resumed network holds its own
    opt['path']['resume_state'] = 'some.state'
    assert not same(list(trained.values()), weights(build(opt), 'hourglass.', ['net_g']))


def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    build(options(tmp_path)).save(0, 1)
    path = dict(pretrain_network_g=str(tmp_path / 'net_g_1.pth'))
    build(options(tmp_path, path=path))
    with pytest.raises(CheckpointError, match=r'net_g_1\.pth: does not hold .* 24 missing: first_block\.groups\.up\.2'):
        build(options(tmp_path, path=path, network=dict(num_groups=3)))
    with pytest.raises(CheckpointError, match='no such file'):
        build(options(tmp_path, path=dict(pretrain_network_hourglass='missing.pth')))


@pytest.mark.parametrize('scheduler', [
    dict(type='MultiStepLR', milestones=[2, 4], gamma=0.5),
    dict(type='CosineAnnealingRestartLR', periods=[6], restart_weights=[1], eta_min=1e-6),
])
def test_resuming_continues_as_if_never_stopped(tmp_path, scheduler):
    """Over the release of the hourglass, whose optimiser state does not exist before."""
    settings = dict(scheduler=scheduler, release_hourglass_iter=3)
    whole = build(options(tmp_path, train=settings))
    step(whole, range(1, 6))

    first = build(options(tmp_path, train=settings))
    step(first, [1, 2])
    first.save(0, 2)
    second = resume(tmp_path, 'train_DIC', 2, train=settings)
    step(second, range(3, 6))
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(weights(whole), weights(second)))


def test_landmarks_are_asked_for_and_counted(tmp_path):
    model = build(options(tmp_path))
    data = batch()
    del data['landmarks']
    model.feed_data(data)
    with pytest.raises(ValueError, match='train:heatmap_opt needs landmarks'):
        model.optimize_parameters(1)
    model.feed_data({**data, 'landmarks': torch.zeros(2, 5, 2)})
    with pytest.raises(ValueError, match='5 landmarks per face, but network_g has num_keypoints=68'):
        model.optimize_parameters(1)
    without = build(options(tmp_path, train=dict(heatmap_opt=None)))
    without.feed_data(data)
    without.optimize_parameters(1)
    assert 'l_heatmap' not in without.get_current_log()


def validated(tmp_path, batch_size, save_img=False, is_train=True):
    opt = options(tmp_path, is_train=is_train, val=dict(batch_size=batch_size, suffix=None))
    model, writer = build(opt), Writer()
    validate(model, opt, writer, save_img)
    return model, writer.scalars


def test_validation_reports_every_step_whatever_the_batch(tmp_path):
    model, scalars = validated(tmp_path, 1)
    assert {f'metrics/synthetic/{name}{step}'
            for name in ('psnr', 'ssim', 'nrmse')
            for step in ('', '_step1')} == set(scalars)
    assert all(np.isfinite(value) for value in scalars.values())
    assert model.best_metric_results['synthetic']['psnr'] == dict(
        better='higher', val=scalars['metrics/synthetic/psnr'], iter=5)
    assert model.best_metric_results['synthetic']['nrmse']['better'] == 'lower'
    assert model.net_g.training
    _, together = validated(tmp_path, 8)
    assert together == pytest.approx(scalars, rel=1e-3)


def test_validation_measures_what_basicsr_measures(tmp_path):
    model, scalars = validated(tmp_path, 2)
    stock = copy.copy(model)
    stock.__class__ = type('Stock', (SRModel, ), {})
    stock.opt = {**model.opt, 'val': {'metrics': {'psnr': model.opt['val']['metrics']['psnr']}}}
    stock.test, stock.autocast = (lambda: type(model).test(stock)), model.autocast
    stock._net_to_test = model._net_to_test
    stock.metric_results, stock.best_metric_results = {'psnr': 0}, {}
    dataset = model.opt['datasets']['val']
    stock.validation(torch.utils.data.DataLoader(build_dataset(dataset)), 5, None, False)
    assert stock.metric_results['psnr'] == pytest.approx(scalars['metrics/synthetic/psnr'], rel=1e-5)


@pytest.mark.parametrize('is_train, sr, strip', [
    (True, 'synthetic_1_000002/synthetic_1_000002_5.png', 'synthetic_1_000002/synthetic_1_000002_5_steps.png'),
    (False, 'synthetic/synthetic_1_000002_train_DIC.png', 'synthetic_steps/synthetic_1_000002_train_DIC.png'),
])
def test_pictures(tmp_path, is_train, sr, strip):
    model, _ = validated(tmp_path, 2, save_img=True, is_train=is_train)
    pictures = tmp_path / 'pictures'
    assert len(glob.glob(str(pictures / '*' / '*.png'))) == 2 * 3
    assert cv2.imread(str(pictures / sr)).shape == (64, 64, 3)
    image = cv2.imread(str(pictures / strip))
    assert image.shape[1] > 5 * ZOOM * 64  # input, bicubic, two steps, ground truth
    truth = image[-ZOOM * 64:, -ZOOM * 64:]
    for x, y in draw_face(1, 2, 64)[1]:  # a green dot at every landmark
        pixel = truth[int(round((y + 0.5) * ZOOM - 0.5)), int(round((x + 0.5) * ZOOM - 0.5))].astype(int)
        assert pixel[1] > pixel[0] + 60 and pixel[1] > pixel[2] + 60

    file = found_landmarks_file(pictures / 'synthetic')
    assert os.path.isfile(file) != is_train
    if not is_train:
        found = load_found_landmarks(file)
        assert list(found) == [f'synthetic_1_{index:06d}' for index in range(3)]
        for subpixel, landmarks in found[list(found)[-1]].items():
            assert landmarks == pytest.approx(decode_heatmaps(model.steps.heatmap[-1], subpixel)[-1].numpy())


def test_a_dataset_without_landmarks_or_truth_is_still_tested(tmp_path):
    folder = tmp_path / 'lq'
    for i in range(2):
        imwrite(np.full((16, 16, 3), 40 * i, np.uint8), str(folder / f'{i}.png'))
    opt = options(tmp_path, is_train=False)
    opt['datasets']['val'] = dict(
        name='bare', type='SingleImageDataset', dataroot_lq=str(folder), io_backend=dict(type='disk'), phase='test')
    model = build(opt)
    model.metric_results = None
    validate(model, opt, save_img=True)
    assert sorted(os.listdir(tmp_path / 'pictures')) == ['bare', 'bare_landmarks.npz', 'bare_steps']


def test_stock_model_and_dataset_train_the_network(tmp_path):
    """BasicSR's own SRModel and PairedImageDataset, without landmarks."""
    for index in range(3):
        face = draw_face(0, index)[0][..., ::-1]
        imwrite(face, str(tmp_path / 'gt' / f'{index}.png'))
        imwrite(cv2.resize(face, (16, 16), interpolation=cv2.INTER_AREA), str(tmp_path / 'lq' / f'{index}.png'))
    opt = options(tmp_path, train=dict(heatmap_opt=None))
    opt['model_type'] = 'SRModel'
    dataset = dict(
        name='pairs', type='PairedImageDataset', phase='train', scale=8, dataroot_gt=str(tmp_path / 'gt'),
        dataroot_lq=str(tmp_path / 'lq'), io_backend=dict(type='disk'), gt_size=128, use_hflip=True, use_rot=False,
        batch_size_per_gpu=2, num_worker_per_gpu=0)  # yapf: disable
    loader = build_dataloader(build_dataset(dataset), dataset, num_gpu=0, dist=False, sampler=None, seed=0)
    model = build(opt)
    before = weights(model)
    for current_iter, data in enumerate(loader, 1):
        model.feed_data(data)
        model.optimize_parameters(current_iter)
    assert not same(before, weights(model))
    model.test()
    assert tensor2img([model.output[:1].detach()]).shape == (128, 128, 3)


def test_batches_join_equal_sizes_only():
    loader = [
        dict(lq=torch.full((1, 3, size, 8), float(i)), lq_path=[str(i)]) for i, size in enumerate([8, 8, 8, 16, 8])
    ]
    joined = list(batches(loader, 2))
    assert [part['lq_path'] for part in joined] == [['0', '1'], ['2'], ['3'], ['4']]
    assert joined[0]['lq'][:, 0, 0, 0].tolist() == [0, 1]


def test_landmarks_are_drawn_where_they_are():
    canvas = draw_landmarks(np.zeros((20, 30, 3), np.uint8), np.array([[7., 12.], [np.nan, 3.]]), zoom=4)
    assert canvas.shape == (80, 120, 3)
    rows, columns = np.nonzero(canvas[..., 1])
    assert (columns.mean(), rows.mean()) == pytest.approx((7 * 4 + 1.5, 12 * 4 + 1.5), abs=0.3)


def test_strip_enlarges_the_input_by_repeating_pixels():
    small = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    strip = draw_strip([Tile('input', small), Tile('truth', np.zeros((32, 32, 3), np.uint8))])
    factor = ZOOM * 8
    assert np.array_equal(strip[-4 * factor:, :4 * factor], small.repeat(factor, 0).repeat(factor, 1))


def test_basicsr_makes_no_folder_of_a_pretrained_hourglass(tmp_path):
    from basicsr.utils import make_exp_dirs  # as the plugin leaves it
    path = {key: str(tmp_path / key) for key in ('experiments_root', 'models', 'pretrain_network_hourglass')}
    opt = dict(is_train=True, path=path)
    make_exp_dirs(opt)
    assert sorted(os.listdir(tmp_path)) == ['experiments_root', 'models']
    assert len(path) == 3
