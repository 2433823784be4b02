"""What the pages say is what was measured."""

import pytest

from scripts.benchmarks import common, languages, memory, tables, training, variants
from tests.conftest import STORY

TINY = {"max_steps": 1, "hidden_size": 8, "use_cpu": True, "ngram_smoothing": 0}


def test_each_table_stands_on_one_page_and_is_that_of_the_committed_results():
    pages = [page.read_text(encoding="utf-8") for page in tables.PAGES]
    marked = [name for page in pages for _, name, _ in tables.MARKED.findall(page)]
    assert sorted(marked) == sorted(tables.TABLES)
    assert sum(page.count("<!-- table: ") for page in pages) == len(marked), "a mark that no end follows"
    for page in pages:
        assert tables.with_tables(page) == page, "run: python scripts/benchmark.py tables"


def test_a_table_of_variants_trains_each_row_once_and_goes_on_where_it_was_cut_off(tmp_path, monkeypatch):
    tiny = "hidden_size: 8\nmax_steps: 2\nuse_cpu: true\nngram_smoothing: 0\n"
    (tmp_path / "tiny.yaml").write_text(tiny)
    (tmp_path / "variants.yaml").write_text(
        "pair: {plain: {config: tiny.yaml}, marks: {config: tiny.yaml, corpus: {keep_punctuation: true}}}"
    )
    monkeypatch.setattr(variants, "TABLES", tmp_path / "variants.yaml")
    monkeypatch.setattr(variants, "RECIPES", tmp_path)
    results = variants.measure(str(STORY), "pair", tmp_path / "pair.json")
    plain, marks = results["rows"].values()
    assert results["figures"] == {"plain": plain["nats_per_char"], "marks": marks["nats_per_char"]}
    assert (plain["steps"], plain["arguments"]) == (2, "--config tiny.yaml")
    assert marks["characters"] > plain["characters"]

    monkeypatch.setattr(variants, "run", lambda *_: pytest.fail("trained again"))
    assert variants.measure(str(STORY), "pair", tmp_path / "pair.json") == results


def test_a_compressor_is_asked_for_what_the_test_text_adds_to_what_was_seen():
    seen, repeated, other = (
        "a lamp stood in the tower " * 20,
        "a lamp stood in the tower ",
        "unheard of by a quirk xyz ",
    )
    for compress in languages.COMPRESSORS.values():
        assert languages.added_bits(compress, seen, repeated) < languages.added_bits(compress, seen, other)
    assert languages.added_bits(bytes, "seen", "né") == 12  # three bytes, two characters


def test_languages_go_on_where_they_were_cut_off(tmp_path, monkeypatch):
    (tmp_path / "el.txt").write_text(STORY.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(languages, "LANGUAGES", {"el": ("Greek", "Greek")})
    monkeypatch.setattr(languages, "SETTINGS", TINY)
    results = languages.measure(str(tmp_path), tmp_path / "languages.json")
    assert results["figures"] == {"Greek": results["languages"]["el"]["bits_per_char"]}

    monkeypatch.setattr(languages, "run", lambda *_: pytest.fail("trained again"))
    assert languages.measure(str(tmp_path), tmp_path / "languages.json") == results


def test_candidates_are_run_in_turn_and_their_medians_kept(monkeypatch):
    clock = iter([0.0, 1.0, 0.0, 5.0, 0.0, 3.0, 0.0, 4.0, 0.0, 2.0, 0.0, 9.0])
    monkeypatch.setattr(common.time, "perf_counter", lambda: next(clock))
    order = []
    medians = common.interleaved(3, a=lambda: order.append("a"), b=lambda: order.append("b"))
    assert order == ["a", "b"] * 4
    assert medians == {"a": 2.0, "b": 5.0}


def test_training_is_measured_against_the_bare_loop_on_the_device_of_the_recipe(corpus, monkeypatch):
    asked = []
    monkeypatch.setattr(training, "STEPS", 2)
    monkeypatch.setattr(training, "WARM", 1)
    monkeypatch.setattr(training, "now", lambda device: asked.append(device.type) or len(asked) ** 2)
    results = training.measure(1, str(corpus))
    assert asked == [results["device"]] * 4, "before and after the timed steps, of both"
    (ours, bare), characters = results["characters_a_second"].values(), 2 * results["batch"]["real characters"]
    assert (ours, bare) == (characters / (2**2 - 1), characters / (4**2 - 3**2))
    assert results["figures"]["train.py's characters a second to the bare loop's"] == ours / bare


@pytest.mark.slow
def test_memory_is_that_of_a_step_in_a_process_of_its_own():
    results = memory.measure({"tiny": (1, 64, 4)}, (2000,))
    at = results["steps"]["tiny"][2000]
    assert at["rows"] == 4
    kept = 4 * 2000 * 64 * 4 / 1e6  # megabytes of the outputs alone
    assert kept < at["segments"]["megabytes"] < at["whole"]["megabytes"]
    assert set(results["figures"]) == {
        f"tiny, rows of 2000, {what} in segments to whole" for what in ("megabytes", "seconds")
    }
