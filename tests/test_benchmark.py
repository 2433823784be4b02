"""What the README says is what was measured."""

import pytest

from scripts.benchmarks import common, tables, variants
from tests.conftest import ROOT, STORY


def test_the_readmes_tables_are_those_of_the_committed_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in tables.TABLES:
        assert f"<!-- table: {name} -->" in readme
    assert tables.with_tables(readme) == readme, "run: python scripts/benchmark.py tables"


def test_a_table_of_variants_trains_each_row_once_and_goes_on_where_it_was_cut_off(tmp_path, monkeypatch):
    tiny = "hidden_size: 8\nmax_steps: 2\nuse_cpu: true\nngram_smoothing: 0\n"
    (tmp_path / "tiny.yaml").write_text(tiny)
    (tmp_path / "variants.yaml").write_text(
        "pair: {plain: {config: tiny.yaml}, marks: {config: tiny.yaml, corpus: {keep_punctuation: true}}}"
    )
    monkeypatch.setattr(variants, "CONFIGS", tmp_path)
    results = variants.measure(str(STORY), "pair", tmp_path / "pair.json")
    plain, marks = results["rows"].values()
    assert results["figures"] == {"plain": plain["nats_per_char"], "marks": marks["nats_per_char"]}
    assert (plain["steps"], plain["arguments"]) == (2, "--config tiny.yaml")
    assert marks["characters"] > plain["characters"]

    monkeypatch.setattr(variants, "run", lambda *_: pytest.fail("trained again"))
    assert variants.measure(str(STORY), "pair", tmp_path / "pair.json") == results


def test_candidates_are_run_in_turn_and_their_medians_kept(monkeypatch):
    clock = iter([0.0, 1.0, 0.0, 5.0, 0.0, 3.0, 0.0, 4.0, 0.0, 2.0, 0.0, 9.0])
    monkeypatch.setattr(common.time, "perf_counter", lambda: next(clock))
    order = []
    medians = common.interleaved(3, a=lambda: order.append("a"), b=lambda: order.append("b"))
    assert order == ["a", "b"] * 4
    assert medians == {"a": 2.0, "b": 5.0}
