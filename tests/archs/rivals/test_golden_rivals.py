"""The rivals against figures measured on published implementations, in float64 (tests/data/golden_rivals.json)."""
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from dic_plugin.archs.rivals import (
    RDN,
    SRFBN,
    FSRNet,
    PFSRDiscriminator,
    PFSRGenerator,
    PFSRLandmarks,
    SPARNet,
    SRResNet,
    URDGNDiscriminator,
    URDGNGenerator,
)
from dic_plugin.archs.rivals.enlarge import enlarge
from helpers.reference import GOLDEN_RIVALS, assert_digest, hash_fill, published_shapes, wave_input

RTOL = 1e-6
FIXED = ('sub_mean.', 'add_mean.')  # mean shifts, which are buffers here


def filled(network, entry):
    """The network in float64 with the reference's values, and the names of its tensors by published name."""
    shapes = published_shapes(entry['keys'])
    values = hash_fill(shapes, lambda key: entry['gain'])
    published = [key for key in shapes if not key.startswith(FIXED)]
    own = list(network.state_dict())
    assert [tuple(shapes[key]) for key in published] == [tuple(network.state_dict()[key].shape) for key in own]
    network.load_state_dict({name: values[key] for name, key in zip(own, published)})
    assert sum(p.numel() for p in network.parameters()) == entry.get('params_trainable', entry['params'])
    return network.double(), dict(zip(published, own))


def assert_training(network, names, loss, record):
    loss.backward()
    assert loss.item() == pytest.approx(record['value'], rel=RTOL)
    parameters = dict(network.named_parameters())
    for key, norm in record['grad_l2'].items():
        assert parameters[names[key]].grad.norm().item() == pytest.approx(norm, rel=RTOL)


@pytest.mark.parametrize('name', [
    'SRFBN_small_x8',
    'SRFBN-S_x8',
    pytest.param('SRFBN_x8', marks=pytest.mark.slow),
])
def test_srfbn(name):
    entry = GOLDEN_RIVALS[f'{name}_hash']
    config = entry['config']
    network, names = filled(
        SRFBN(num_feat=config['num_features'], num_groups=config['num_groups'], num_steps=config['num_steps']), entry)
    # the published bias, in float32: L1's gradient jumps where an image is that near to its target
    network.mean.copy_((255 * torch.tensor([0.4488, 0.4371, 0.4040])).double().view(3, 1, 1) / 255)
    images = network((127.5 + 255 * wave_input(entry['input_shape']).float().double()) / 255, return_steps=True)
    for image, digest in zip(images, entry['sr']):
        assert_digest(255 * image, digest, RTOL)
    target = 127.5 + 255 * (0.8 * wave_input(list(images[0].shape))).float().double()
    loss = sum(F.l1_loss(255 * image, target) for image in images)
    assert_training(network, names, loss, entry['training'])


@pytest.mark.parametrize('name', [
    'RDN_small_x4',
    'RDN_small_x8',
    pytest.param('RDN_x4', marks=pytest.mark.slow),
    pytest.param('RDN_x8', marks=pytest.mark.slow),
])
def test_rdn(name):
    entry = GOLDEN_RIVALS[f'{name}_hash']
    config = entry['config']
    sizes = dict(num_feat=config['num_features'], num_block=config['num_blocks'], num_layer=config['num_layers'])
    network, names = filled(RDN(upscale=int(name[-1]), **sizes), entry)
    output = network(wave_input(entry['input_shape']).float().double())
    assert_digest(output, entry['output'], RTOL)
    target = (0.8 * wave_input(list(output.shape))).float().double()
    assert_training(network, names, F.l1_loss(output, target), entry['training'])


