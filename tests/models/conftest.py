"""Fixtures of the tests of the models."""
import logging

import pytest


@pytest.fixture
def log(caplog):
    """Messages of BasicSR's logger, which does not propagate."""
    logger = logging.getLogger('basicsr')
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
