"""A stage, and a browser, for the tests that need one (`pytest_plugins`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from stage_helpers import Stage, Tab

from shared.config import BusSettings


@pytest.fixture
def stage(broker: BusSettings) -> Iterator[Stage]:
    """A stage on the test's broker."""
    made = Stage(broker)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium, or the one that Playwright fetched; one for all tests of a file."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')"
    )
    with playwright.sync_playwright() as driver:
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        path = found or driver.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip(
                "Chromium is not installed (apt install chromium, or python -m playwright install chromium)"
            )
        made = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    """A tab of its own, with nothing kept from other tests."""
    made = Tab(browser)
    yield made
    made.page.close()
    assert made.errors == []