@pytest.mark.parametrize('name, options', [
    ('SPARNet-Light-Attn3D', dict(num_block=1, attention_3d=True)),
    pytest.param('SPARNet', {}, marks=pytest.mark.slow),
])  # yapf: disable
@pytest.mark.parametrize('mode', ['eval', 'train'])
def test_sparnet(name, options, mode):
    entry = GOLDEN_RIVALS[f'{name}_hash']
    record = entry['training'].get(mode, entry['training'])
    if record['mode'] != mode:
        pytest.skip('no figures of this mode')
    network, names = filled(SPARNet(**options), entry)
    output = network.train(mode == 'train').restore(wave_input(entry['input_shape']).float().double())
    if mode == 'eval':
        assert_digest(output, entry['output'], RTOL)
    target = (0.8 * wave_input(list(output.shape))).float().double()
    assert_training(network, names, F.l1_loss(output, target), record)
    for key, norm in record.get('after_one_pass_l2', {}).items():
        assert network.state_dict()[names[key]].norm().item() == pytest.approx(norm, rel=RTOL)


@pytest.mark.parametrize('mode', ['eval', 'train'])
@pytest.mark.parametrize('keypoints, parsing', [(68, 11), (0, 11), (68, 0)])
def test_fsrnet(keypoints, parsing, mode):
    entry = GOLDEN_RIVALS[f'FSRNet_h{keypoints}_p{parsing}_hash']
    record = entry.get('training', {}).get(mode)
    if mode == 'train' and record is None:
        pytest.skip('no figures of this mode')
    network, names = filled(FSRNet(num_keypoints=keypoints, num_parsing=parsing), entry)
    output = network.train(mode == 'train').restore(wave_input(entry['input_shape']).float().double())
    for part in ('coarse', 'prior', 'final') if mode == 'eval' else ():
        if part in entry:
            assert_digest(getattr(output, part), entry[part], RTOL)
    if record is None:
        return
    image, prior = ((0.8 * wave_input(list(part.shape))).float().double() for part in (output.final, output.prior))
    loss = F.mse_loss(output.coarse, image) + F.mse_loss(output.final, image) + F.mse_loss(output.prior, prior)
    assert_training(network, names, loss, record)
    for key, norm in record.get('after_one_pass_l2', {}).items():
        assert network.state_dict()[names[key]].norm().item() == pytest.approx(norm, rel=RTOL)


def unit(shape):
    """The reference's input in [0, 1]: the network turns it to [-1, 1]."""
    return (wave_input(shape).float().double() + 1) / 2


FADES = {'step1': (1, 1), 'step2': (2, 1), 'step3': (3, 1), 'step2_alpha0.3': (2, 0.3), 'step3_alpha0.3': (3, 0.3)}


@pytest.mark.parametrize('mode', ['eval', 'train'])
def test_pfsr_generator(mode):
    entry = GOLDEN_RIVALS['PFSR_G_hash']
    network, names = filled(PFSRGenerator(), entry)
    x = unit(entry['input_shape'])
    for key, (step, alpha) in FADES.items() if mode == 'eval' else ():
        with torch.no_grad():
            assert_digest(2 * network.eval()(x, step, alpha) - 1, entry[key], RTOL)
    output = 2 * network.train(mode == 'train')(x) - 1
    target = (0.8 * wave_input(list(output.shape))).float().double()
    record = entry['training'][mode]
    assert_training(network, names, F.l1_loss(output, target), record)
    for key, norm in record.get('after_one_pass_l2', {}).items():
        assert network.state_dict()[names[key]].norm().item() == pytest.approx(norm, rel=RTOL)


def test_pfsr_discriminator():
    entry = GOLDEN_RIVALS['PFSR_D_hash']
    network, names = filled(PFSRDiscriminator(), entry)
    with torch.no_grad():
        for key, (step, alpha) in FADES.items():
            assert_digest(network(unit([2, 3, 16 * 2**step, 16 * 2**step]), step, alpha), entry[key], RTOL)
    assert_training(network, names, network(unit(entry['input_shape'])).mean(), entry['training'])


