"""DICGANModel: whose gradients reach whom, the two networks' turns, the frozen hourglass, resuming, GAN types, EMA."""
import glob
import os
from contextlib import nullcontext

import pytest
import torch
from basicsr.models import build_model

from dic_plugin.archs import DIC, LightCNNFeature
from dic_plugin.checkpoints.files import CheckpointError, save_params
from dic_plugin.losses import GridLoss
from dic_plugin.utils.option_check import OptionError, check_options
from helpers import forked
from helpers.paths import OPTIONS
from helpers.tiny_training import TINY, batch, build, one_process, resume, same, step, validate, weights
from helpers.tiny_training import options as tiny_options


def options(tmp_path, is_train=True, train=(), path=(), num_feat_d=6):
    """The tiny recipe, but the generator is trained from the first iteration."""
    opt = tiny_options(tmp_path, 'train_DICGAN', is_train, {'net_d_init_iters': 0, **dict(train)}, path)
    opt['network_d']['num_feat'] = num_feat_d
    return opt


def net(model, label='net_g', part=''):
    return weights(model, part, [label])


def gradients(network):
    return [None if param.grad is None else param.grad.clone() for param in network.parameters()]


# ------------------------------------------------------------------ the two networks' turns
def test_discriminator_learns_without_the_generator(tmp_path):
    """Up to net_d_init_iters nothing of the discriminator's loss may reach the generator."""
    model = build(options(tmp_path, train=dict(net_d_init_iters=2)))
    generator, discriminator = net(model), net(model, 'net_d')
    step(model, [1, 2])
    assert same(generator, net(model))
    assert all(grad is None for grad in gradients(model.net_g))
    assert not same(discriminator, net(model, 'net_d'))
    assert list(model.get_current_log()) == ['l_d_real', 'out_d_real', 'l_d_fake', 'out_d_fake']
    step(model, [3])
    assert not same(generator, net(model))


@pytest.mark.parametrize('net_d_iters', [1, 3])
def test_generator_learns_every_net_d_iters(tmp_path, net_d_iters):
    model = build(options(tmp_path, train=dict(net_d_iters=net_d_iters)))
    for current_iter in range(1, 5):
        generator, discriminator = net(model), net(model, 'net_d')
        step(model, [current_iter])
        assert same(generator, net(model)) == (current_iter % net_d_iters != 0)
        assert not same(discriminator, net(model, 'net_d'))


@pytest.mark.parametrize('grid_opt', [None, dict(type='GridLoss', loss_weight=4)])
def test_gradients_are_those_of_ones_own_losses(tmp_path, grid_opt):
    """The generator's: pixels, heatmaps, GAN and, if wanted, grid. The discriminator's: real and fake only."""
    model = build(options(tmp_path, train=dict(grid_opt=grid_opt)))
    model.optimizer_g.step = model.optimizer_d.step = lambda: None  # so that the losses can be repeated
    data = batch()
    model.feed_data(data)
    model.optimize_parameters(1)
    of_generator, of_discriminator = gradients(model.net_g), gradients(model.net_d)
    model.net_g.zero_grad(), model.net_d.zero_grad()

    steps = model.net_g(data['lq'], return_steps=True)
    target = model.cri_heatmap.target(data['landmarks'], (16, 16))
    loss = sum((sr - data['gt']).abs().mean() for sr in steps.sr)
    loss = loss + sum(model.cri_heatmap(heatmap, target) for heatmap in steps.heatmap)
    logit = model.net_d(steps.sr[-1])
    loss = loss + model.opt['train']['gan_opt']['loss_weight'] * torch.nn.functional.softplus(-logit).mean()
    if grid_opt:
        loss = loss + GridLoss(grid_opt['loss_weight'])(steps.sr[-1], data['gt'])
    loss.backward()
    hourglass = {id(param) for param in model.net_g.hourglass.parameters()}
    for param, grad in zip(model.net_g.parameters(), of_generator):
        if id(param) in hourglass:
            assert grad is None
        else:
            assert torch.allclose(grad, param.grad, rtol=1e-3, atol=1e-6)

    model.net_d.zero_grad()
    loss = torch.nn.functional.softplus(-model.net_d(data['gt'])).mean()
    loss = loss + torch.nn.functional.softplus(model.net_d(steps.sr[-1].detach())).mean()
    loss.backward()
    for param, grad in zip(model.net_d.parameters(), of_discriminator):
        assert torch.allclose(grad, param.grad, rtol=1e-3, atol=1e-6)


