"""What the README says is what was measured."""

from scripts.benchmarks import common, tables
from tests.conftest import ROOT


def test_the_readmes_tables_are_those_of_the_committed_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in tables.TABLES:
        assert f"<!-- table: {name} -->" in readme
    assert tables.with_tables(readme) == readme, "run: python scripts/benchmark.py tables"


def test_candidates_are_run_in_turn_and_their_medians_kept(monkeypatch):
    clock = iter([0.0, 1.0, 0.0, 5.0, 0.0, 3.0, 0.0, 4.0, 0.0, 2.0, 0.0, 9.0])
    monkeypatch.setattr(common.time, "perf_counter", lambda: next(clock))
    order = []
    medians = common.interleaved(3, a=lambda: order.append("a"), b=lambda: order.append("b"))
    assert order == ["a", "b"] * 4
    assert medians == {"a": 2.0, "b": 5.0}
