"""FaceRestorer: weights of every kind in, faces of the right kind out, and what it refuses."""
import doctest
import subprocess
import sys

import numpy as np
import pytest
import torch

import dic_plugin
from dic_plugin import FaceRestorer
from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.checkpoints.published_names import published_name
from dic_plugin.inference import restorer as restorer_module
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from helpers.inference_weights import save_weights, tiny_network


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp('weights') / 'net_g_latest.pth', {'network': {'num_steps': 2}})


def faces(num, size=16, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (num, size, size, 3), np.uint8)


def test_example_of_the_docstring_runs(weights):
    finder = doctest.DocTestFinder(recurse=False)
    example, = finder.find(restorer_module.FaceRestorer, globs={'np': np, 'weights': weights})
    assert len(example.examples) >= 4
    assert doctest.DocTestRunner().run(example).failed == 0


def test_gives_what_the_network_gives(weights):
    restorer = FaceRestorer(weights, device='cpu')
    images = faces(2)
    restored = restorer(images)
    with torch.no_grad():
        out = restorer.network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, return_steps=True)
    assert restored.faces.dtype == np.uint8 and restored.landmarks.dtype == np.float32
    for step, sr, heatmap in zip(restored.steps, out.sr, out.heatmap):
        expected = (sr.clamp(0, 1) * 255).permute(0, 2, 3, 1).numpy()
        assert np.abs(step.faces - expected).max() <= 0.5
        np.testing.assert_array_equal(step.landmarks, decode_heatmaps(heatmap).numpy())
    assert restored.steps[0].attention is None
    guided_by = restorer.network.block.fusion.attention(out.heatmap[0]).numpy()
    np.testing.assert_allclose(restored.steps[1].attention, guided_by, atol=1e-6)
    np.testing.assert_array_equal(restored.faces, restored.steps[-1].faces)
    np.testing.assert_array_equal(restored.landmarks, restored.steps[-1].landmarks)


def _assert_close(one, other):
    assert np.abs(one.faces.astype(int) - other.faces).max() <= 1  # sums are rounded in another order
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.05)
    np.testing.assert_allclose(one.steps[1].attention, other.steps[1].attention, atol=1e-4)


@pytest.fixture
def compiled(monkeypatch):
    """The batch sizes for which torch.compile makes a network; without machine code, which would take minutes."""
    sizes, compile_of_torch = [], torch.compile

    def backend(graph, inputs):
        sizes.append(max(len(x) for x in inputs if x.dim() == 4 and x.shape[2:] == (16, 16)))
        return graph

    monkeypatch.setattr(torch, 'compile', lambda net, **options: compile_of_torch(net, backend=backend, **options))
    torch.compiler.reset()
    yield sizes
    torch.compiler.reset()


def test_compiled_network_sees_one_size_of_batch(weights, compiled):
    images = faces(5)
    restored = FaceRestorer(weights, 'cpu', batch_size=3, compile=True)(images)
    assert restored.faces.shape == (5, 128, 128, 3) and compiled == [3]
    _assert_close(FaceRestorer(weights, 'cpu')(images), restored)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', ['fp32', 'bf16'])
def test_cuda_graph_gives_the_same(weights, dtype):
    recorded = FaceRestorer(weights, 'cuda', dtype, batch_size=3, cuda_graphs=True)
    for images in (faces(5), faces(2, seed=1), faces(4, size=24)):
        expected = FaceRestorer(weights, 'cuda', dtype)(images)
        assert np.abs(recorded(images).faces.astype(int) - expected.faces).max() <= (1 if dtype == 'fp32' else 8)


@pytest.mark.parametrize('batch_size', [1, 3, 5])
def test_batching_does_not_change_results(weights, batch_size):
    images = list(faces(5))
    _assert_close(FaceRestorer(weights, 'cpu')(images), FaceRestorer(weights, 'cpu', batch_size=batch_size)(images))


def test_steps_stop_early(weights):
    images = faces(2)
    stopped, whole = FaceRestorer(weights, 'cpu', steps=1)(images), FaceRestorer(weights, 'cpu')(images)
    assert len(stopped.steps) == 1 and len(whole.steps) == 2
    np.testing.assert_array_equal(stopped.faces, whole.steps[0].faces)


def test_other_sizes_are_taken(weights):
    restored = FaceRestorer(weights, 'cpu')(np.zeros((1, 24, 16, 3), np.uint8))
    assert restored.faces.shape == (1, 192, 128, 3)


