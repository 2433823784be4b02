"""A seed writes the same text on every machine: the committed hashes of what the packaged models write."""

import hashlib
import json

import pytest

from char_lstm import generate_text, load_decoder
from scripts.benchmarks import seeds
from tests.conftest import ROOT

COMMITTED = json.loads((ROOT / "scripts" / "results" / "seeds.json").read_text(encoding="utf-8"))
SEED = 7


def test_the_table_has_every_packaged_model_that_writes():
    assert sorted(COMMITTED["sha256"]) == seeds.models(), "run: python scripts/benchmark.py seeds"


@pytest.mark.parametrize("name", COMMITTED["sha256"])
def test_a_seed_writes_the_committed_text(name):
    text = generate_text(*load_decoder(name), seed=SEED, max_new_tokens=500)
    written = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert written == COMMITTED["sha256"][name][SEED], "run: python scripts/benchmark.py seeds"


@pytest.mark.slow
@pytest.mark.parametrize("environment", seeds.ENVIRONMENTS)
def test_every_seed_writes_it_under_other_threads_and_vector_instructions(environment):
    written = seeds.written_under(seeds.ENVIRONMENTS[environment])
    expected = COMMITTED["differ"].get(environment, [])
    assert set(seeds.differing(COMMITTED["sha256"], written)) <= set(expected)
