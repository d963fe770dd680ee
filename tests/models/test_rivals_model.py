"""The recipes of the networks that the paper compares with, each for three iterations, and what their losses are."""
import pytest
import torch
import yaml
from basicsr.archs import build_network
from basicsr.utils.options import ordered_yaml

from dic_plugin.landmarks.heatmaps import render_heatmaps
from dic_plugin.models import FSRGANModel, FSRNetModel, PFSRModel, StepsModel
from dic_plugin.models.pfsr_model import gradient_penalty
from dic_plugin.utils.option_values import OptionError
from helpers.paths import OPTIONS

SMALL = {
    'SRResNet': dict(num_feat=4, num_block=1),
    'RDN': {},
    'SRFBN': dict(num_feat=4, num_groups=1, num_steps=2),
    'SPARNet': {},
    'FSRNet': dict(num_feat=4, num_block=1),
    'FSRGAN': dict(num_feat=4, num_block=1),
    'PFSR': dict(num_feat=8),
    'URDGN': {},
}
LANDMARKS = dict(type='PFSRLandmarks', num_keypoints=5)


def shrunk(name):
    with open(OPTIONS / f'rivals/train_{name}.yml', encoding='utf-8') as file:
        opt = yaml.load(file, Loader=ordered_yaml()[0])  # noqa: S506
    faces = dict(name='faces', type='SyntheticFaceDataset', num_images=4, gt_size=128)
    opt['datasets'] = dict(
        train=dict(faces, batch_size_per_gpu=2, num_worker_per_gpu=0, use_hflip=True),
        val=dict(faces, num_images=1, seed=1))
    opt['network_g'].update(SMALL[name])
    opt['train'].update(total_iter=3)
    if 'network_d' in opt:
        opt['network_d'].update(dict(FSRGAN=dict(num_feat=4), PFSR=dict(num_feat=8)).get(name, {}))
    opt['val'].update(val_freq=3)
    opt['logger'].update(print_freq=1, save_checkpoint_freq=3, use_tb_logger=False)
    return dict(opt, num_gpu=0, plugin=None)


def with_landmarks(opt, folder):
    """The options with a small landmark network, saved there, in place of a trained one."""
    if 'network_landmark' in opt:
        opt['network_landmark'] = dict(LANDMARKS)
        torch.save({'params': build_network(dict(LANDMARKS)).state_dict()}, folder / 'landmarks.pth')
        opt['path'].update(pretrain_network_landmark=str(folder / 'landmarks.pth'), param_key_landmark='params')
    return opt


@pytest.mark.parametrize('name', SMALL)
def test_recipes(train, tmp_path, name):
    path = tmp_path / 'opt.yml'
    text = yaml.dump(with_landmarks(shrunk(name), tmp_path), Dumper=ordered_yaml()[1])
    path.write_text(text.replace('plugin: null', 'plugin: !!python/name:dic_plugin.__version__'))
    status, said = train('-opt', path)
    assert status == 0, said
    log = next((tmp_path / f'experiments/train_{name}').glob('*.log')).read_text()
    losses = {
        'SRFBN': ('l_pix_step1', 'l_pix_step2'),
        'FSRNet': ('l_coarse', 'l_final', 'l_prior'),
        'FSRGAN': ('l_coarse', 'l_final', 'l_prior', 'l_g_gan', 'l_d_real', 'l_d_fake'),
        'PFSR': ('l_g_pix', 'l_g_gan', 'l_g_attention', 'l_g_heatmap', 'l_d_real', 'l_d_drift', 'l_d_penalty'),
        'URDGN': ('l_g_pix', 'l_g_gan', 'l_d_real', 'l_d_fake')
    }.get(name, ('l_pix', ))  # yapf: disable
    assert all(f'{loss}: ' in log for loss in losses) and '# psnr: ' in log
    saved = torch.load(tmp_path / f'experiments/train_{name}/models/net_g_3.pth', weights_only=True)['params']
    assert all(value.isfinite().all() for value in saved.values())


def model_of(cls, name, tmp_path):
    opt = with_landmarks(shrunk(name), tmp_path)
    opt.update(is_train=True, dist=False, rank=0, world_size=1, path=dict(opt['path'], models=str(tmp_path)))
    torch.manual_seed(0)
    return cls(opt)


def test_losses_of_fsrnet_by_hand(tmp_path):
    model = model_of(FSRNetModel, 'FSRNet', tmp_path)
    landmarks = torch.rand(2, 68, 2) * 127
    model.feed_data(dict(lq=torch.rand(2, 3, 16, 16), gt=torch.rand(2, 3, 128, 128), landmarks=landmarks))
    output = model.net_g(model.lq, return_steps=True)
    losses = model._losses(output)
    target = render_heatmaps(2 * landmarks, (64, 64), 3)  # cells of 2 pixels
    assert losses['l_prior'].item() == pytest.approx((output.prior - target).square().mean().item(), rel=1e-5)
    assert losses['l_coarse'].item() == pytest.approx((output.coarse - model.gt).square().mean().item(), rel=1e-5)
    with pytest.raises(ValueError, match='FSRNetModel trains with landmarks'):
        model.feed_data(dict(lq=model.lq, gt=model.gt))
    opt = shrunk('FSRNet')
    del opt['train']['heatmap_opt']
    with pytest.raises(OptionError, match='heatmap_opt: missing'):
        FSRNetModel(dict(opt, is_train=True, dist=False, rank=0, world_size=1))