@pytest.mark.slow
def test_gradient_penalty_of_pfsr():
    """Gradients of gradients, as its training needs them; the reference's images are in [-1, 1]."""
    entry = GOLDEN_RIVALS['PFSR_D_hash']
    network, names = filled(PFSRDiscriminator(), entry)
    x = wave_input(entry['input_shape']).float().double().requires_grad_()
    gradient, = torch.autograd.grad(network((x + 1) / 2).sum(), x, create_graph=True)
    norms = gradient.flatten(1).norm(dim=1)
    record = entry['gradient_penalty']
    assert norms.tolist() == pytest.approx(record['norms'], rel=RTOL)
    assert_training(network, names, (norms - 1).square().mean(), record)


def test_landmarks_of_pfsr():
    entry = GOLDEN_RIVALS['PFSR_FAN_hash']
    network, _ = filled(PFSRLandmarks(), entry)
    with torch.no_grad():
        assert_digest(network.eval()(0.5 + wave_input(entry['input_shape']).float().double()), entry['output'], RTOL)


def test_pfsr_refuses_what_it_cannot():
    with pytest.raises(ValueError, match='step=4; expected 1 to 3'):
        PFSRGenerator(num_feat=8)(torch.rand(1, 3, 16, 16), step=4)
    with pytest.raises(ValueError, match='the batch has 1 image; expected at least 2'):
        PFSRDiscriminator(num_feat=8)(torch.rand(1, 3, 128, 128))


def test_enlargement_is_pillows():
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (16, 16), np.uint8)).convert('F')
    expected = np.asarray(image.resize((128, 128), Image.Resampling.BICUBIC))
    found = enlarge(torch.from_numpy(np.array(image))[None, None], 8)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)


def bgr(shape):
    """The reference's input as RGB in [0, 1]: the network turns it to BGR in [-1, 1]."""
    return (wave_input(shape).float().double().flip(1) + 1) / 2


@pytest.mark.parametrize('mode', ['eval', 'train'])
def test_urdgn_generator(mode):
    entry = GOLDEN_RIVALS['URDGN_G_hash']
    network, names = filled(URDGNGenerator(), entry)
    record = entry['training'][mode]
    output = 2 * network.train(mode == 'train')(bgr(entry['input_shape'])).flip(1) - 1
    if mode == 'eval':
        assert_digest(output, entry['output'], RTOL)
    target = (0.8 * wave_input(list(output.shape))).float().double()
    assert_training(network, names, F.mse_loss(output, target), record)
    for key, norm in record.get('after_one_pass_l2', {}).items():
        assert network.state_dict()[names[key]].norm().item() == pytest.approx(norm, rel=RTOL)


def test_urdgn_discriminator():
    entry = GOLDEN_RIVALS['URDGN_D_hash']
    network, names = filled(URDGNDiscriminator(), entry)
    output = torch.sigmoid(network.eval()(bgr(entry['input_shape'])))
    assert_digest(output, entry['output'], RTOL)
    assert_training(network, names, F.binary_cross_entropy(output, torch.ones_like(output)), entry['training'])


def test_spatial_dropout_drops_whole_maps_and_scales_nothing_in_training():
    torch.manual_seed(0)
    dropout = URDGNDiscriminator().features[3].train()
    kept = dropout(torch.ones(50, 40, 2, 2)).flatten(2)
    assert torch.equal(kept.unique(), torch.tensor([0., 1.])) and torch.equal(kept.amin(2), kept.amax(2))
    assert kept.mean().item() == pytest.approx(0.8, abs=0.03)


def test_srresnet_goes_on_where_basicsrs_ends():
    """Its x4 part is that of MSRResNet: a third stage that only repeats pixels gives the x4 image enlarged."""
    network = SRResNet(num_feat=8, num_block=2).eval()
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 3, 128, 128)
    assert sum(p.numel() for p in SRResNet().parameters()) == 1_517_571 + 64 * 256 * 9 + 256
    with pytest.raises(ValueError, match='upscale=4; expected 8'):
        SRResNet(upscale=4)


@pytest.mark.parametrize('network, upscale', [(RDN, 5), (SRFBN, 3)])
def test_other_factors_are_refused(network, upscale):
    with pytest.raises(ValueError, match=f'upscale={upscale}; expected'):
        network(upscale=upscale)