def test_gan_loss_moves_the_generator(tmp_path):
    """Without it the discriminator would have no say."""
    trained = []
    for loss_weight in (0., 1.):
        gan_opt = dict(type='GANLoss', gan_type='vanilla', loss_weight=loss_weight)
        model = build(options(tmp_path, train=dict(gan_opt=gan_opt)))
        step(model, [1, 2])
        trained.append(net(model))
    assert not same(*trained)


def test_log(tmp_path):
    file = str(tmp_path / 'LightCNN_feature.pth')
    save_params({file: LightCNNFeature().state_dict()})
    model = build(options(tmp_path, train=dict(perceptual_opt=dict(type='FaceFeatureLoss', load_path=file))))
    step(model, [1])
    assert list(model.get_current_log()) == [
        'l_pix', 'l_pix_step1', 'l_pix_step2', 'l_heatmap', 'l_heatmap_step1', 'l_heatmap_step2', 'l_percep', 'l_g_gan',
        'l_d_real', 'out_d_real', 'l_d_fake', 'out_d_fake'
    ]


@pytest.mark.parametrize('loss', ['GANLoss', 'MultiScaleGANLoss'])
@pytest.mark.parametrize('gan_type', ['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge'])
def test_discriminator_learns_to_tell_apart_by_every_gan_loss(tmp_path, gan_type, loss):
    gan_opt = dict(type=loss, gan_type=gan_type, loss_weight=0.005)
    model, data = build(options(tmp_path, train=dict(gan_opt=gan_opt))), batch()
    data['gt'] = data['gt'] * 0.2 + 0.8  # bright truth, so that it is easy
    for current_iter in range(1, 16):
        model.feed_data(data)
        model.optimize_parameters(current_iter)
        log = model.get_current_log()
        assert all(map(torch.isfinite, map(torch.tensor, log.values())))
    assert log['out_d_real'] > log['out_d_fake']


# ------------------------------------------------------------------ hourglass, EMA
@pytest.mark.parametrize('parallel', [False, True])
def test_hourglass_is_frozen_throughout(tmp_path, parallel):
    model = build(options(tmp_path, train=dict(net_d_iters=2)))
    with one_process(tmp_path, model) if parallel else nullcontext():
        hourglass, recovery = net(model, part='hourglass.'), net(model, part='first_block.')
        step(model, range(1, 6))
        assert same(hourglass, net(model, part='hourglass.')) and not same(recovery, net(model, part='first_block.'))
        pairs = zip(net(model, 'net_g_ema', 'hourglass.'), hourglass)
        assert all(torch.allclose(*pair, rtol=1e-5) for pair in pairs)


def test_hourglass_can_be_released(tmp_path):
    model = build(options(tmp_path, train=dict(release_hourglass_iter=1)))
    hourglass = net(model, part='hourglass.')
    step(model, [1])
    assert same(hourglass, net(model, part='hourglass.'))
    step(model, [2])
    assert not same(hourglass, net(model, part='hourglass.'))


def test_ema_follows_the_generator(tmp_path):
    model = build(options(tmp_path, train=dict(ema_decay=0.5)))
    before = net(model)
    step(model, [1])
    for average, old, new in zip(net(model, 'net_g_ema'), before, net(model)):
        assert torch.allclose(average, 0.5 * old + 0.5 * new, atol=1e-6)
    without = build(options(tmp_path, train=dict(ema_decay=0)))
    step(without, [1])
    assert not hasattr(without, 'net_g_ema')


@pytest.mark.slow
# ------------------------------------------------------------------ weights and states
@pytest.mark.parametrize('ema_decay', [0, 0.5])
def test_resuming_continues_bit_by_bit(tmp_path, ema_decay):
    settings = dict(
        net_d_iters=2, ema_decay=ema_decay, scheduler=dict(type='MultiStepLR', milestones=[2, 4], gamma=0.5))
    whole = build(options(tmp_path, train=settings, num_feat_d=3))
    step(whole, range(1, 7))

    first = build(options(tmp_path, train=settings, num_feat_d=3))
    step(first, [1, 2, 3])
    first.save(0, 3)
    second = resume(tmp_path, 'train_DICGAN', 3, train={'net_d_init_iters': 0, **settings})
    step(second, [4, 5, 6])
    assert same(weights(whole), weights(second))
    assert whole.get_current_learning_rate() == second.get_current_learning_rate()


