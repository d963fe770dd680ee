"""A network saved for the Hugging Face Hub and loaded again, from a folder; what is missing is said."""
import json
import subprocess
import sys

import pytest
import torch

from dic_plugin.archs import DIC
from dic_plugin.cli import convert
from helpers.inference_weights import TINY, save_weights, tiny_network

pytest.importorskip('huggingface_hub', reason='needs huggingface_hub')


@pytest.mark.parametrize('options', [{}, dict(num_steps=3, upscale=4), dict(num_fusion_block=None)])
def test_a_folder_gives_the_network_back(tmp_path, options):
    network = tiny_network(**options)
    network.save_pretrained(tmp_path / 'dic')
    assert {'config.json', 'model.safetensors', 'README.md'} <= {path.name for path in (tmp_path / 'dic').iterdir()}
    config = json.loads((tmp_path / 'dic' / 'config.json').read_text())
    assert {key: config[key] for key in {**TINY, **options}} == {**TINY, **options}
    again = DIC.from_pretrained(tmp_path / 'dic')
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(again(x), network(x)) and not again.training


def test_a_checkpoint_becomes_a_folder_with_a_card(tmp_path, capsys):
    record = dict(network=dict(num_steps=2), trained_on=['celeba', 'FaceLandmarkDataset'], input_size=16, margin=0.4)
    source = save_weights(tmp_path / 'dic.pth', record)
    assert convert.main([source, str(tmp_path / 'hub') + '/']) == 0
    card = (tmp_path / 'hub' / 'README.md').read_text()
    assert card.startswith(
        '---\nlibrary_name: dic_plugin') and 'celeba, FaceLandmarkDataset' in card and '0.4 of' in card
    assert DIC.from_pretrained(tmp_path / 'hub').num_steps == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ['dic.pth', 'hub']
    assert convert.main([source, str(tmp_path / 'hub') + '/']) == 1
    assert 'hub: exists; expected a new folder' in capsys.readouterr().err


def test_weights_of_another_network_are_refused(tmp_path):
    tiny_network().save_pretrained(tmp_path)
    config = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps({**config, 'num_groups': 3}))
    with pytest.raises(RuntimeError, match='size mismatch'):
        DIC.from_pretrained(tmp_path)


def test_without_the_library_the_networks_work_and_the_methods_say_what_to_install():
    code = ("import sys; sys.modules['huggingface_hub'] = None\n"
            'from dic_plugin.archs import DIC\n'
            'network = DIC(num_feat=4, num_groups=1, num_steps=1, hg_num_feat=8)\n'
            "network.save_pretrained('x')")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stderr.strip().endswith("huggingface_hub is not installed: `pip install 'dic_plugin[hub]'`.")
