"""Published checkpoints of the paper's rivals: recognised by their lists of names (tests/data/keys_rivals.tsv)."""
import csv
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from basicsr.archs import build_network

from dic_plugin.checkpoints.files import CheckpointError
from dic_plugin.checkpoints.published import convert, option_lines
from dic_plugin.cli.convert import main

LISTS = defaultdict(dict)
with open(Path(__file__).parents[1] / 'data/keys_rivals.tsv', encoding='utf-8') as file:
    for row in csv.DictReader(file, delimiter='\t'):
        shape = [int(side) for side in row['shape'].split(',') if side]
        LISTS[row['network']][row['key']] = torch.zeros(()).expand(shape)

EXPECTED = {
    'SRFBN_x8_F64G6': ('SRFBN', dict(num_feat=64, num_groups=6, upscale=8)),
    'SRFBN_x8_F32G3': ('SRFBN', dict(num_feat=32, num_groups=3, upscale=8)),
    'SRFBN_bare_x8_F8G3': ('SRFBN', dict(num_feat=8, num_groups=3, upscale=8)),
    'RDN_x4_D16C8G64': ('RDN', dict(num_feat=64, num_block=16, num_layer=8, upscale=4)),
    'RDN_x8_D16C8G64': ('RDN', dict(num_feat=64, num_block=16, num_layer=8, upscale=8)),
    'PFSR_G': ('PFSRGenerator', {}),
    'PFSR_D': ('PFSRDiscriminator', {}),
    'FSRNet_h68_p11': ('FSRNet', dict(num_keypoints=68, num_parsing=11)),
    'FSRNet_h0_p11': ('FSRNet', dict(num_keypoints=0, num_parsing=11)),
    'FSRNet_h68_p0': ('FSRNet', dict(num_keypoints=68, num_parsing=0)),
    'SPARNet_Attn2D': ('SPARNet', {}),
    'SPARNetLight_Attn3D': ('SPARNet', dict(num_block=1, attention_3d=True)),
}


@pytest.mark.parametrize('name', EXPECTED)
def test_lists_are_recognised(name):
    kind, options = EXPECTED[name]
    converted = convert({'state_dict': {f'module.{key}': value for key, value in LISTS[name].items()}})
    assert (converted.kind, converted.options) == (kind, options)
    with torch.device('meta'):
        network = build_network({'type': kind, **options})
    network.load_state_dict(converted.params, assign=True)
    assert option_lines(converted)[:2] == ['network_g:', f'  type: {kind}']


def test_values_keep_their_place(tmp_path, capsys):
    """By the command, from PFSR's own wrapping to a network that runs."""
    params = {key: torch.rand(value.shape) for key, value in LISTS['PFSR_G'].items()}
    torch.save({'model_state_dict': params, 'step': 3, 'alpha': 1.0, 'iteration': 7}, tmp_path / 'g.pth')
    assert main([str(tmp_path / 'g.pth'), str(tmp_path / 'out.pth')]) == 0
    assert 'type: PFSRGenerator' in capsys.readouterr().out
    saved = torch.load(tmp_path / 'out.pth', weights_only=True)['params']
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(saved.values(), params.values()))
    assert main([str(tmp_path / 'g.pth'), str(tmp_path / 'g2.pth'), '--discriminator', str(tmp_path / 'd.pth')]) == 1
    assert not (tmp_path / 'd.pth').exists() and 'no discriminator beside PFSRGenerator' in capsys.readouterr().err
    network = build_network({'type': 'PFSRGenerator'})
    network.load_state_dict(saved)
    assert network.eval()(torch.rand(1, 3, 16, 16)).shape == (1, 3, 128, 128)


def test_other_shapes_are_refused():
    params = dict(LISTS['PFSR_G'])
    key = list(params)[5]
    params[key] = torch.zeros(7)
    with pytest.raises(CheckpointError, match=f'looks like a published PFSRGenerator, but {key} has the shape'):
        convert(params)


@pytest.mark.parametrize('content', [b'\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1', b'4\n1\n3\nV 1\n14\nnn.Sequential'])
def test_files_of_torch7_are_named(tmp_path, capsys, content):
    (tmp_path / 'urdgn.t7').write_bytes(content * 30)
    assert main([str(tmp_path / 'urdgn.t7'), str(tmp_path / 'out.pth')]) == 1
    assert 'urdgn.t7: is a file of Torch7' in capsys.readouterr().err