def test_bf16_is_close_to_fp32(weights):
    images = faces(2)
    exact, fast = FaceRestorer(weights, 'cpu')(images), FaceRestorer(weights, 'cpu', 'bf16')(images)
    assert fast.faces.dtype == np.uint8 and fast.landmarks.dtype == np.float32
    assert np.abs(exact.faces.astype(int) - fast.faces).mean() < 2


def test_average_weights_are_preferred(weights, tmp_path):
    content = torch.load(weights, weights_only=True)
    content['params_ema'] = {key: torch.zeros_like(value) for key, value in content['params'].items()}
    torch.save(content, tmp_path / 'ema.pth')
    network = FaceRestorer(str(tmp_path / 'ema.pth'), 'cpu').network
    assert not any(param.any() for param in network.parameters())


@pytest.mark.parametrize('options', [
    dict(num_steps=1),
    dict(num_fusion_block=None),
    dict(upscale=4, num_groups=1),
    dict(num_keypoints=5, num_feat=6),
    dict(num_keypoints=3, component_groups=[[0], [1, 2]], num_steps=3)
])
def test_settings_are_read_off_the_weights(tmp_path, options):
    record = {'network': dict(num_steps=options.get('num_steps', 2), component_groups=options.get('component_groups'))}
    path = save_weights(tmp_path / 'weights.pth', record, **options)
    restorer = FaceRestorer(path, 'cpu')
    expected = tiny_network(**options)
    expected.load_state_dict(restorer.network.state_dict())
    size = 128 // restorer.upscale
    x = torch.rand(1, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(restorer.network(x), expected(x))
    assert restorer.input_size == size and restorer.num_keypoints == options.get('num_keypoints', 68)
    restored = restorer(faces(1, size))
    assert len(restored.steps) == options.get('num_steps', 2)
    if options.get('num_fusion_block', 1) is None:
        assert restored.steps[1].attention is None


def test_without_a_record_the_published_number_of_steps_is_assumed(tmp_path):
    path = save_weights(tmp_path / 'weights.pth')
    restorer = FaceRestorer(path, 'cpu')
    assert restorer.num_steps == 4 and 'taken to be 4' in restorer.notes[0] and restorer.trained_on is None
    assert FaceRestorer(path, 'cpu', steps=3).notes == []


def test_record_tells_steps_size_and_training_set(tmp_path):
    record = {'network': {'num_steps': 3}, 'trained_on': ['celeba', 'FaceLandmarkDataset'], 'input_size': 32}
    restorer = FaceRestorer(save_weights(tmp_path / 'weights.pth', record), 'cpu')
    assert restorer.num_steps == 3 and restorer.notes == [] and restorer.input_size == 32
    assert restorer.trained_on == ('celeba', 'FaceLandmarkDataset')


@pytest.mark.parametrize('record', [3, {}, {'network': 3, 'trained_on': 'celeba', 'input_size': -1}])
def test_records_without_sense_are_passed_over(tmp_path, record):
    restorer = FaceRestorer(save_weights(tmp_path / 'weights.pth', record), 'cpu')
    assert restorer.num_steps == 4 and restorer.trained_on is None and restorer.input_size == 16


def test_recorded_options_without_sense_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match='weights.pth: holds no DIC that can be built: num_steps=-1'):
        FaceRestorer(save_weights(tmp_path / 'weights.pth', {'network': {'num_steps': -1}}), 'cpu')


def test_published_weights_are_converted_in_memory(tmp_path):
    network = tiny_network(projection_scale=None, num_groups=2)
    torch.save({published_name(key): value for key, value in network.state_dict().items()}, tmp_path / 'DIC.pth')
    restorer = FaceRestorer(str(tmp_path / 'DIC.pth'), 'cpu')
    assert restorer.num_steps == 4 and len(restorer.notes) == 1
    for key, value in network.state_dict().items():
        torch.testing.assert_close(restorer.network.state_dict()[key], value)


@pytest.mark.parametrize('content, message', [
    ({
        'params': {}
    }, 'holds no state dict'),
    ({
        'params': {
            'stem.0.weight': torch.zeros(1)
        }
    }, 'holds no DIC .*stem.0.weight'),
    ({
        'hg0.hourglass.res4_1.conv_block.0.weight': torch.zeros(1)
    }, 'StackedHourglass'),
    ({
        'params': 3
    }, 'holds no state dict'),
    ([1], 'holds no state dict but list; expected DIC or DICGAN'),
])
def test_other_files_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match=f'weights.pth: .*{message}'):
        FaceRestorer(str(tmp_path / 'weights.pth'), 'cpu')


