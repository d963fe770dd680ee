"""The recipes of the networks that the paper compares with, each for three iterations, and what their losses are."""
import pytest
import torch
import yaml
from basicsr.archs import build_network
from basicsr.utils.options import ordered_yaml

from dic_plugin.landmarks.heatmaps import render_heatmaps
from dic_plugin.models import FSRNetModel, StepsModel
from dic_plugin.utils.option_values import OptionError
from helpers.paths import OPTIONS

SMALL = {
    'SRResNet': dict(num_feat=4, num_block=1),
    'RDN': {},
    'SRFBN': dict(num_feat=4, num_groups=1, num_steps=2),
    'SPARNet': {},
    'FSRNet': dict(num_feat=4, num_block=1),
    'URDGN': {},
}


def shrunk(name):
    with open(OPTIONS / f'rivals/train_{name}.yml', encoding='utf-8') as file:
        opt = yaml.load(file, Loader=ordered_yaml()[0])  # noqa: S506
    faces = dict(name='faces', type='SyntheticFaceDataset', num_images=4, gt_size=128)
    opt['datasets'] = dict(
        train=dict(faces, batch_size_per_gpu=2, num_worker_per_gpu=0, use_hflip=True),
        val=dict(faces, num_images=1, seed=1))
    opt['network_g'].update(SMALL[name])
    opt['train'].update(total_iter=3)
    opt['val'].update(val_freq=3)
    opt['logger'].update(print_freq=1, save_checkpoint_freq=3, use_tb_logger=False)
    return dict(opt, num_gpu=0, plugin=None)


@pytest.mark.parametrize('name', SMALL)
def test_recipes(train, tmp_path, name):
    path = tmp_path / 'opt.yml'
    text = yaml.dump(shrunk(name), Dumper=ordered_yaml()[1])
    path.write_text(text.replace('plugin: null', 'plugin: !!python/name:dic_plugin.__version__'))
    status, said = train('-opt', path)
    assert status == 0, said
    log = next((tmp_path / f'experiments/train_{name}').glob('*.log')).read_text()
    losses = {
        'SRFBN': ('l_pix_step1', 'l_pix_step2'),
        'FSRNet': ('l_coarse', 'l_final', 'l_prior'),
        'URDGN': ('l_g_pix', 'l_g_gan', 'l_d_real', 'l_d_fake')
    }.get(name, ('l_pix', ))  # yapf: disable
    assert all(f'{loss}: ' in log for loss in losses) and '# psnr: ' in log
    saved = torch.load(tmp_path / f'experiments/train_{name}/models/net_g_3.pth', weights_only=True)['params']
    assert all(value.isfinite().all() for value in saved.values())


def model_of(cls, name, tmp_path):
    opt = shrunk(name)
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
