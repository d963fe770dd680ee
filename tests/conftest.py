"""Imports the plugin before any test does, so that tests may import BasicSR on any torchvision."""
import pytest
import torch

import dic_plugin  # noqa: F401

# Files that take longest, which begin first: one that began last would run on alone, on one of the cores.
LONGEST = ('test_speed_options.py', 'test_benchmark_run.py', 'test_prepare_faces.py', 'test_quickstart.py',
           'test_dic_arch.py', 'test_launch.py', 'test_benchmark_speed.py', 'test_golden.py', 'test_dicgan_model.py')


def pytest_collection_modifyitems(items):
    """Within a file the order stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def denormals():
    """Training models flush denormals for the whole process; the next test must not notice."""
    yield
    torch.set_flush_denormal(False)
