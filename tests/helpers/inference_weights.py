"""Weights of tiny networks for the tests of inference."""
from pathlib import Path
from typing import Any

import torch

from dic_plugin.archs import DIC

TINY = dict(num_feat=4, num_groups=2, num_steps=2, hg_num_feat=8, num_fusion_block=1, projection_scale=2)


def tiny_network(seed: int = 0, **options: Any) -> DIC:
    torch.manual_seed(seed)
    return DIC(**{**TINY, 'hg_from_scratch': True, **options}).eval()


def save_weights(path: Path, record: Any = None, seed: int = 0, **options: Any) -> str:
    """A checkpoint as DICModel writes it; heatmaps are not zero, so that landmarks and attention differ."""
    network = tiny_network(seed, **options)
    torch.nn.init.normal_(network.hourglass.head[-1].weight, std=0.1)
    content = {'params': network.state_dict()}
    if record is not None:
        content['dic_plugin'] = record
    torch.save(content, path)
    return str(path)
