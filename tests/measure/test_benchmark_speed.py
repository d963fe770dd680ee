"""scripts/measure/speed.py: what it compares gives the same numbers, and it prints what it measures. Never time."""
import importlib
from pathlib import Path

import matplotlib.image
import pytest
import torch
import yaml

from dic_plugin.archs import DIC
from dic_plugin.ops import native, native_conv, native_is_available
from helpers.paths import ROOT
from speed_parts import growth, roofline
from speed_parts.devices import gpu_ways, inference_ways
from speed_parts.inference import compare_inference, psnr
from speed_parts.memory import peak_memory
from speed_parts.plain_dic import plain_forward
from speed_parts.training import compare_training

OPTIONS = dict(num_feat=8, num_groups=2, num_steps=2, hg_num_feat=16, num_fusion_block=1, projection_scale=4)
NETWORK = [f'{name}={value}' for name, value in OPTIONS.items()]


@pytest.fixture(scope='module')
def benchmark():
    return importlib.import_module('speed')


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DIC(**OPTIONS).eval()


@pytest.mark.parametrize('options', [{}, dict(num_groups=3, num_keypoints=194), dict(num_steps=1), dict(upscale=4)])
def test_plain_formulation_gives_every_steps_numbers(options):
    torch.manual_seed(0)
    network, x = DIC(**{**OPTIONS, **options}), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        plain = plain_forward(network, x)
        for is_native in (True, False):
            with native(is_native):
                ours = network(x, return_steps=True)
            for a, b in zip(ours.sr + ours.heatmap, plain.sr + plain.heatmap):
                assert (a - b).norm() <= 1e-5 * b.norm()


def test_every_way_gives_the_plain_image(network):
    results = compare_inference(network, torch.rand(2, 3, 16, 16), [1, 2], 1)
    assert [(result.batch, result.name) for result in results] == [(batch, name) for batch in (1, 2)
                                                                   for name in inference_ways(network)]
    for result in results:
        assert result.error <= (1e-4 if result.name in ('plain', 'fp32') else 0.1)
        if result.name == 'bf16':  # near, and not float32, in which a CPU without matrix units computes natively
            assert result.psnr > 30
            assert (result.psnr < 100) != (native_is_available() and not native_conv.bf16_level())


def test_every_way_gives_the_plain_gradients(network):
    plain, fp32, bf16 = compare_training(network, torch.rand(2, 3, 16, 16), 1)
    assert plain.error == 0 and fp32.error <= 1e-2 and 0 < bf16.error


def test_ways_without_time_are_missing(network):
    assert compare_inference(network, torch.rand(1, 3, 16, 16), [1], 1, until=0.) == []
    assert compare_training(network, torch.rand(1, 3, 16, 16), 1, until=0.) == []


@pytest.mark.parametrize('return_steps', [True, False])
def test_ways_of_a_gpu_give_the_plain_image(network, return_steps):
    """As far as a CPU goes: neither compiled nor recorded."""
    ways, x = gpu_ways(network, return_steps), torch.rand(2, 3, 16, 16)
    assert {'plain', 'tf32', "bf16, torch's operations", 'fp16, channels_last', 'bf16, compile'} < set(ways)
    assert any('CUDA graph' in name for name in ways) != return_steps
    with torch.no_grad():
        expected = ways['plain'].forward(x).sr[-1]
        for name, way in ways.items():
            assert (way.most < 64) == ('CUDA graph' in name)
            if 'compile' not in name and 'CUDA graph' not in name:
                out = way.forward(way.place(x))
                error = ((out.sr[-1] if return_steps or name == 'plain' else out) - expected).abs().max()
                assert error <= (0.1 if name[:4] in ('bf16', 'fp16') else 1e-4)


def test_psnr():
    image = torch.zeros(1, 3, 4, 4)
    assert psnr(image + 0.1, image) == pytest.approx(20, abs=1e-4)
    assert psnr(image - 1, image) == float('inf')  # clipped


def test_stages_add_up_and_count_every_convolution(network):
    machine = roofline.Peak(gflops=2., gigabytes=4.)
    ticks = iter(range(10**6))
    *stages, total = roofline.measure_stages(network, torch.rand(1, 3, 16, 16), 1, machine, lambda: next(ticks))
    assert {'up-projections', 'down-projections', 'attentive fusion', 'hourglass: body'} < {s.name for s in stages}
    work = {stage.name: stage for stage in stages}
    # two steps, two groups, 32x32 input pixels, 8 to 8 channels, kernel 8
    assert work['up-projections'].gflop == pytest.approx(2 * 2 * 2 * 32 * 32 * 8 * 8 * 8 * 8 / 1e9)
    assert work['up-projections'].least == max(work['up-projections'].gflop / 2, work['up-projections'].gigabytes / 4)
    assert total.gflop == pytest.approx(sum(stage.gflop for stage in stages))
    assert [stage.seconds for stage in stages] == sorted((stage.seconds for stage in stages), reverse=True)


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='peak memory is read from /proc (Linux)')
def test_memory_is_of_the_case_that_is_asked_for(tmp_path):
    few, many = (peak_memory(batch, plain=True, **OPTIONS) for batch in (1, 16))
    assert 0 < few < many
    with pytest.raises(RuntimeError, match='num_feat=0'):
        peak_memory(1, num_feat=0)
    costs = growth.measure_growth(1, {'num_steps': (1, 2)}, {k: v for k, v in OPTIONS.items() if k != 'num_steps'})
    assert [(cost.axis, cost.value) for cost in costs] == [('num_steps', 1), ('num_steps', 2)]
    growth.plot_growth(costs, str(tmp_path / 'growth.png'))
    assert matplotlib.image.imread(tmp_path / 'growth.png').ndim == 3


def test_command(benchmark, tmp_path, capsys):
    opt = yaml.safe_load(
        (ROOT / 'options' / 'train_DIC.yml').read_text().replace('!!python/name:dic_plugin.__version__', "''"))
    del opt['plugin']
    opt['network_g'].update(OPTIONS)
    opt['datasets']['train'].update(num_images=2, batch_size_per_gpu=1, num_worker_per_gpu=0, persistent_workers=False)
    opt['logger']['print_freq'] = 1
    (tmp_path / 'tiny.yml').write_text(yaml.safe_dump(opt))
    arguments = ['--rounds', '1', '--batches', '1', '--network', *NETWORK, '--opt', str(tmp_path / 'tiny.yml')]
    assert benchmark.main([*arguments, '--iterations', '1', '--parts', 'inference', 'training', 'stages', 'loop']) == 0
    out = capsys.readouterr().out
    assert '| 1 | plain | ' in out and '| fp32 | ' in out and '| sum | ' in out and 'with one cached batch' in out


@pytest.mark.parametrize('arguments, message', [
    (['--rounds', '0'], 'must be at least 1'),
    (['--network', 'num_feat'], 'expected OPTION=NUMBER'),
    (['--network', 'num_feats=8'], 'DIC has no option num_feats; expected one of num_in_ch, '),
    (['-w', 'missing.pth'], 'missing.pth: no such file'),
    (['-w', 'missing.pth', '--network', 'num_feat=8'], 'the weights say'),
    (['--device', 'cuda', '--parts', 'memory'], 'no GPU' if not torch.cuda.is_available() else 'on the CPU only'),
])
def test_bad_arguments(benchmark, capsys, arguments, message):
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert message in capsys.readouterr().err
