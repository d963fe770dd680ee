"""amp, channels_last and compile in every model: training, resuming, validation, EMA, DDP, layouts, refusals."""
from copy import deepcopy

import pytest
import torch
from basicsr.models import build_model
from torch import nn

from dic_plugin.models import speed_options
from dic_plugin.ops import native_conv
from dic_plugin.utils.option_check import OptionError, check_options
from helpers.tiny_training import NETWORKS, build, one_process, options, resume, same, step, validate, weights

SPEED = [dict(amp='bf16'), dict(channels_last=False), dict(compile=True)]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


@pytest.fixture
def graphs(monkeypatch):
    """Return what was compiled, graph by graph; without machine code, which would take a minute each."""
    torch._dynamo.reset()
    compiled, in_place = [], nn.Module.compile

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, 'compile', lambda net: in_place(net, backend=backend))
    return compiled


# ------------------------------------------------------------------ every option, every model
@pytest.mark.parametrize('recipe', list(NETWORKS))
def test_options_are_only_read(tmp_path, recipe):
    opt = options(tmp_path, recipe)
    before = deepcopy(opt)
    step(build(opt), [1])
    assert opt == before


@pytest.mark.slow
@pytest.mark.parametrize('speed', [{}, *SPEED], ids=str)
@pytest.mark.parametrize('recipe', list(NETWORKS))
def test_trains_resumes_and_validates(tmp_path, graphs, recipe, speed):
    opt = options(tmp_path, recipe, **speed)
    whole = build(opt)
    start = weights(whole)
    step(whole, [1, 2])
    whole.save(0, 2)
    step(whole, [3, 4])
    assert all(torch.isfinite(value).all() for value in weights(whole)) and not same(start, weights(whole))
    assert all(map(torch.isfinite, map(torch.tensor, whole.get_current_log().values())))
    resumed = resume(tmp_path, recipe, 2, **speed)
    step(resumed, [3, 4])
    assert same(weights(whole), weights(resumed))
    assert bool(graphs) == ('compile' in speed)
    assert set(validate(whole, opt)) == set(opt['val']['metrics'])
    assert whole.net_g.training


@pytest.mark.slow
@pytest.mark.parametrize('speed', [*SPEED, dict(amp='bf16', compile=True), dict(network=dict(use_checkpoint=True)),
                                   dict(amp='bf16', network=dict(use_checkpoint=True))], ids=str)  # yapf: disable
def test_distributed_with_a_frozen_hourglass(tmp_path, graphs, speed):
    model = build(options(tmp_path, 'train_DICGAN', **speed))
    hourglass, recovery = weights(model, 'hourglass.'), weights(model, 'first_block.')
    with one_process(tmp_path, model):
        step(model, [1, 2, 3])
        assert same(hourglass[:len(hourglass) // 2], weights(model, 'hourglass.')[:len(hourglass) // 2])
        assert not same(recovery, weights(model, 'first_block.'))
        whole = weights(model)
    alone = build(options(tmp_path, 'train_DICGAN', **speed))
    step(alone, [1, 2, 3])
    assert all(torch.allclose(*pair, rtol=1e-3, atol=1e-4) for pair in zip(whole, weights(alone)))


@pytest.mark.slow
@pytest.mark.parametrize('recipe', ['train_DIC', 'train_hourglass'])
@pytest.mark.parametrize('speed', SPEED, ids=str)
def test_testing(tmp_path, graphs, recipe, speed):
    plain_opt, opt = options(tmp_path, recipe, is_train=False), options(tmp_path, recipe, is_train=False, **speed)
    del plain_opt['train'], opt['train']
    plain, fast = validate(build(plain_opt), plain_opt), validate(build(opt), opt)
    for name in set(plain) & {'psnr', 'ssim'}:  # an untrained network's peaks are anywhere
        assert fast[name] == pytest.approx(plain[name], rel=0.02)
    assert bool(graphs) == ('compile' in speed)


@pytest.mark.parametrize('speed, message', [
    (dict(amp='half'), "amp is 'half'; expected bf16 or fp16"),
    (dict(amp=True), 'amp is True; expected bf16 or fp16'),
    (dict(amp=['bf16']), r"amp is \['bf16'\]; expected bf16 or fp16"),
    (dict(amp='fp16'), 'amp is fp16, which is for GPUs, and num_gpu is 0; expected bf16 on a CPU'),
    (dict(channels_last='maybe'), "channels_last is 'maybe'; expected true or false"),
    (dict(compile=1), 'compile is 1; expected true or false'),
    (dict(amp='fp16', num_gpu=2), 'amp is fp16, but num_gpu is 2 without a distributed launch'),
    (dict(compile=True, num_gpu=2), 'compile is true, but num_gpu is 2 without a distributed launch'),
    (dict(amb='bf16'), "amb: no such option; did you mean 'amp'"),
    (dict(channel_last=True), "channel_last: no such option; did you mean 'channels_last'"),
])
@pytest.mark.parametrize('recipe', ['train_DICGAN', 'train_landmarks'])
def test_impossible_options_are_named(tmp_path, recipe, speed, message):
    with pytest.raises(OptionError, match=message):
        build_model(options(tmp_path, recipe, **speed))


def test_what_gpu_and_torch_lack_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.version, 'cuda', '12.0')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'Old GPU')
    with pytest.raises(OptionError, match='amp is bf16, which Old GPU cannot compute; expected fp16'):
        build_model(options(tmp_path, amp='bf16', num_gpu=1))


