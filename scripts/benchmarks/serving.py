"""The Space under load: many clients against one, memory over many requests, the start against a bare app's."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import httpx
from gradio_client import Client

from char_lstm.paths import CHECKOUT

from .common import in_turn, now

CLIENTS = 20
ALONE = 10  # texts of the client alone
FIRST_REQUESTS, ALL_REQUESTS = 50, 500
GENERATE = {"api_name": "/generate"}
BARE_APP = """
import gradio as gr, torch, transformers
from transformers import GenerationMixin, PreTrainedModel, PreTrainedTokenizerFast
gr.Interface(lambda text: text, "text", "text", api_name="generate").launch()
"""


@contextmanager
def served(*command: str, log: int | IO = subprocess.DEVNULL) -> Iterator[tuple[subprocess.Popen, str]]:
    """A process that serves a page and says what it has to say to `log`, and the page's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen([sys.executable, *command], cwd=CHECKOUT, env=environment, stdout=log, stderr=log)
    try:
        yield process, f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


def connected(process: subprocess.Popen, address: str) -> Client:
    """A client of the page, as soon as it is there."""
    while process.poll() is None:
        try:
            return Client(address, verbose=False)
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{process.args} has stopped with exit code {process.returncode}")


def seconds_to_an_answer(*command: str) -> float:
    """From process start to the first answer of /generate."""
    start = now()
    with served(*command) as (process, address):
        connected(process, address).predict("alice", **GENERATE)
        return now() - start


def write_all(clients: list[Client], seeds: range) -> tuple[list[str], float]:
    """The texts of all seeds, dealt out to the clients, and the characters a second that all clients got together."""
    start = now()
    with ThreadPoolExecutor(len(clients)) as pool:
        asked = [pool.submit(clients[seed % len(clients)].predict, "alice", seed=seed, **GENERATE) for seed in seeds]
    texts = [answer.result() for answer in asked]
    return texts, sum(map(len, texts)) / (now() - start)


def resident_megabytes(process: subprocess.Popen) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(repeats: int) -> dict:
    """Figures and ratios of the Space with the packaged Alice, on this machine."""
    apps = {"space": ["space/app.py"], "bare app": ["-c", BARE_APP]}
    seconds = in_turn(repeats, **{name: partial(seconds_to_an_answer, *command) for name, command in apps.items()})
    with served("space/app.py") as (process, address):
        clients = [connected(process, address) for _ in range(CLIENTS)]
        clients[0].predict("alice", api_name="/inspect")  # everything is loaded from here on
        alone, speed_alone = write_all(clients[:1], range(ALONE))
        together, speed_together = write_all(clients, range(CLIENTS))
        if together[:ALONE] != alone:
            raise RuntimeError("a seed gave another text in company than alone")
        write_all(clients, range(FIRST_REQUESTS - ALONE - CLIENTS))
        early = resident_megabytes(process)
        write_all(clients, range(ALL_REQUESTS - FIRST_REQUESTS))
        late = resident_megabytes(process)
    return {
        "seconds": {"start to first answer": seconds},
        "characters_a_second": {"one client": speed_alone, f"{CLIENTS} clients": speed_together},
        "resident_megabytes": {f"after request {FIRST_REQUESTS}": early, f"after request {ALL_REQUESTS}": late},
        "unit": "ratio",
        "figures": {
            f"{CLIENTS} clients, characters a second to one's": speed_together / speed_alone,
            f"memory after request {ALL_REQUESTS}, to that after {FIRST_REQUESTS}": late / early,
            "start to first answer, to a bare app with torch": seconds["space"] / seconds["bare app"],
        },
    }
