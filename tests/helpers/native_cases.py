"""Cases for the tests of the native operation."""
import pytest
import torch
from torch import nn

from dic_plugin.archs import DIC
from dic_plugin.ops import native_is_available

needs_native = pytest.mark.skipif(
    not native_is_available(), reason='the native operation needs a C++ compiler at installation and AVX2')


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small_network():
    torch.manual_seed(0)
    network = DIC(
        num_feat=12,
        num_groups=3,
        num_steps=3,
        hg_num_feat=16,
        num_fusion_block=1,
        projection_scale=4,
        hg_from_scratch=True)
    for parameter in network.hourglass.parameters():  # some are zero, which would hide errors
        nn.init.normal_(parameter, std=0.05)
    return network
