"""spandrel loads a DIC of any origin and restores the same faces; nobody claims the other's weights."""
import inspect

import numpy as np
import pytest
import torch

from dic_plugin import FaceRestorer
from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.checkpoints.weights import SHIPPED
from dic_plugin.cli import convert
from helpers.inference_weights import save_weights, tiny_network
from helpers.reference import published_shapes

spandrel = pytest.importorskip('spandrel', reason='needs spandrel')
import dic_plugin.spandrel  # noqa: E402 isort:skip

FACES = np.random.RandomState(0).randint(0, 256, (2, 16, 16, 3), np.uint8)


@pytest.fixture
def loader():
    registry = spandrel.MAIN_REGISTRY.copy()
    dic_plugin.spandrel.install(registry)
    dic_plugin.spandrel.install(registry)
    return spandrel.ModelLoader(registry=registry)


def assert_same_faces(model, restorer):
    images = torch.from_numpy(FACES).permute(0, 3, 1, 2) / 255.
    with torch.no_grad():
        faces = model(images)
    assert np.array_equal((faces.permute(0, 2, 3, 1) * 255).round().byte().numpy(), restorer(FACES).faces)


@pytest.mark.parametrize('steps', [2, 3])
def test_handed_over_weights(tmp_path, loader, steps):
    record = dict(network=dict(num_steps=steps), trained_on=['celeba', 'FaceLandmarkDataset'], input_size=16)
    source, target = save_weights(tmp_path / 'dic.pth', record), str(tmp_path / 'dic.safetensors')
    assert convert.main([source, target]) == 0
    model = loader.load_from_file(target)
    assert (model.purpose, model.scale, model.architecture.id) == ('FaceSR', 8, 'DIC')
    assert model.model.num_steps == steps and not model.supports_half
    assert model.size_requirements.check(16, 16) and not model.size_requirements.check(20, 16)
    assert_same_faces(model, FaceRestorer(target, 'cpu'))


def test_shipped_weights(loader):
    assert_same_faces(loader.load_from_file(SHIPPED), FaceRestorer(device='cpu'))


@pytest.mark.parametrize('key', ['params', 'params_ema', 'state_dict', None])
def test_checkpoints_of_four_steps_and_any_wrapping(tmp_path, loader, key):
    params = tiny_network(num_steps=4).state_dict()
    torch.save({key: params} if key else params, tmp_path / 'dic.pth')
    assert_same_faces(loader.load_from_file(tmp_path / 'dic.pth'), FaceRestorer(str(tmp_path / 'dic.pth'), 'cpu'))


def test_x4(tmp_path, loader):
    torch.save({'params': tiny_network(upscale=4, num_steps=4).state_dict()}, tmp_path / 'dic.pth')
    model = loader.load_from_file(tmp_path / 'dic.pth')
    assert model.scale == 4 and model.size_requirements.multiple_of == 16


@pytest.mark.parametrize('kind', ['DIC', 'MMagic_DICNet'])
def test_published_names(loader, kind):
    shapes = published_shapes(kind)
    model = loader.load_from_state_dict({key: torch.zeros(shape) for key, shape in shapes.items()})
    assert model.architecture.id == 'DIC' and model.model.num_steps == 4
    assert model.scale == 8


def test_nobody_of_spandrel_claims_a_dic(loader):
    mine = tiny_network().state_dict()
    claims = [each.architecture.id for each in loader.registry.architectures() if each.detect(mine)]
    assert claims == ['DIC']


def test_no_network_of_spandrel_is_taken_for_a_dic(loader):
    mine, tried = loader.registry['DIC'], []
    for name in ('RCAN', 'SwinIR', 'ESRGAN', 'SPAN', 'NAFNet', 'Compact'):
        module = __import__(f'spandrel.architectures.{name}', fromlist=['x'])
        for network in vars(module).values():
            if inspect.isclass(network) and issubclass(network, torch.nn.Module):
                try:
                    with torch.device('meta'):
                        state = network().state_dict()
                except (TypeError, ValueError, RuntimeError, NotImplementedError):
                    continue
                tried.append(name)
                assert not mine.detect(state), name
    assert len(tried) >= 3, tried


@pytest.mark.parametrize('damage', ['missing', 'shape', 'more'])
def test_weights_that_are_not_exactly_a_dic_are_not_claimed(loader, damage):
    state = dict(tiny_network().state_dict())
    if damage == 'missing':
        del state['first_block.compress_in.0.weight']
    elif damage == 'shape':
        state['first_block.compress_in.0.weight'] = torch.zeros(1)
    else:
        state['more'] = torch.zeros(1)
    with pytest.raises((spandrel.UnsupportedModelError, CheckpointError)):
        loader.load_from_state_dict(state)
