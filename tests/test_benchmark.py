"""What the pages say is what was measured."""

import pytest

from char_lstm.errors import UserError
from char_lstm.files import write_json
from scripts.benchmarks import base, common, languages, memory, tables, training, variants
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


@pytest.fixture
def measure_base(saved, tmp_path, monkeypatch):
    """Measures the tiny model as a base on the first 10 KB of a book."""
    for recipe in ("tune", "alice"):
        (tmp_path / f"{recipe}.yaml").write_text("hidden_size: 8\nmax_steps: 1\nuse_cpu: true\nngram_smoothing: 0\n")
    (tmp_path / "texts" / "english").mkdir(parents=True)
    book = STORY.read_text(encoding="utf-8") * 2
    (tmp_path / "texts" / "english" / "bram-stoker_dracula.txt").write_text(book, encoding="utf-8")
    monkeypatch.setattr(variants, "RECIPES", tmp_path)
    monkeypatch.setattr(base, "TRIAL", 2)
    monkeypatch.setattr(base, "REPEATS", 1)
    given = (str(saved), str(tmp_path / "texts"), tmp_path / "base.json", ["Dracula, 10 KB"])
    return lambda: base.measure(*given, minutes=0.001)


def test_a_base_is_measured_alone_tuned_and_beside_a_model_from_scratch(measure_base, saved, tmp_path, monkeypatch):
    results = measure_base()
    ((name, row),) = results["rows"].items()
    assert name == "Dracula, 10 KB"
    assert list(row) == ["never seen", "tuned", "from scratch", base.LONG]
    assert "--hidden_size 16" in row[base.LONG]["arguments"]
    assert results["figures"] == {f"{name}: {model}": row[model]["nats_per_char"] for model in row}
    assert len({row[model]["text_sha256"] for model in row}) == 1, "all are tested on one text"
    assert 800 < row["tuned"]["characters"] < 1200, "a tenth of 10 KB"
    assert f"--init_from {saved}" in row["tuned"]["arguments"]
    assert all("init_from" not in row[model]["arguments"] for model in ("from scratch", base.LONG))
    base.plot(results, tmp_path / "base.png")
    assert (tmp_path / "base.png").read_bytes().startswith(b"\x89PNG")

    write_json(tmp_path / "base.json", {"machine": common.machine(), **results})
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    *shown, longer = (f"{row[model]['nats_per_char']:.3f}" for model in row)
    assert f"| Dracula, 10 KB | {' | '.join(shown)} |" in tables.base_table()
    assert f"trained from scratch for 0.001 minutes on Dracula, 10 KB: {longer}" in tables.base_table()

    monkeypatch.setattr(base, "run", lambda *_: pytest.fail("trained again"))
    assert measure_base() == results


def test_figures_of_two_bases_are_never_mixed(measure_base, make_model, saved):
    measure_base()
    make_model(hidden_size=4).save_pretrained(saved)
    with pytest.raises(UserError, match=r"base\.json holds the figures of another base"):
        measure_base()


def test_a_model_from_scratch_gets_the_steps_that_fit(monkeypatch):
    asked = []
    monkeypatch.setattr(
        base, "run", lambda settings, *_: asked.append(settings["max_steps"]) or {"training_seconds": 5.0}
    )
    base.train_from_scratch("text", {}, 60, STORY)
    assert asked == [base.TRIAL, 12 * base.TRIAL]


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
