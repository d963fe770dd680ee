"""Imports the plugin before any test does, so that tests may import BasicSR on any torchvision."""
import pytest
import torch

import dic_plugin  # noqa: F401


@pytest.fixture(autouse=True)
def denormals():
    """Training models flush denormals for the whole process; the next test must not notice."""
    yield
    torch.set_flush_denormal(False)
