"""`gradio app.py`: the page follows the files of the Space while somebody works on them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.conftest import ROOT


@pytest.fixture
def reloading(tmp_path):
    """The address of a copy of the Space in reload mode."""
    shutil.copytree(ROOT / "space", tmp_path / "space")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        [Path(sys.executable).with_name("gradio"), "app.py"],
        cwd=tmp_path / "space",
        env=os.environ | settings | {"PYTHONPATH": str(ROOT / "modeling")},
        start_new_session=True,  # the command starts another process
    )
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(seen, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if value := seen():
                return value
        except (httpx.TransportError, AppError):  # it starts, or reloads
            pass
        time.sleep(1)
    raise TimeoutError


@pytest.mark.slow
def test_a_change_of_a_file_is_on_the_page_which_goes_on_writing(reloading, tmp_path):
    def title():
        return httpx.get(f"{reloading}config").json()["title"]

    def writes():
        return len(Client(reloading, verbose=False).predict("Alice was", seed=7, api_name="/generate")) == 500

    assert wait_for(title) == "char-lstm: 500 characters"
    assert wait_for(writes)
    app = tmp_path / "space" / "app.py"
    app.write_text(app.read_text(encoding="utf-8").replace("char-lstm: 500 characters", "another title"), "utf-8")
    assert wait_for(lambda: app.touch() or title() == "another title")  # touched until somebody watches
    assert wait_for(writes)
