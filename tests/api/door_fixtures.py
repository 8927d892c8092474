"""A door over a real broker, a real tiny model and real HTTP, for the tests that share one (`pytest_plugins`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from door_helpers import ANY_PORT, Running, client_of, settings_for, url_of
from tiny_model import make_tiny_model

from services.api.service import ApiService
from services.llm.service import LlmService
from shared.broker import Broker


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """For the tests of one file: starting a model takes longest."""
    with Broker(ANY_PORT) as broker, Running(broker.settings) as services:
        yield services


@pytest.fixture(scope="module")
def url(running: Running, tiny: Path) -> str:
    """A door that all tests of a file use."""
    settings = settings_for(tiny)
    running.start(LlmService, settings)
    door, _ = running.start(ApiService, settings)
    client = client_of(url_of(door))
    for _ in range(1000):
        if client.models.list().data:
            return url_of(door)
    raise AssertionError("the door did not hear of the model")


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with client_of(url) as made:
        yield made
