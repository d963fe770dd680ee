"""The ONNX file gives the results of PyTorch, describes itself, and a wrong one never replaces a good one."""
import importlib
import os
import sys
from pathlib import Path

import pytest
import torch

from dic_plugin.cli.export import main
from dic_plugin.export import onnx_file
from dic_plugin.export.onnx_file import Difference, ExportError, export_onnx, onnx_difference
from dic_plugin.inference import FaceRestorer
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from helpers.inference_weights import save_weights, tiny_network
from onnx_parts import Speed, compare_speed, speed_lines

for package in ('onnx', 'onnxscript', 'onnxruntime'):
    pytest.importorskip(package, reason=f'the tests of the export to ONNX need {package}')
if torch.torch_version.TorchVersion(torch.__version__) < onnx_file.FIRST_TORCH:
    pytest.skip('the export to ONNX needs a newer torch', allow_module_level=True)

import onnx  # noqa: E402
import onnxruntime  # noqa: E402

RECORD = {'network': {'num_steps': 2}, 'trained_on': ['celeba', 'FaceLandmarkDataset']}


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp('weights') / 'net_g_latest.pth', RECORD)


@pytest.fixture(scope='module')
def exported(weights):
    """The file that the command makes of tiny weights, beside them."""
    assert main(['-w', weights]) == 0
    return str(Path(weights).with_suffix('.onnx'))


@pytest.mark.parametrize('batch', [1, 3])
def test_onnx_runtime_agrees_with_pytorch(weights, exported, batch):
    network = FaceRestorer(weights, 'cpu').network
    lq = torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(batch))
    with torch.no_grad():
        output = network(lq, return_steps=True)
    session = onnxruntime.InferenceSession(exported, providers=['CPUExecutionProvider'])
    sr, landmarks = session.run(['sr', 'landmarks'], {'lq': lq.numpy()})
    assert sr.shape == (batch, 3, 128, 128) and landmarks.shape == (batch, 68, 2)
    torch.testing.assert_close(torch.from_numpy(sr), output.sr[-1], atol=1e-4, rtol=0)
    expected = decode_heatmaps(output.heatmap[-1])
    assert expected.std() > 1  # they are not all in one corner
    torch.testing.assert_close(torch.from_numpy(landmarks) / 128, expected / 128, atol=1e-4, rtol=0)


def test_metadata_and_no_local_paths(exported):
    session = onnxruntime.InferenceSession(exported, providers=['CPUExecutionProvider'])
    assert [(value.name, value.shape) for value in session.get_inputs()] == [('lq', ['batch', 3, 16, 16])]
    about = session.get_modelmeta().custom_metadata_map
    expected = dict(num_steps='2', num_keypoints='68', landmark_order='ibug68', upscale='8', input_size='16')
    expected |= dict(weights='net_g_latest.pth', trained_on='celeba, FaceLandmarkDataset')
    assert {key: about.get(key) for key in expected} == expected and '0 to 1' in about['input_range']
    content = Path(exported).read_bytes()
    assert str(Path(onnx_file.__file__).parents[1]).encode() not in content and b'stack_trace' not in content


def test_the_command_prints_the_difference_and_the_file(weights, tmp_path, capsys):
    target = tmp_path / 'new' / 'dic.onnx'
    assert main(['-w', weights, '-o', str(target), '--size', '8', '--steps', '1', '--opset', '18']) == 0
    out = capsys.readouterr().out
    assert 'lq: B,3,8,8' in out and 'sr: B,3,64,64' in out and '1 steps' in out
    assert 'largest difference' in out and f'wrote {target}' in out
    assert [path.name for path in target.parent.iterdir()] == ['dic.onnx']
    model = onnx.load(str(target))  # as old as ONNX Runtime 1.14 can read
    assert ([(each.domain, each.version) for each in model.opset_import], model.ir_version) == ([('', 18)], 8)


def test_home_is_found(weights, no_trace, tmp_path, monkeypatch):
    home, here = tmp_path / 'home', tmp_path / 'here'
    home.mkdir()
    here.mkdir()
    (home / 'net.pth').write_bytes(Path(weights).read_bytes())
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.chdir(here)
    for options in ([], ['--output=~/dic.onnx']):
        assert main(['--weights=~/net.pth', *options, '--no-check']) == 0
    assert sorted(path.name for path in home.iterdir()) == ['dic.onnx', 'net.onnx', 'net.pth']
    assert list(here.iterdir()) == []


def test_comparison_finds_another_networks_file(exported):
    difference = onnx_difference(tiny_network(seed=1), exported, batches=(1, ))
    assert not difference.agrees and difference.sr > 1e-3


