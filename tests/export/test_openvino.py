"""The exported file in OpenVINO, where that is installed."""
import pytest
import torch

from dic_plugin.cli.export import main
from dic_plugin.inference import FaceRestorer
from dic_plugin.landmarks.heatmaps import decode_heatmaps
from helpers.inference_weights import save_weights
from onnx_parts import open_openvino

for package in ('openvino', 'onnx', 'onnxscript'):
    pytest.importorskip(package, reason=f'needs {package}')


@pytest.mark.parametrize('arguments', [(), ('--opset', '18')])
def test_openvino_agrees_with_pytorch(tmp_path, arguments):
    weights = save_weights(tmp_path / 'dic.pth', {'network': {'num_steps': 2}})
    assert main(['-w', weights, '-o', str(tmp_path / 'dic.onnx'), '--no-check', *arguments]) == 0
    compiled = open_openvino(str(tmp_path / 'dic.onnx'), 1)
    for batch in (1, 3):
        lq = torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            expected = FaceRestorer(weights, 'cpu').network(lq, return_steps=True)
        results = compiled({'lq': lq.numpy()})
        torch.testing.assert_close(torch.from_numpy(results['sr']), expected.sr[-1], atol=1e-4, rtol=0)
        points = decode_heatmaps(expected.heatmap[-1])
        torch.testing.assert_close(torch.from_numpy(results['landmarks']) / 128, points / 128, atol=1e-4, rtol=0)