def test_damaged_weights_are_refused(weights, tmp_path):
    content = torch.load(weights, weights_only=True)
    del content['params']['out.0.bias']
    torch.save(content, tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='1 missing: out.0.bias'):
        FaceRestorer(str(tmp_path / 'weights.pth'), 'cpu')


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite_are_refused(weights, tmp_path, value):
    content = torch.load(weights, weights_only=True)
    for name in ('block.compress_in.0.weight', 'first_block.compress_in.0.weight'):
        content['params'][name].view(-1)[0] = value
    torch.save(content, tmp_path / 'diverged.pth')
    with pytest.raises(CheckpointError, match=r'diverged.pth: first_block.compress_in.0.weight holds NaN or infinite'):
        FaceRestorer(str(tmp_path / 'diverged.pth'), 'cpu')


def test_grouping_that_no_shape_tells_has_to_be_recorded(tmp_path):
    path = save_weights(tmp_path / 'weights.pth', num_keypoints=3, component_groups=[[0], [1, 2]])
    with pytest.raises(CheckpointError, match='component_groups'):
        FaceRestorer(path, 'cpu')


@pytest.mark.parametrize('arguments, message', [
    (dict(steps=0), 'steps=0: .* has 2; expected 1 to 2'),
    (dict(steps=3), 'expected 1 to 2'),
    (dict(batch_size=0), 'batch_size=0'),
    (dict(cuda_graphs=True), 'cuda_graphs=True needs a GPU; the device is cpu'),
    (dict(dtype='fp16'), "dtype='fp16'; expected 'fp32' or 'bf16'"),
    (dict(device='abacus'), "device 'abacus' cannot be used here"),
    (dict(device='cuda:99'), "device 'cuda:99' cannot be used here"),
])
def test_impossible_arguments_are_refused(weights, arguments, message):
    with pytest.raises(ValueError, match=message):
        FaceRestorer(weights, **{'device': 'cpu', **arguments})


def test_bf16_is_refused_where_a_gpu_cannot_do_it(weights, monkeypatch):
    monkeypatch.setattr(restorer_module, 'pick_device', lambda device: torch.device('cuda'))
    monkeypatch.setattr(torch.version, 'cuda', '12.1')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device: 'Tesla T4')
    with pytest.raises(ValueError, match="Tesla T4 cannot compute in bf16; expected 'fp32'"):
        FaceRestorer(weights, dtype='bf16')


def test_bf16_is_refused_on_other_kinds_of_devices(weights, monkeypatch):
    monkeypatch.setattr(restorer_module, 'pick_device', lambda device: torch.device('mps'))
    with pytest.raises(ValueError, match="not for mps; expected 'fp32'"):
        FaceRestorer(weights, dtype='bf16')


@pytest.mark.parametrize('images, message', [
    ([], 'no image'),
    (np.zeros((16, 16, 3), np.uint8), r'images is one array \(16, 16, 3\); .* one face is images\[None\]'),
    ([np.zeros((16, 16, 3), np.float32)], 'image 0 is float32'),
    ([np.zeros((16, 16), np.uint8)], r'image 0 is uint8 \(16, 16\)'),
    ([[1, 2]], 'image 0 is list'),
    ([np.zeros((16, 20, 3), np.uint8)], r'20x16 \(width x height\); expected multiples of 8'),
    ([np.zeros((0, 16, 3), np.uint8)], 'expected multiples of 8'),
    ([np.zeros((16, 16, 3), np.uint8), np.zeros((24, 24, 3), np.uint8)], 'image 1 .* the first is 16x16'),
])
def test_other_images_are_refused(weights, images, message):
    with pytest.raises(ValueError, match=message):
        FaceRestorer(weights, 'cpu')(images)


def test_importing_the_plugin_does_not_import_inference():
    code = ('import sys, dic_plugin; assert "dic_plugin.inference" not in sys.modules; '
            'from dic_plugin import FaceRestorer; assert "dic_plugin.inference" in sys.modules')
    subprocess.run([sys.executable, '-c', code], check=True)


def test_other_names_of_the_package_are_still_missing():
    with pytest.raises(AttributeError, match="has no attribute 'FaceRestorers'"):
        dic_plugin.FaceRestorers
