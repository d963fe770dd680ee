"""Published checkpoints: the names, what is recognised, the options derived, and what is refused with which message.

Files are made from the published lists of tensors (tests/data/keys.tsv). A small DIC is the paper's list with fewer
groups and blocks and smaller sizes, so that the published figures of the small network check the converted values.
"""
import os
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import yaml

from dic_plugin.archs import DIC, FeedbackHourglass, StackedHourglass
from dic_plugin.checkpoints.files import load_params, load_tensors
from dic_plugin.checkpoints.published import convert, option_lines
from dic_plugin.checkpoints.published_names import (
    openmmlab_light_cnn_name,
    openmmlab_name,
    published_hourglass_name,
    published_name,
)
from dic_plugin.cli import convert as convert_command
from helpers import forked
from helpers.paths import ROOT
from helpers.reference import GOLDEN, assert_digest, fill, published_shapes, wave_input

SCRIPT = ROOT / 'scripts' / 'convert_checkpoint.py'
SMALL = dict(num_feat=8, num_groups=3, upscale=8, hg_num_feat=16, num_keypoints=68, num_fusion_block=2)
PAPER = dict(num_feat=48, num_groups=6, upscale=8, hg_num_feat=256, num_keypoints=68, num_fusion_block=7)
EVALUATOR = dict(num_feat=256, num_stacks=4, num_keypoints=68)


