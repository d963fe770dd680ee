"""FaceFeatureLoss: its values, that it is frozen, its weights and what is said without them."""

import pytest
import torch
from basicsr.losses import build_loss
from basicsr.models import build_model

from dic_plugin.archs import LightCNNFeature
from dic_plugin.checkpoints.files import CheckpointError, save_params
from dic_plugin.losses import FaceFeatureLoss
from helpers import forked
from helpers.paths import ROOT


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    file = str(tmp_path_factory.mktemp('weights') / 'LightCNN_feature.pth')
    save_params({file: LightCNNFeature().state_dict()})
    return file


@pytest.mark.parametrize('criterion, power', [('l1', 1), ('l2', 2)])
def test_mean_difference_of_features(weights, criterion, power):
    loss = build_loss(dict(type='FaceFeatureLoss', load_path=weights, loss_weight=0.5, criterion=criterion))
    features = LightCNNFeature(subtract_mean=True)
    features.load_state_dict(torch.load(weights, weights_only=True)['params'])
    sr, gt = torch.rand(2, 2, 3, 32, 32)
    value, style = loss(sr, gt)
    assert style is None
    expected = 0.5 * (features(sr) - features(gt)).abs().pow(power).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5) and value > 0
    assert loss(gt, gt)[0] == 0


def test_only_the_restored_face_gets_a_gradient(weights):
    loss = FaceFeatureLoss(weights)
    sr, gt = (torch.rand(1, 3, 32, 32, requires_grad=True) for _ in range(2))
    loss(sr, gt)[0].backward()
    assert sr.grad.abs().sum() > 0 and gt.grad is None
    assert all(param.grad is None for param in loss.parameters())


def test_is_frozen(weights):
    loss = FaceFeatureLoss(weights).train()
    assert not loss.training and not loss.extractor.training
    assert not any(param.requires_grad for param in loss.parameters())


def test_missing_weights_say_where_they_are_and_what_to_do(tmp_path):
    for path, start in ((None, 'load_path is not given'), (str(tmp_path / 'none.pth'), r'.*none\.pth: no such file')):
        with pytest.raises(CheckpointError, match=rf'^{start}.* compares faces .*Maclory/Deep-Iterative-Collaboration'
                           r'.*dic-convert LightCNN_feature\.pth'):  # yapf: disable
            FaceFeatureLoss(path)


def test_published_file_works_once_converted(tmp_path, weights):
    published, converted = str(tmp_path / 'LightCNN_feature.pth'), str(tmp_path / 'converted.pth')
    params = torch.load(weights, weights_only=True)['params']
    torch.save({f'module.{key}': value for key, value in params.items()}, published)
    with pytest.raises(CheckpointError, match='Published checkpoints are converted by dic-convert'):
        FaceFeatureLoss(published)
    forked.run([ROOT / 'scripts/convert_checkpoint.py', published, converted])
    loss = FaceFeatureLoss(converted)
    assert all(torch.equal(value, params[key]) for key, value in loss.extractor.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path):
    file = str(tmp_path / 'other.pth')
    save_params({file: torch.nn.Conv2d(3, 3, 1).state_dict()})
    with pytest.raises(CheckpointError, match=r'other\.pth: does not hold the parameters of this LightCNNFeature'):
        FaceFeatureLoss(file)


def test_bad_arguments_are_named(weights):
    with pytest.raises(ValueError, match="criterion 'fro' is not supported"):
        FaceFeatureLoss(weights, criterion='fro')
    with pytest.raises(ValueError, match='expected one shape'):
        FaceFeatureLoss(weights)(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 16, 16))


def test_stock_model_uses_it_as_perceptual_loss(tmp_path, weights):
    """BasicSR's own SRModel with a network of BasicSR."""
    torch.manual_seed(0)
    model = build_model(
        dict(
            model_type='SRModel',
            scale=4,
            num_gpu=0,
            dist=False,
            is_train=True,
            network_g=dict(type='MSRResNet', num_feat=4, num_block=1, upscale=4),
            path={},
            train=dict(
                optim_g=dict(type='Adam', lr=1e-2),
                scheduler=dict(type='MultiStepLR', milestones=[100], gamma=0.5),
                perceptual_opt=dict(type='FaceFeatureLoss', load_path=weights, loss_weight=0.1))))
    data = dict(lq=torch.rand(1, 3, 8, 8), gt=torch.rand(1, 3, 32, 32))
    losses = []
    for current_iter in range(1, 11):
        model.feed_data(data)
        model.optimize_parameters(current_iter)
        losses.append(model.get_current_log()['l_percep'])
    assert list(model.get_current_log()) == ['l_percep']
    assert losses[-1] < losses[0]
