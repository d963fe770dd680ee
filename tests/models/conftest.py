"""Fixtures of the tests of the models."""
import logging

import pytest


@pytest.fixture
def log(caplog):
    """What BasicSR's logger, which does not propagate, is given."""
    logger = logging.getLogger('basicsr')
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