@pytest.mark.parametrize('sr, landmarks, agrees', [(1e-5, 1e-3, True), (2e-4, 0., False), (0., 0.02, False),
                                                   (float('nan'), 0., False), (0., float('nan'), False)])
def test_tolerance(sr, landmarks, agrees):
    assert Difference(sr, landmarks, 128).agrees == agrees


@pytest.fixture
def no_trace(monkeypatch, exported):
    """Reuse a graph: tracing takes seconds."""
    monkeypatch.setattr(onnx_file, '_trace', lambda network, size, opset: onnx.load(exported))


def test_a_file_that_disagrees_replaces_nothing(no_trace, tmp_path):
    target = tmp_path / 'dic.onnx'
    target.write_bytes(b'the old one')
    with pytest.raises(ExportError, match=r'differ by up to .* expected at most 0.0001 .*dic.onnx was not written'):
        export_onnx(tiny_network(seed=1), str(target))
    assert target.read_bytes() == b'the old one' and list(tmp_path.iterdir()) == [target]


def test_without_onnx_runtime_only_no_check_writes(no_trace, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    target = str(tmp_path / 'dic.onnx')
    assert main(['-w', weights, '-o', target]) == 1
    error = capsys.readouterr().err
    assert 'onnxruntime is not installed' in error and "pip install 'dic_plugin[onnx]'" in error
    assert list(tmp_path.iterdir()) == []
    assert main(['-w', weights, '-o', target, '--no-check']) == 0
    assert 'not compared' in capsys.readouterr().out


@pytest.mark.parametrize('name, message', [('.', 'is a folder'), ('file/dic.onnx', 'file'),
                                           ('pipe', 'is no regular file')])  # yapf: disable
def test_a_place_that_cannot_be_written_is_refused_before_the_export(weights, tmp_path, monkeypatch, capsys, name,
                                                                     message):
    monkeypatch.setattr(onnx_file, '_trace', lambda *_: pytest.fail('exported in vain'))
    (tmp_path / 'file').touch()
    if name == 'pipe':
        if sys.platform == 'win32':
            pytest.skip('Windows has no named pipes in folders')
        os.mkfifo(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    assert main(['-w', weights, '-o', str(tmp_path / name)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_network_stays_as_it_is(no_trace, weights, tmp_path):
    network = FaceRestorer(weights, 'cpu').network.train().double()
    export_onnx(network, str(tmp_path / 'dic.onnx'))
    assert network.training and all(param.dtype == torch.float64 for param in network.parameters())


def test_an_old_torch_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(torch, '__version__', '2.5.1')
    with pytest.raises(ExportError, match='needs torch 2.6 or newer, this is 2.5.1'):
        export_onnx(tiny_network(), str(tmp_path / 'dic.onnx'))


@pytest.mark.parametrize('options, message', [
    (['--size', '12'], 'h and w multiples of 8'),
    (['--size', '-8'], 'size=-8; expected'),
    (['--steps', '3'], 'expected 1 to 2'),
    (['--opset', '17'], 'opset=17; expected 18 to '),
    (['-o', '{weights}'], 'never overwritten'),
    (['-w', 'missing.pth'], 'missing.pth: no such file'),
])
def test_errors_of_what_cannot_be_exported(weights, capsys, options, message):
    assert main(['-w', weights, *(option.format(weights=weights) for option in options)]) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ') and message in error


def test_speeds_are_medians_of_turns(weights, exported, monkeypatch):
    """On a clock that only PyTorch's calls advance, by 1, 2, 3, ... seconds."""
    now, calls = [0.], []
    network = FaceRestorer(weights, 'cpu').network
    threads = torch.get_num_threads()

    def pytorch(lq):
        calls.append(len(lq))
        now[0] += len(calls)

    monkeypatch.setattr('onnx_parts.LastStep.forward', lambda self, lq: pytorch(lq))
    monkeypatch.setattr('onnx_parts.find_spec', lambda name: None)  # OpenVINO
    one, two = compare_speed(network, exported, 16, (1, 2), rounds=3, num_threads=1, clock=lambda: now[0])
    assert calls == [1] * 4 + [2] * 4 and torch.get_num_threads() == threads
    assert one == Speed(1, 3, 0) and two == Speed(2, 7, 0)


def test_benchmark_script_runs(weights, no_trace, capsys):
    assert speed_lines([Speed(8, 0.3, 0.2)])[-1] == '| 8 | 300.0 | 200.0 (1.50 times) | not installed |'
    arguments = ['-w', weights, '--batches', '1', '2', '--rounds', '1', '--threads', '1']
    assert importlib.import_module('onnx_speed').main(arguments) == 0
    lines = capsys.readouterr().out.strip().split('\n')
    assert 'median of 1' in lines[0] and [line[:4] for line in lines[-2:]] == ['| 1 ', '| 2 ']
