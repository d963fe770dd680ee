"""Numbers that go bad end a training, or are skipped and counted; they never reach a weight or a file."""
import pytest
import torch

from dic_plugin.models.face_validation import _check_border
from dic_plugin.models.finite import NotFiniteError
from dic_plugin.utils.option_values import OptionError
from helpers.tiny_training import batch, build, options

BAD = [float('nan'), float('inf')]


def spoilt(value):
    faces = batch()
    faces['gt'][0, 0, 5, 5] = value
    return faces


def iterate(model, current_iter, faces):
    model.update_learning_rate(current_iter)
    model.feed_data({**faces, 'gt_path': ['a.png', 'b.png']})
    model.optimize_parameters(current_iter)


def weights(model):
    return {name: value.clone() for name, value in model.net_g.state_dict().items()}


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('recipe', ['train_DIC', 'train_DICGAN', 'train_landmarks'])
def test_bad_numbers_end_the_training(tmp_path, recipe, value):
    model = build(options(tmp_path, recipe))
    model.save(0, 7)
    iterate(model, 8, batch())
    before = {name: param.detach().clone() for name, param in model.net_g.named_parameters()}
    with pytest.raises(NotFiniteError, match=r'^Iteration 9: .*a\.png, b\.png.*net_g_7\.pth.*skip_nonfinite'):
        iterate(model, 9, spoilt(value))
    assert all(torch.equal(param, before[name]) for name, param in model.net_g.named_parameters())


def test_bad_numbers_are_skipped_and_counted(tmp_path):
    model = build(options(tmp_path, train=dict(skip_nonfinite=True)))
    iterate(model, 1, batch())
    before = weights(model)
    for current_iter in (2, 3):
        iterate(model, current_iter, spoilt(float('nan')))
    assert model.watch.skipped == 2
    assert all(torch.equal(value, before[name]) for name, value in weights(model).items())
    iterate(model, 4, batch())
    name = 'conv_in.0.weight'
    assert not torch.equal(weights(model)[name], before[name])


@pytest.mark.parametrize('current_iter', [4, -1])
def test_bad_weights_are_not_saved(tmp_path, current_iter):
    model = build(options(tmp_path))
    with torch.no_grad():
        next(model.net_g.parameters())[0] = float('nan')
    with pytest.raises(NotFiniteError, match=r'weights of net_g \('):
        model.save(0, current_iter)
    assert not list(tmp_path.rglob('*.pth')) and not list(tmp_path.rglob('*.state'))


@pytest.mark.parametrize('model', ['DICModel', 'SRModel'])
def test_a_run_ends_with_one_line(train, option_file, tmp_path, monkeypatch, model):
    """Also of BasicSR's own models."""
    from dic_plugin.data.synthetic_face_dataset import SyntheticFaceDataset
    plain = SyntheticFaceDataset.__getitem__

    def getitem(self, index):
        face = plain(self, index)
        if index == 3 and self.opt['phase'] == 'train':
            face['gt'] = face['gt'] * float('nan')
        return face

    monkeypatch.setattr(SyntheticFaceDataset, '__getitem__', getitem)
    changes = {}
    if model == 'DICModel':
        faces = dict(type='SyntheticFaceDataset', num_images=4, gt_size=64)
        datasets = dict(train=dict(faces, name='faces', batch_size_per_gpu=2, num_worker_per_gpu=0))
        changes = dict(model_type=model, network_g=options(tmp_path)['network_g'], datasets=datasets)
    status, said = train('-opt', option_file(**changes))
    assert status == 1
    last = said.splitlines()[-1]
    assert last.startswith('Error: Iteration ') and 'synthetic_0_000003.png' in last and 'Traceback' not in said
    for file in tmp_path.rglob('net_g_*.pth'):
        assert all(value.isfinite().all() for value in torch.load(file, weights_only=True)['params'].values())


@pytest.mark.parametrize('border', [-1, 32, 99])
def test_a_border_that_leaves_no_pixel_gives_no_nan(border):
    _check_border('psnr', {'crop_border': 31}, (64, 64, 3))
    with pytest.raises(OptionError, match=f"val:metrics:psnr:crop_border is {border}; .*less than half .* 64 pixels"):
        _check_border('psnr', {'crop_border': border}, (64, 64, 3))
