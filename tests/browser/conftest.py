"""One Chromium for each file of browser tests."""

import os

import pytest

from multigan.training import environment

LAUNCH_MS = 120_000  # machines are busy


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; skipped where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    executable = environment.browser()
    if executable is None:
        pytest.skip("no Chromium: apt-get install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable, args=sandbox, timeout=LAUNCH_MS
        )
        yield chromium
        chromium.close()
