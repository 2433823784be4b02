"""The browser tests end with the status that pytest reports, whatever the served page's threads do after that."""

import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ended = {}


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield browser
        browser.close()


def pytest_sessionfinish(session, exitstatus):
    if any(item.path.parent == HERE for item in session.items):
        ended["status"] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Leaves at once: gradio's server and torch's threads, still alive here, now and then crash a dying interpreter."""
    if ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended["status"])
