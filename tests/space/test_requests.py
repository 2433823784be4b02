"""The Space as it is launched, under requests that nobody would send who means well."""

import json

import pytest

import limits
from char_lstm import generate_text, load_decoder
from scripts.benchmarks.serving import connected, resident_megabytes, served
from tests.conftest import ALICE
from tests.space import abuse

pytestmark = pytest.mark.slow

BETWEEN = 100  # malformed requests, after which a good one is tried


def error_of(stream: str) -> str | None:
    """What an event stream says went wrong; None where nothing did, or nobody read it."""
    *_, event, data = ["", "", *stream.strip().splitlines()]
    return json.loads(data.removeprefix("data: "))["error"] if event == "event: error" else None


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Process, address and log of the Space."""
    path = tmp_path_factory.mktemp("space") / "log.txt"
    with path.open("w") as log, served("space/app.py", log=log) as (process, address):
        connected(process, address).predict("alice", api_name="/inspect")  # everything is loaded from here on
        yield process, address, path


def test_a_thousand_malformed_requests_get_words_leave_no_trace_and_take_nothing_from_the_next(space):
    process, address, log = space
    alice, good = load_decoder(ALICE), connected(process, address)
    statuses, resident = set(), {}
    for count, (sent, status, words) in enumerate(abuse.abuse(address, abuse.REQUESTS), start=1):
        what = f"{sent} -> {status} {words[:1000]}"
        assert status < 500, what
        assert "Traceback" not in words, what
        assert 'File "' not in words, what
        assert "root:" not in words, what
        error = error_of(words)
        assert error is None or error.strip(), what
        statuses.add(status)
        resident[count] = resident_megabytes(process)
        if count % BETWEEN == 0:
            written = good.predict("Alice was", seed=count, api_name="/generate")
            assert written == generate_text(*alice, "Alice was", seed=count)
    assert {200, 404, 413, 422} <= statuses
    assert resident[abuse.REQUESTS] < 1.2 * resident[abuse.EARLY]
    assert "Traceback" not in log.read_text()
    jobs = [good.submit("she ", seed=seed, api_name="/generate") for seed in range(2 * limits.PLACES)]
    assert [job.result(60) for job in jobs] == [
        generate_text(*alice, "she ", seed=seed) for seed in range(2 * limits.PLACES)
    ]
    assert good.predict("Alice was", api_name="/inspect")["chars"] == list("alice was")
