"""The Space under requests that nobody would send who means well: its memory, and what it logs.

PYTHONPATH=modeling:space .venv/bin/python -m tests.space.abuse    # the figures go to scripts/results/abuse.json
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from random import Random

import httpx

from char_lstm.files import write_json
from char_lstm.paths import RESULTS
from limits import LARGEST_REQUEST
from scripts.benchmarks.common import machine
from scripts.benchmarks.serving import connected, resident_megabytes, served

REQUESTS, EARLY = 1000, 60  # malformed requests, and after how many memory is looked at for the first time
WELL_FORMED = {  # JSON values, because not all of what is sent below can be a Python value
    "generate": ['"Alice was"', '"alice"', "0.6", "0", "1", "7", "5"],
    "compare": ['"Alice was"', "0.6", "7"],
    "inspect": ['"a"', '"alice"'],
}
ELSEWHERE = ["call/nothing", "run/generate", "cancel", "reset", "upload"]  # what gradio answers by itself
VALUES = [
    *("null", "true", "-1", "0", "1.5", "1e308", "-1e308", "1e999", "NaN", "Infinity", "-Infinity", "1" * 400),
    *("1" * 5000, '"5"', '"NaN"', "[]", "{}", "[[1]]", '{"a": 1}', "[" * 200 + "]" * 200, r'"\ud800"', r'"\u0000"'),
    '"<script>alert(1)</script>"',
    '"<img src=x onerror=alert(1)>"',
    '"../../../../etc/passwd"',
    '{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}',
    '{"path": "x", "url": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}}',
    json.dumps("x" * 2000),
    json.dumps("漢" * 5000),
    json.dumps("x" * 1_000_000),
]
BODIES = [
    *("", "{", "[]", "null", "7", '"a"', "{}", '{"data": {}}', '{"data": null}', '{"data": "a"}', '{"data": []}'),
    *('{"data": [1, 2, 3]}', '{"data": [' + "1," * 5000 + "1]}", "\0", "<html>", "x" * 1_000_000),
]
POSITIONS = ["-1", "9", "1000000", "1.5", "null", '"a"', "[]", "{}", "NaN", "1" * 5000]  # in a text of nine characters


def malformed(random: Random) -> tuple[str, str]:
    """A path below the API, and what is sent there."""
    name = random.choices(list(WELL_FORMED), weights=[6, 1, 3])[0]  # compare always writes 1500 characters
    values = [value if random.random() < 0.7 else random.choice(VALUES) for value in WELL_FORMED[name]]
    values[random.randrange(len(values))] = random.choice(VALUES)
    data = f"[{', '.join(values)}]"
    session = f'"session_hash": "s{random.random()}"'  # that nobody has seen
    kind = random.random()
    if kind < 0.1:
        return f"call/{name}", random.choice(BODIES)
    if kind < 0.2:  # any function of the page, and nobody waits for its answer
        number = random.choice([*map(str, range(30)), *VALUES])
        return "queue/join", f'{{"data": {data}, "fn_index": {number}, {session}}}'
    if kind < 0.25:
        return random.choice(ELSEWHERE), f'{{"data": {data}}}'
    if kind < 0.35:  # what the inspector asks for by itself
        asked = f'{{"model": "alice", "text": {random.choice(VALUES)}, "position": 3}}'
        if random.random() < 0.5:
            asked = f'{{"model": "alice", "text": "alice was", "position": {random.choice(POSITIONS)}}}'
        asked = random.choice([asked, asked, asked, *VALUES])
        number = random.choice([*map(str, range(60)), *VALUES])
        return (
            "component_server",
            f'{{"data": {asked}, "component_id": {number}, "fn_name": "connectivity", {session}}}',
        )
    return f"call/{name}", f'{{"data": {data}}}'


def ask(client: httpx.Client, patience: float, unread: ExitStack, path: str, body: str) -> tuple[int, str]:
    """Status and words of an answer. A body that is too large is not read, so the answer may get lost.

    Args:
        patience: below 1/8 nobody asks for the text; below 2/8 its stream is opened and never read, until `unread` is
            left; below 3/8 it is closed after the first line.
    """
    try:
        answer = client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})
    except httpx.TransportError:
        if len(body) <= LARGEST_REQUEST:
            raise
        return 413, "the connection was closed"
    if answer.status_code != 200 or not path.startswith("call/") or patience < 1 / 8:
        return answer.status_code, answer.text
    events = client.send(client.build_request("GET", f"{path}/{answer.json()['event_id']}"), stream=True)
    if patience < 2 / 8:
        unread.callback(events.close)
        return events.status_code, ""
    with closing(events):
        words = next(events.iter_lines(), "") if patience < 3 / 8 else events.read().decode()
    return events.status_code, words


def abuse(address: str, requests: int) -> Iterator[tuple[str, int, str]]:
    """Sends malformed requests; of each what was sent, the status and the words of the answer."""
    random = Random(0)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # a body too large closes its connection
    with httpx.Client(base_url=f"{address}gradio_api/", timeout=60, limits=limits) as client, ExitStack() as unread:
        for _ in range(requests):
            path, body = malformed(random)
            yield f"{path} {body[:300]}", *ask(client, random.random(), unread, path, body)


def measure() -> dict:
    """Memory early and late, and how many traces the log then holds."""
    statuses, resident = Counter(), {}
    with tempfile.TemporaryFile("w+") as log:
        with served("space/app.py", log=log) as (process, address):
            connected(process, address).predict("alice", api_name="/inspect")  # everything is loaded from here on
            for count, (_, status, _) in enumerate(abuse(address, REQUESTS), start=1):
                statuses[str(status)] += 1
                if count in (EARLY, REQUESTS):
                    resident[f"resident after malformed request {count}"] = resident_megabytes(process)
        log.seek(0)
        traces = log.read().count("Traceback")
    return {"statuses": dict(sorted(statuses.items())), "traces": traces, "unit": "MB", "figures": resident}


if __name__ == "__main__":
    write_json(RESULTS / "abuse.json", {"machine": machine(), **measure()})