def small_shapes(hg_num_feat=16, num_keypoints=68):
    """The published list of the golden figures' small network: 8 features, 3 groups, 2 fusion blocks."""
    shapes = OrderedDict()
    for key, shape in published_shapes('DIC').items():
        number = re.search(r'(?:(up|down)Blocks|(up|down)tranBlocks|resnet)\.(\d+)\.', key)
        limit = 2 if number is None or not number.group(1) else 3  # one transition less than groups
        if number is not None and int(number.group(3)) >= limit:
            continue
        if key.startswith('HG.'):
            shape = [size * hg_num_feat // 256 if size % 64 == 0 else size for size in shape]
            shape = [num_keypoints if size == 68 else size for size in shape]
        else:
            shape = [size // 6 if size >= 48 else size for size in shape]
            if 'compress_out.0.weight' in key:
                shape[1] = 3 * 8
        shapes[key] = tuple(shape)
    return shapes


def small_dic():
    return fill(small_shapes())


def empty(shapes):
    """Tensors without memory."""
    return OrderedDict((key, torch.empty(shape, device='meta')) for key, shape in shapes.items())


def zeros(shapes):
    """Tensors that take a single number's place in a file."""
    return OrderedDict((key, torch.zeros(()).expand(shape)) for key, shape in shapes.items())


def openmmlab_order():
    """OpenMMLab's name of every published tensor by no rule of the converter's: both come in the same order, but for
    the last layers of the recovery branch, which OpenMMLab registers at the end."""
    published = list(published_shapes('DIC'))
    last = [key for key in published if key.startswith(('out.', 'conv_out.'))]
    return dict(zip([key for key in published if key not in last] + last, published_shapes('MMagic_DICNet')))


def of_openmmlab(params):
    names = openmmlab_order()
    return OrderedDict((names[key], value) for key, value in params.items())


def prefixed(prefix, params):
    return OrderedDict((prefix + key, value) for key, value in params.items())


def hourglass_of(params):
    return OrderedDict((key[3:], value) for key, value in params.items() if key.startswith('HG.'))


def assert_same(actual, expected):
    assert set(actual) == set(expected)
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


@pytest.fixture
def source(tmp_path):
    """Saves a checkpoint and gives its path."""

    def save(content):
        path = tmp_path / 'in.pth'
        torch.save(content, path)
        return str(path)

    return save


# ---------------------------------------------------------------- names
def test_every_published_name_is_met_by_its_own_tensor():
    """Shapes repeat, so the order of registration, which is the same here and there, shows which tensor is which."""
    ours = {key: tuple(value.shape) for key, value in DIC().state_dict().items()}
    assert [(published_name(key), shape) for key, shape in ours.items()] == list(published_shapes('DIC').items())
    assert {openmmlab_name(key): shape for key, shape in ours.items()} == published_shapes('MMagic_DICNet')
    assert {published_name(key): openmmlab_name(key) for key in ours} == openmmlab_order()
    light_cnn = [(openmmlab_light_cnn_name(key), shape)
                 for key, shape in published_shapes('LightCNN_discriminator').items()]
    assert light_cnn == list(published_shapes('MMagic_LightCNN').items())
    hourglass = {published_hourglass_name(key): tuple(value.shape)
                 for key, value in FeedbackHourglass().state_dict().items()}  # yapf: disable
    assert hourglass == hourglass_of(published_shapes('DIC'))


# ---------------------------------------------------------------- recognition
@pytest.mark.parametrize('network, kind', [
    ('DIC', 'DIC'),
    ('MMagic_DICNet', 'DIC'),
    ('LightCNN_discriminator', 'LightCNN_discriminator'),
    ('MMagic_LightCNN', 'LightCNN_discriminator'),
    ('LightCNN_feature', 'LightCNN_feature'),
    ('StackedHourGlass_HG_68_CelebA', 'StackedHourglass'),
])  # yapf: disable
def test_every_published_network_is_recognised(network, kind):
    converted = convert(empty(published_shapes(network)))
    assert converted.kind == kind
    assert converted.options == {'DIC': PAPER, 'StackedHourglass': EVALUATOR}.get(kind, {})
    assert converted.notes == []
    if network.startswith('LightCNN'):  # keeps its names
        assert {key: tuple(value.shape) for key, value in converted.params.items()} == published_shapes(network)


def test_evaluator_gives_the_published_figures():
    entry = GOLDEN['stacked_hourglass']
    converted = convert({'state_dict': fill(published_shapes('StackedHourGlass_HG_68_CelebA'))})
    network = StackedHourglass(**converted.options).eval()
    network.load_state_dict(converted.params)
    network.mean.zero_()  # the reference's input is mean-subtracted
    with torch.no_grad():
        assert_digest(network(wave_input([2, 3, 128, 128]).float()), entry['output'])


def test_light_cnn_gets_the_papers_names():
    shapes = published_shapes('LightCNN_discriminator').items()
    shaped = {key: torch.tensor(float(number)).expand(shape) for number, (key, shape) in enumerate(shapes)}
    openmmlab = OrderedDict(zip(published_shapes('MMagic_LightCNN'), shaped.values()))
    assert_same(convert(openmmlab).params, shaped)
    features = OrderedDict((key, value) for key, value in openmmlab.items() if key.startswith('features.'))
    converted = convert({'state_dict': features})
    assert converted.kind == 'LightCNN_feature'
    assert_same(converted.params, {key: value for key, value in shaped.items() if key.startswith('features.')})


@pytest.mark.parametrize('wrap', [
    lambda params: params,
    lambda params: prefixed('module.', params),
    lambda params: {'state_dict': params, 'step': 150000, 'optimizer': {}, 'records': {'psnr': [27.4]}},
    lambda params: {'state_dict': prefixed('module.', params)},
    lambda params: {'netG': params, 'netD': zeros(published_shapes('LightCNN_discriminator')), 'epoch': 3},
    lambda params: {'netG': prefixed('module.', params)},
    of_openmmlab,
    lambda params: {'meta': {'epoch': 1}, 'state_dict': prefixed('generator.', of_openmmlab(params))},
    lambda params: {'state_dict': {**prefixed('generator.', of_openmmlab(params)),
                                   **prefixed('discriminator.', zeros(published_shapes('MMagic_LightCNN'))),
                                   'feature_loss.model.features.0.filter.bias': torch.zeros(96)}},
], ids=['bare', 'module', 'state_dict', 'state_dict, module', 'netG and netD', 'netG, module', 'OpenMMLab bare',
        'OpenMMLab DIC', 'OpenMMLab DICGAN'])  # yapf: disable
def test_dic_in_every_wrapper(source, wrap):
    published = small_dic()
    converted = convert(load_tensors(source(wrap(published))))
    assert converted.kind == 'DIC'
    assert converted.options == SMALL
    assert converted.discriminator is None
    assert_same({published_name(key): value for key, value in converted.params.items()}, published)


@pytest.mark.parametrize('options', [
    dict(num_feat=6, num_groups=1, upscale=8, hg_num_feat=24, num_keypoints=194, num_fusion_block=1),
    dict(num_feat=5, num_groups=12, upscale=4, hg_num_feat=8, num_keypoints=5, num_fusion_block=11),
    dict(num_feat=4, num_groups=2, upscale=8, hg_num_feat=8, num_keypoints=68, num_fusion_block=3, projection_scale=2),
], ids=str)  # yapf: disable
@pytest.mark.parametrize('name', [published_name, openmmlab_name])
def test_options_are_read_off_any_dic(options, name):
    state = DIC(**options).state_dict()
    converted = convert({name(key): value for key, value in state.items()})
    assert converted.options == options
    assert_same(converted.params, state)


def test_other_groups_of_landmarks_are_asked_for():
    groups = [['0-3'], ['4-7'], ['8-9']]
    options = dict(num_feat=4, num_groups=2, upscale=8, hg_num_feat=8, num_keypoints=10, num_fusion_block=1)
    state = DIC(**options, component_groups=groups).state_dict()
    converted = convert({published_name(key): value for key, value in state.items()})
    assert converted.options == options
    note, = converted.notes
    assert re.match('component_groups has to be given as well: the weights have 3 groups of the 10 landmarks', note)


def test_option_lines_are_an_option_block():
    block = yaml.safe_load('\n'.join(option_lines(convert(small_dic()))))
    assert block == {'network_g': dict(SMALL, type='DIC', num_steps=4)}
    hourglass = convert(hourglass_of(small_dic()))
    block = yaml.safe_load('\n'.join(option_lines(hourglass)))
    assert block == {'network_g': dict(hg_num_feat=16, num_keypoints=68)}
    assert hourglass.kind == 'FeedbackHourglass'
    FeedbackHourglass(**hourglass.options).load_state_dict(hourglass.params)
    assert option_lines(convert(empty(published_shapes('LightCNN_feature')))) == []


# ---------------------------------------------------------------- values
def check_figures(params, entry, options, steps):
    network = DIC(**options)
    network.load_state_dict(params)
    network.mean.zero_()  # the reference's inputs and outputs are mean-subtracted
    network.num_steps = steps
    with torch.no_grad():
        output = network(wave_input(entry['input_shape']).float(), return_steps=True)
    for sr, digest in zip(output.sr, entry['sr']):
        assert_digest(sr, digest)
    for heatmap, digest in zip(output.heatmap, entry['heatmap']):
        assert_digest(heatmap, digest)


def test_converted_networks_give_the_published_figures(source, tmp_path, capsys):
    small = convert(small_dic())
    check_figures(small.params, GOLDEN['small'], small.options, 2)
    target = str(tmp_path / 'new' / 'out.pth')
    assert convert_command.main([source({'state_dict': fill(published_shapes('DIC'))}), target]) == 0
    check_figures(load_params(target), GOLDEN['paper'], {}, 1)
    printed = capsys.readouterr().out
    assert 'DIC, 296 tensors, 21.80 M numbers' in printed
    assert 'network_g:\n  type: DIC\n  num_feat: 48\n' in printed
    assert 'num_steps: 4  # cannot be seen in the weights' in printed


# ---------------------------------------------------------------- the command
@pytest.mark.parametrize('network, wrap', [
    ('LightCNN_discriminator', lambda generator, critic: {'netG': generator, 'netD': critic}),
    ('LightCNN_discriminator', lambda generator, critic: {'netG': generator, 'netD': prefixed('module.', critic)}),
    ('MMagic_LightCNN', lambda generator, critic: {'state_dict': {
        **prefixed('generator.', of_openmmlab(generator)), **prefixed('discriminator.', critic)}}),
])  # yapf: disable
def test_discriminator_goes_to_its_own_file(source, tmp_path, network, wrap):
    target, other = str(tmp_path / 'out.pth'), str(tmp_path / 'out_d.pth')
    path = source(wrap(small_dic(), zeros(published_shapes(network))))
    assert convert_command.main([path, target, '--discriminator', other]) == 0
    assert_same({published_name(key): value for key, value in load_params(target).items()}, small_dic())
    assert {key: tuple(value.shape) for key, value in load_params(other).items()} == \
        published_shapes('LightCNN_discriminator')
    assert sorted(os.listdir(tmp_path)) == ['in.pth', 'out.pth', 'out_d.pth']


def changed(drop='(?!)', params=None, **add):
    """The small DIC without the tensors that match ``drop``, and with others."""
    params = small_dic() if params is None else params
    return {**{key: value for key, value in params.items() if not re.search(drop, key)}, **add}


REFUSED = [
    ('no tensors', {'epoch': 3}, 'the file holds no state dict but epoch; expected DIC or DICGAN'),
    ('a list', [torch.ones(1)], 'the file holds no state dict but list'),
    ('empty', {}, 'the file holds no state dict but nothing'),
    ('BasicSR', {'params': small_dic()}, "has `params`, so it is in BasicSR's format already"),
    ('no netD', {'netG': small_dic(), 'netD': None}, '`netD` holds no state dict'),
    ('missing', changed(r'block.fusion_block.resnet.0.res.2.bias'),
     'a published DIC; 1 missing: block.fusion_block.resnet.0.res.2.bias.'),
    ('missing, sizes are read from it', changed('first_block.compress_in.0.bias'),
     'a published DIC; 1 missing: first_block.compress_in.0.bias.'),
    ('missing group', changed(r'(up|down)Blocks\.1'),
     'DIC; 12 missing: first_block.upBlocks.1.0.weight, first_block.upBlocks.1.0.bias, '
     'first_block.upBlocks.1.1.weight, ....\n'),
    ('missing hourglass', changed('^HG'),
     'missing: HG.pre_conv_block.0.weight, HG.pre_conv_block.0.bias, HG.pre_conv_block.2.conv_block.0.weight, ...'),
    ('surplus', changed(**{'block.extra': torch.ones(1)}), 'a published DIC; 1 surplus: block.extra.'),
    ('partly module', {**prefixed('module.', small_dic()), 'HG.x': torch.ones(1)}, 'missing: conv_in.0.weight'),
    ('shape that sizes are read from', changed(**{'first_block.compress_in.0.bias': torch.zeros(9)}),
     'a published DIC; 1 of another shape: first_block.compress_in.0.bias (9,) instead of (8,).'),
    ('impossible shapes', {key: value[:0] if value.dim() else value for key, value in small_dic().items()},
     'looks like DIC, but no DIC has such shapes: num_feat=0: expected at least 1'),
    ('missing of OpenMMLab', {
        'state_dict': prefixed('generator.', changed('conv_last.2.bias', of_openmmlab(small_dic())))
    },
     'a published DIC; 1 missing: generator.conv_last.2.bias.'),
    ('hourglass missing', changed('compress_in.bias', hourglass_of(small_dic())),
     'a published FeedbackHourglass; 1 missing: compress_in.bias.'),
    ('evaluator missing', changed('hg2_lin1.*mean', zeros(published_shapes('StackedHourGlass_HG_68_CelebA'))),
     'a published StackedHourglass; 1 missing: hg2_lin1.conv_block.1.running_mean.'),
]  # yapf: disable


@pytest.mark.parametrize('content, message', [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_files(source, tmp_path, capsys, content, message):
    path = source(content)
    target = tmp_path / 'out.pth'
    target.write_bytes(b'of before')
    assert convert_command.main([path, str(target)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f'error: {path}: ') and message in printed.err and printed.out == ''
    assert target.read_bytes() == b'of before'
    assert sorted(os.listdir(tmp_path)) == ['in.pth', 'out.pth']


@pytest.mark.parametrize('content, message', [
    ({'state_dict': small_dic()}, 'there is no discriminator beside DIC'),
    ({'netG': small_dic(), 'netD': small_dic()}, 'these are names of DIC: conv_in.0.weight, conv_in.0.bias, '
     'conv_in.1.weight, ...; expected LightCNN_discriminator'),
    ({'netG': small_dic(), 'netD': {'a': torch.ones(1)}}, 'no published network has these names: a; expected '
     'LightCNN_discriminator'),
], ids=['DIC', 'DIC as discriminator', 'unknown'])  # yapf: disable
def test_discriminator_that_is_not_there(source, tmp_path, capsys, content, message):
    targets = [str(tmp_path / 'a.pth'), '--discriminator', str(tmp_path / 'b.pth')]
    assert convert_command.main([source(content), *targets]) == 1
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == ['in.pth']


def test_discriminator_is_not_looked_into_unless_asked_for():
    assert convert({'netG': small_dic(), 'netD': {'a': torch.ones(1)}}).kind == 'DIC'


@pytest.mark.parametrize('same', ['source', 'discriminator', 'linked'])
def test_files_must_differ(source, tmp_path, capsys, same):
    path = source(small_dic())
    before = Path(path).read_bytes()
    linked = tmp_path / 'linked.pth'
    linked.symlink_to(path)
    target = {'source': os.path.relpath(path), 'discriminator': str(tmp_path / 'd.pth'), 'linked': str(linked)}[same]
    assert convert_command.main([path, target, *(['--discriminator', target] if same == 'discriminator' else [])]) == 1
    assert 'expected different files' in capsys.readouterr().err
    assert Path(path).read_bytes() == before and linked.is_symlink() and not (tmp_path / 'd.pth').exists()


def test_target_that_cannot_be_written(source, tmp_path, capsys):
    assert convert_command.main([source(small_dic()), str(tmp_path)]) == 1
    assert tmp_path.name in capsys.readouterr().err


class Hostile:

    def __reduce__(self):
        return os.mkdir, ('executed', )


def test_hostile_file_as_a_process(source, tmp_path):
    source({'state_dict': small_dic(), 'x': Hostile()})
    said = forked.run([SCRIPT, 'in.pth', 'out.pth'], code=1, cwd=tmp_path)
    assert re.search(fr'\Aerror: in.pth: .* also holds {os.name}.mkdir', said)
    assert said.count('\n') == 1  # so nothing on standard output, and no traceback
    assert 'Traceback' not in said
    assert os.listdir(tmp_path) == ['in.pth']
