"""A stage for the tests that need one (`pytest_plugins`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage_helpers import Stage

from shared.config import BusSettings


@pytest.fixture
def stage(broker: BusSettings) -> Iterator[Stage]:
    """A stage on the test's broker."""
    made = Stage(broker)
    yield made
    made.close()