@pytest.mark.parametrize('recipe', list(NETWORKS))
@pytest.mark.parametrize('is_train', [True, False])
def test_survive_the_check_of_option_files(tmp_path, recipe, is_train):
    check_options(options(tmp_path, recipe, is_train, amp='fp16', channels_last=True, compile=False), is_train)


# ------------------------------------------------------------------ channels_last
def convolutions(net):
    return [layer.weight for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]


@pytest.mark.parametrize('recipe', ['train_DIC', 'train_hourglass'])
@pytest.mark.parametrize('level, speed, order', [
    (2, {}, 'native'),
    (0, {}, 'channels_last'),
    (2, dict(amp='bf16'), 'channels_last'),
    (2, dict(channels_last=False), 'contiguous'),
])
def test_weights_are_laid_out_for_who_reads_them(tmp_path, monkeypatch, recipe, level, speed, order):
    monkeypatch.setattr(native_conv, 'level', lambda: level)
    model = build(options(tmp_path, recipe, **speed))
    # training under autocast is torch's; validation, without gradients, is not
    for net, order in ((model.net_g, order), (model.net_g_ema, 'native' if speed.get('amp') else order)):
        for weight in convolutions(net):
            if order == 'native':
                assert (weight.permute(2, 3, 0, 1).is_contiguous() or weight.permute(2, 3, 1, 0).is_contiguous())
            elif order == 'channels_last':
                assert weight.is_contiguous(memory_format=torch.channels_last)
            else:
                assert weight.is_contiguous()


def test_a_run_may_be_resumed_in_another_layout(tmp_path):
    """The optimizer's state then lies in memory as the weights did, not as they do."""
    whole = build(options(tmp_path, channels_last=False))
    step(whole, [1, 2])
    whole.save(0, 2)
    step(whole, [3])
    resumed = resume(tmp_path, 'train_DIC', 2)
    step(resumed, [3])
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(weights(whole), weights(resumed)))


def test_compiled_networks_and_others_are_laid_out_apart(tmp_path, monkeypatch, graphs):
    monkeypatch.setattr(native_conv, 'level', lambda: 2)
    model = build(options(tmp_path, compile=True))
    is_channels_last = [[weight.is_contiguous(memory_format=torch.channels_last) for weight in convolutions(net)]
                        for net in (model.net_g, model.net_g_ema)]  # yapf: disable
    assert all(is_channels_last[0]) and not all(is_channels_last[1])


@pytest.mark.parametrize('given, device, expected', [
    (None, 'cpu', True),
    (None, 'cuda', False),
    (True, 'cuda', True),
    (False, 'cpu', False),
])
def test_default_layout(given, device, expected):
    assert speed_options.uses_channels_last(dict(channels_last=given), torch.device(device)) == expected


@pytest.mark.slow
# ------------------------------------------------------------------ compile
@pytest.mark.parametrize('ema_decay', [0, 0.5])
def test_compiles_what_is_trained_and_nothing_else(tmp_path, graphs, ema_decay):
    opt = options(tmp_path, 'train_DICGAN', compile=True, train=dict(ema_decay=ema_decay))
    model = build(opt)
    plain = build({**opt, 'compile': False})
    assert list(model.net_g.state_dict()) == list(plain.net_g.state_dict())
    step(model, [1, 2, 3])
    number = len(graphs)
    assert number >= 4  # of both networks at least one with and one without gradients for their weights
    step(model, [4, 5])
    validate(model, opt)  # batches of 2 and 1
    assert len(graphs) == number


@pytest.mark.slow
def test_compiled_training_is_the_same(tmp_path, graphs):
    compiled, plain = build(options(tmp_path, compile=True)), build(options(tmp_path))
    step(compiled, [1, 2])
    step(plain, [1, 2])
    assert graphs
    assert compiled.get_current_log() == pytest.approx(plain.get_current_log(), rel=1e-3)


# ------------------------------------------------------------------ GPU
@needs_gpu
@pytest.mark.parametrize('speed', [dict(amp='fp16'), dict(amp='bf16'), dict(channels_last=True),
                                   dict(amp='fp16', channels_last=True)], ids=str)  # yapf: disable
@pytest.mark.parametrize('recipe', list(NETWORKS))
def test_gpu_trains_and_resumes(tmp_path, recipe, speed):
    opt = options(tmp_path, recipe, num_gpu=1, **speed)
    model = build(opt)
    step(model, [1, 2])
    if speed.get('channels_last'):
        assert model.lq.is_contiguous(memory_format=torch.channels_last)
    model.save(0, 2)
    resumed = resume(tmp_path, recipe, 2, num_gpu=1, **speed)
    assert model.scaler_g.state_dict() == resumed.scaler_g.state_dict()
    step(resumed, [3])
    assert all(torch.isfinite(value).all() for value in weights(resumed))
    assert set(validate(resumed, opt)) == set(opt['val']['metrics'])
