"""The Space as it is launched, under requests that nobody would send who means well."""

import json
from random import Random

import httpx
import pytest

import app
from char_lstm import generate_text, load_decoder
from scripts.benchmarks.serving import connected, resident_megabytes, served
from tests.conftest import ALICE

pytestmark = pytest.mark.slow

CALLS, BETWEEN = 1000, 100  # malformed requests, and after how many a good one is tried
WELL_FORMED = {  # JSON values, because not all of what is sent below can be a Python value
    "generate": ['"Alice was"', '"alice"', "0.6", "0", "1", "7", "5"],
    "compare": ['"Alice was"', "0.6", "7"],
    "inspect": ['"a"', '"alice"'],
}
OURS = [f"call/{name}" for name in WELL_FORMED]
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


def malformed(random: Random) -> tuple[str, str]:
    """A path below the API, and what is sent there."""
    name = random.choices(list(WELL_FORMED), weights=[6, 1, 3])[0]  # compare always writes 1500 characters
    values = [value if random.random() < 0.7 else random.choice(VALUES) for value in WELL_FORMED[name]]
    values[random.randrange(len(values))] = random.choice(VALUES)
    data = f"[{', '.join(values)}]"
    kind = random.random()
    if kind < 0.1:
        return f"call/{name}", random.choice(BODIES)
    if kind < 0.2:  # any function of the page, and nobody waits for its answer
        number = random.choice([*map(str, range(20)), *VALUES])
        return "queue/join", f'{{"data": {data}, "fn_index": {number}, "session_hash": "s{random.random()}"}}'
    if kind < 0.25:
        return random.choice(ELSEWHERE), f'{{"data": {data}}}'
    return f"call/{name}", f'{{"data": {data}}}'


def ask(client: httpx.Client, path: str, body: str) -> tuple[int, str]:
    """Status and words of the whole answer; a body that is too large is not read, so the answer may get lost."""
    try:
        answer = client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})
    except httpx.TransportError:
        if len(body) <= app.LARGEST_REQUEST:
            raise
        return 413, "the connection was closed"
    if answer.status_code == 200 and path.startswith("call/"):
        answer = client.get(f"{path}/{answer.json()['event_id']}")
    return answer.status_code, answer.text


def error_of(stream: str) -> str | None:
    """What an event stream says went wrong; None where nothing did."""
    *_, event, data = stream.strip().splitlines()
    return json.loads(data.removeprefix("data: "))["error"] if event == "event: error" else None


@pytest.fixture(scope="module")
def space():
    """Process and address of the Space."""
    with served("space/app.py") as (process, address):
        connected(process, address).predict("alice", api_name="/inspect")  # everything is loaded from here on
        yield process, address


def test_a_thousand_malformed_requests_get_words_and_take_nothing_from_the_next(space):
    process, address = space
    random, alice = Random(0), load_decoder(ALICE)
    good = connected(process, address)
    statuses, resident = set(), []
    no_reuse = httpx.Limits(max_keepalive_connections=0)  # of a connection that is closed upon a body too large
    with httpx.Client(base_url=f"{address}gradio_api/", timeout=60, limits=no_reuse) as client:
        for count in range(CALLS):
            path, body = malformed(random)
            status, words = ask(client, path, body)
            what = f"{path} {body[:300]} -> {status} {words[:1000]}"
            assert status < 500 or path not in OURS, what
            assert "Traceback" not in words, what
            assert 'File "' not in words, what
            assert "root:" not in words, what
            if status == 200 and path.startswith("call/"):
                error = error_of(words)
                assert error is None or error.strip(), what
            statuses.add(status)
            if count % BETWEEN == BETWEEN - 1:
                written = good.predict("Alice was", seed=count, api_name="/generate")
                assert written == generate_text(*alice, "Alice was", seed=count)
                resident.append(resident_megabytes(process))
    assert {200, 413, 422} <= statuses
    assert resident[-1] < 1.1 * resident[1], resident
    jobs = [good.submit("she ", seed=seed, api_name="/generate") for seed in range(2 * app.PLACES)]
    assert [job.result(60) for job in jobs] == [
        generate_text(*alice, "she ", seed=seed) for seed in range(2 * app.PLACES)
    ]
    assert good.predict("Alice was", api_name="/inspect")["chars"] == list("alice was")