def test_steps_are_summed(tmp_path):
    model = model_of(StepsModel, 'SRFBN', tmp_path)
    model.feed_data(dict(lq=torch.rand(2, 3, 16, 16), gt=torch.rand(2, 3, 128, 128)))
    twin = build_network({k: v for k, v in shrunk('SRFBN')['network_g'].items()})
    twin.load_state_dict(model.net_g.state_dict())
    torch.stack([(image - model.gt).abs().mean() for image in twin(model.lq, return_steps=True)]).sum().backward()
    model.optimize_parameters(1)
    for (name, ours), theirs in zip(model.net_g.named_parameters(), twin.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def faces_of(model):
    model.feed_data(
        dict(lq=torch.rand(2, 3, 16, 16), gt=torch.rand(2, 3, 128, 128), landmarks=torch.rand(2, 68, 2) * 127))
    return model


def test_losses_of_fsrgan(tmp_path):
    model = faces_of(model_of(FSRGANModel, 'FSRGAN', tmp_path))
    before = [{name: value.clone() for name, value in net.state_dict().items()} for net in (model.net_g, model.net_d)]
    model.optimize_parameters(1)
    for net, old in zip((model.net_g, model.net_d), before):
        assert any(not torch.equal(value, old[name]) for name, value in net.named_parameters())
    # 1e-3 of log 2, about, from an untrained discriminator
    assert model.log_dict['l_g_gan'] == pytest.approx(1e-3 * 0.69, rel=0.5)


@pytest.mark.parametrize('iteration, expected', [
    (1, (1, 1.)),
    (50, (1, 1.)),
    (51, (2, 0.04)),
    (75, (2, 1.)),
    (100, (2, 1.)),
    (125, (3, 1.)),
    (200, (3, 1.)),
])
def test_stages_of_pfsr(tmp_path, iteration, expected):
    model = model_of(PFSRModel, 'PFSR', tmp_path)
    model.starts, model.fade = [0, 50, 100], 25
    assert model.stage_at(iteration) == pytest.approx(expected)


@pytest.mark.parametrize('stage', [1, 2, 3])
def test_losses_of_pfsr_by_hand(tmp_path, stage):
    model = faces_of(model_of(PFSRModel, 'PFSR', tmp_path))
    real = model._real(stage)
    assert real.shape == (2, 3, 16 * 2**stage, 16 * 2**stage)
    assert real.mean().item() == pytest.approx(model.gt.mean().item(), abs=0.02)
    model.output = model.net_g(model.lq, step=stage)
    losses = model._generator_losses(stage, lambda x: x.mean((1, 2, 3)), real)
    assert losses['l_g_pix'].item() == pytest.approx(20 * (model.output - real).abs().mean().item(), rel=1e-5)
    weight = (1, 1, 0.1)[stage - 1]
    assert losses['l_g_gan'].item() == pytest.approx(-weight * model.output.mean().item(), rel=1e-4)
    assert ('l_g_heatmap' in losses) == ('l_g_attention' in losses) == (stage > 1)
    if stage > 1:  # attention is at most 1 everywhere, and equal images have no loss
        share = (1000, 100)[stage - 2]
        assert 0 < losses['l_g_attention'] < share * (model.output - real).abs().mean()
        model.output = real
        alike = model._generator_losses(stage, lambda x: x.mean((1, 2, 3)), real)
        assert alike['l_g_attention'] == alike['l_g_heatmap'] == 0


def test_gradient_penalty():
    """A judgement whose gradient has everywhere the norm 3 for images in [-1, 1]: half of that for [0, 1]."""
    direction = torch.zeros(3, 4, 4)
    direction[1, 2, 3] = 6.
    real, fake = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    assert gradient_penalty(lambda x: (x * direction).sum((1, 2, 3)), real, fake).item() == pytest.approx((3 - 1)**2)


@pytest.mark.parametrize('changes, message', [
    (dict(path=dict(pretrain_network_landmark=None)), 'needs network_landmark and path:pretrain_network_landmark'),
    (dict(dist=True), 'trains in one process'),
])
def test_pfsr_refuses(tmp_path, changes, message):
    opt = with_landmarks(shrunk('PFSR'), tmp_path)
    opt.update(is_train=True, dist=False, rank=0, world_size=1)
    for section, values in changes.items():
        opt[section] = dict(opt[section], **values) if isinstance(values, dict) else values
    with pytest.raises((OptionError, RuntimeError), match=message):
        PFSRModel(opt)