def test_starts_from_a_trained_dic_and_a_trained_discriminator(tmp_path, log):
    opt = options(tmp_path)
    opt['model_type'] = 'DICModel'
    del opt['network_d'], opt['train']['gan_opt'], opt['train']['optim_d']
    del opt['train']['net_d_iters'], opt['train']['net_d_init_iters']
    dic = build(opt)
    step(dic, [1, 2])
    dic.save(0, 7)
    gan = build(options(tmp_path))
    assert 'DICGANModel starts from an untrained generator' in log.text
    step(gan, [1])
    gan.save(0, 8)
    log.clear()

    path = dict(
        pretrain_network_g=str(tmp_path / 'net_g_7.pth'),
        param_key_g='params_ema',
        pretrain_network_d=str(tmp_path / 'net_d_8.pth'))
    model = build(options(tmp_path, path=path))
    assert 'untrained' not in log.text
    assert same(net(dic, 'net_g_ema'), net(model)) and same(net(gan, 'net_d'), net(model, 'net_d'))
    with pytest.raises(CheckpointError, match=r'net_d_8\.pth: does not hold the parameters of this LightCNNDiscrimin'):
        build(options(tmp_path, path=path, num_feat_d=3))


@pytest.mark.parametrize('model_type', ['DICGANModel', 'DICModel'])
def test_testing_needs_the_generator_only(tmp_path, model_type):
    opt = options(tmp_path, is_train=False)
    opt['model_type'] = model_type
    del opt['network_d'], opt['train']
    assert set(validate(build(opt), opt)) == {'psnr', 'ssim', 'nrmse'}


@pytest.mark.slow
def test_recipe_as_real_processes(tmp_path):
    """The shipped option files, made tiny: trained from a DIC, resumed, tested."""
    save_params({str(tmp_path / 'dic.pth'): DIC(**TINY).state_dict()})

    def run(what, changes, *flags):
        code = f'import sys; from dic_plugin.launch import {what}; sys.exit({what}())'
        command = ['-c', code, '-opt', os.path.join(OPTIONS, f'{what}_DICGAN.yml'), *flags]
        command += ['--force_yml', 'name=tiny', 'num_gpu=0', *changes]
        command += [f'network_g:{key}={value}' for key, value in TINY.items()]
        return forked.run(command, cwd=tmp_path)

    changes = [
        'path:pretrain_network_g=dic.pth', 'train:net_d_init_iters=1', 'val:val_freq=9', 'logger:print_freq=1',
        'logger:save_checkpoint_freq=2', 'network_d:num_feat=3', 'datasets:train:num_images=4',
        'datasets:train:batch_size_per_gpu=2', 'datasets:val:num_images=2'
    ]
    log = run('train', [*changes, 'train:total_iter=2'])
    assert 'l_g_gan: ' in log and 'End of training' in log
    log = run('train', [*changes, 'train:total_iter=3'], '--auto_resume')
    assert 'Loading LightCNNDiscriminator model from' in log and 'iter:       3' in log
    models = tmp_path / 'experiments' / 'tiny' / 'models'
    assert {'net_g_latest.pth', 'net_d_latest.pth', 'net_g_2.pth', 'net_d_2.pth'} <= set(os.listdir(models))
    log = run('test', [f'path:pretrain_network_g={models}/net_g_latest.pth', 'datasets:test:num_images=2'])
    assert 'psnr: ' in log and len(glob.glob(str(tmp_path / 'results/tiny/visualization/synthetic/*.png'))) == 2


# ------------------------------------------------------------------ options
@pytest.mark.parametrize('section, key, value, message', [
    ('train', 'net_d_iter', 2, "train:net_d_iter: no such option; did you mean 'net_d_iters'"),
    ('train', 'net_d_iters', 0, 'train:net_d_iters is 0; expected a whole number of at least 1'),
    ('train', 'net_d_init_iters', -1, 'train:net_d_init_iters is -1; expected a whole number of at least 0'),
    ('train', 'ldl_opt', {}, 'train:ldl_opt: no such option'),
    ('train', 'gan_opt', None, 'train:gan_opt: expected options'),
    ('train', 'optim_d', dict(lr=1e-4), 'train:optim_d:type: missing'),
    ('network_d', 'num_featt', 3, "network_d:num_featt: no such option; did you mean 'num_feat'"),
    ('path', 'pretrain_networkd', 'x.pth', "did you mean 'pretrain_network_d'"),
])
def test_wrong_options_are_named(tmp_path, section, key, value, message):
    opt = options(tmp_path)
    opt[section][key] = value
    with pytest.raises(OptionError, match=message):
        build_model(opt)


@pytest.mark.parametrize('section, key', [('', 'network_d'), ('train', 'gan_opt'), ('train', 'optim_d')])
def test_missing_options_are_named_for_training_only(tmp_path, section, key):
    opt = options(tmp_path)
    del (opt[section] if section else opt)[key]
    with pytest.raises(OptionError, match=f'{key}: missing'):
        check_options(opt, True)
    check_options(opt, False)
