"""The inspection page is self-contained, holds what the inspector saw, and no text breaks it."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from char_lstm import build_tokenizer, cli, inspect_text
from char_lstm.generation_char_lstm import choose, sampling_settings
from char_lstm.inspection.page import connectivity_at, inspector_data, shaped_odds, summary_sentence
from char_lstm.inspection.telling import CELLS, HOLDS, known_cells, telling_cells, tracked
from char_lstm.tokenization_char_lstm import END_OF_ITEM

TEXT = "Nobody had told Tamsin. The lamp was as tall as a wardrobe."
HOSTILE = '</script><script>alert(1)</script><!-- <img src=x> & {{ inspection }} \u2028 \\ "'


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="inspection">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture
def page(saved, tmp_path):
    output = tmp_path / "new" / "page.html"
    cli.run("inspect", ["--text", TEXT, "--model", str(saved), "--output", str(output)])
    return output.read_text(encoding="utf-8")


def test_the_page_needs_nothing_from_outside(page):
    assert not re.search(r"https?:|//\w+\.|<link|<img|<iframe|@import|url\(|\bsrc=|fetch\(|\bimport\b", page)
    assert "default-src 'none'" in page


def test_the_page_holds_what_the_inspector_saw(page, model, tokenizer):
    data, seen = data_of(page), inspect_text(model, tokenizer, TEXT)
    time = len(seen.chars)
    assert data["chars"] == seen.chars
    np.testing.assert_allclose(data["surprisal"], seen.surprisal, atol=1e-3)
    for character, shown, top in zip(seen.chars, data["top"], seen.top_predictions, strict=True):
        assert [other for other, _ in shown[:5]] == [other for other, _ in top]
        assert character in [other for other, _ in shown]
    for position, row in enumerate(data["connectivity"]):
        wanted = seen.connectivity(position)[:position]
        assert row["position"] == position
        np.testing.assert_allclose(np.array(row["thousandths"]) * row["largest"] / 1000, wanted, rtol=0.01, atol=0.01)
    for gate, layers in data["means"].items():
        np.testing.assert_allclose(layers, seen.gates[gate].mean(axis=2), atol=1e-3)
    for cell in data["cells"]:
        for quantity, array in {"state": seen.cell_state, "hidden": seen.output, **seen.gates}.items():
            assert len(cell["values"][quantity]) == time
            np.testing.assert_allclose(cell["values"][quantity], array[cell["layer"], :, cell["unit"]], atol=6e-4)


@pytest.mark.parametrize("cell_type", ["lstm", "gru", "rnn"])
def test_every_cell_has_its_page(make_model, tokenizer, cell_type):
    at_once, data = inspector_data(make_model(cell_type=cell_type), tokenizer, TEXT, "tiny")
    assert at_once == data | {"connectivity": None, "differences": None}
    assert data["differences"]["curves"][0]["cell"] == cell_type
    gates = {"lstm": 4, "gru": 3, "rnn": 0}[cell_type]
    assert len(data["quantities"]) == 1 + gates + (cell_type == "lstm")
    assert len({(cell["layer"], cell["unit"]) for cell in data["cells"]}) == CELLS


def test_the_cells_shown_are_the_liveliest_and_those_that_keep(model, tokenizer):
    seen = inspect_text(model, tokenizer, TEXT)
    chosen = telling_cells(seen, "forget")
    swing, held = np.tanh(seen.cell_state).std(axis=1), seen.gates["forget"].mean(axis=1)
    places = {
        why: sorted((c["layer"], c["unit"]) for c in chosen if c["why"] == why)
        for why in ("swings most", "keeps longest")
    }
    named = [(c["layer"], c["unit"]) for c in chosen if c["name"]]
    ranked = sorted(((layer, unit) for layer in range(2) for unit in range(16)), key=lambda cell: -swing[cell])
    others = [cell for cell in ranked if cell not in named]
    swinging = others[: (CELLS + 1 - len(named)) // 2]
    lively = [cell for cell in ranked[:16] if cell not in [*named, *swinging]]
    assert len(chosen) == CELLS
    assert places["swings most"] == sorted(swinging)
    assert places["keeps longest"] == sorted(
        sorted(lively, key=lambda cell: -held[cell])[: CELLS - len(named) - len(swinging)]
    )


def test_a_cell_has_a_name_only_where_it_follows_what_the_name_says():
    text = "One lamp, two lamps. “Three,” said Tamsin.\n" * 8
    vowels = np.array([past.lower() in "aeiou" for past in "\n" + text[:-1]], float)
    noise = np.random.default_rng(0).normal(size=(40, len(text))) / 10
    states = noise.T[None].copy()  # (1, time, 40)
    states[0, :, 7] -= 3 * vowels
    cells = telling_cells(SimpleNamespace(chars=list(text), cell_state=states), None)
    assert [(cell["unit"], cell["name"]) for cell in cells if cell["name"]] == [(7, "after a vowel")]
    found = np.corrcoef(np.tanh(states[0, :, 7]), vowels)[0, 1]
    assert abs(found) >= HOLDS
    assert f"correlation {found:.2f}" in [cell["why"] for cell in cells]


def test_of_more_names_than_cells_the_best_followed_are_kept():
    text = "One lamp, two lamps. “Three,” said Tamsin.\n" * 8
    found = tracked(list(text))
    noise = np.random.default_rng(0).normal(size=(len(text), 40))
    states = 0.05 * noise[None]  # (1, time, 40)
    for unit, values in enumerate(found.values()):
        states[0, :, unit] += 0.1 * (values - values.mean()) / values.std()
    names = {cell["name"] for cell in telling_cells(SimpleNamespace(chars=list(text), cell_state=states), None)}
    assert len(found) > CELLS
    assert len(names) == CELLS
    assert None not in names


def test_what_happens_too_seldom_is_no_name():
    text = "one lamp said “two” in the night and there was not a single line end in all of it"
    names = tracked(list(text)).keys()
    assert {"after a vowel", "position in the word"} <= names
    assert not {"inside a quotation", "distance from the line's start"} & names
    assert {"inside a quotation", "distance from the line's start"} <= tracked(list((text + "\n") * 8)).keys()


def test_what_is_tracked_was_read_before_the_character_is_predicted():
    text = 'a cat "or so" ran\n' * 6
    found = tracked(list(text))
    assert found["after a vowel"][1] == 1  # after the a
    assert found["position in the word"][2:6].tolist() == [0, 1, 2, 3]
    assert found["first letter of a word"][2:6].tolist() == [0, 1, 0, 0]
    assert found["inside a quotation"][6:13].tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert found["inside a quotation"][13] == 0
    assert found["distance from the line's start"][17:21].tolist() == [17, 0, 1, 2]


def test_a_model_shows_the_same_cells_whatever_it_reads(model, tokenizer):
    shown = [list(inspector_data(model, tokenizer, text, "tiny"))[1]["cells"] for text in (TEXT, "lamp")]
    wanted = known_cells(model, tokenizer)
    for cells in shown:
        assert [{name: cell[name] for name in ("layer", "unit", "why", "name")} for cell in cells] == wanted


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.5, "top_k": 4}, {"temperature": 1.7, "top_p": 0.6}, {"temperature": 0}]
)
def test_the_shaped_odds_are_those_that_the_draw_follows(model, tokenizer, settings):
    seen = inspect_text(model, tokenizer, TEXT)
    settings = sampling_settings(model.generation_config, **settings)
    odds = shaped_odds(seen.log_odds, settings)
    draws = (np.arange(2000)[:, None] + 0.5) / 2000
    for step in (0, 20):
        drawn = choose(np.repeat(seen.log_odds[step : step + 1], 2000, axis=0), settings, draws)
        np.testing.assert_allclose(np.bincount(drawn, minlength=len(tokenizer)) / 2000, odds[step], atol=1e-3)


def test_a_written_text_shows_what_its_settings_made_of_the_odds(model, tokenizer):
    settings = {"temperature": 0.5, "top_k": 3, "top_p": 1.0}
    data, _ = inspector_data(model, tokenizer, TEXT, "tiny", given=6, settings=settings)
    assert (data["given"], data["settings"]) == (6, settings)
    seen = inspect_text(model, tokenizer, TEXT)
    for shown, shaped in zip(data["top"], data["shaped"], strict=True):
        assert [character for character, _ in shown] == [character for character, _ in shaped]
        assert sum(p for _, p in shaped) == pytest.approx(1, abs=1e-3)
    ids = tokenizer.convert_tokens_to_ids([character for character, _ in data["top"][9]])
    own = np.exp(seen.log_odds[9, ids])
    powers = np.sort(np.where(np.isin(ids, 0), 0, own) ** 2)[::-1][:3]
    assert sorted((p for _, p in data["shaped"][9]), reverse=True)[:3] == pytest.approx(powers / powers.sum(), abs=1e-4)


def test_connectivity_is_there_for_one_character_alone(model, tokenizer):
    *_, data = inspector_data(model, tokenizer, TEXT, "tiny")
    assert connectivity_at(model, tokenizer, TEXT, 20) == data["connectivity"][20]
    with pytest.raises(IndexError):
        connectivity_at(model, tokenizer, TEXT, len(data["chars"]))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a lamp", "“\u2068m\u2069” of “\u2068lamp\u2069”"),
        ("की", "“\u2068◌ी\u2069” of “\u2068की\u2069”"),
        (f"emma{END_OF_ITEM}", "end after “\u2068emma\u2069”"),
        (f"{'漢' * 100}字{'仮' * 100}", f"“\u2068字\u2069” of “\u2068{'漢' * 20}字{'仮' * 19}\u2069”"),
    ],
)
def test_the_sentence_shows_the_most_surprising_character_of_any_script(text, place):
    worst = {"a lamp": 4, "की": 1}.get(text, 4 if text.startswith("e") else 100)
    seen = SimpleNamespace(chars=list(text), surprisal=np.eye(len(text))[worst])
    assert f"it is largest at the {place}: 1.0 nats" in summary_sentence(seen)


def test_a_hostile_text_stays_a_text(make_model, tmp_path):
    tokenizer = build_tokenizer([HOSTILE], lowercase=False, strip_punctuation=False)
    folder = tmp_path / "<b>model"
    make_model(vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    cli.run("inspect", ["--text", HOSTILE, "--model", str(folder), "--output", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(re.findall("<script", page)) == len(re.findall("</script", page)) == 2
    assert "<b>model" not in page
    assert "".join(data_of(page)["chars"]) == HOSTILE.replace("\u2028", "\n")


def test_500_characters_fit_in_a_megabyte(saved, story, tmp_path):
    cli.run("inspect", ["--text", story[:500], "--model", str(saved), "--output", str(tmp_path / "page.html")])
    assert (tmp_path / "page.html").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--text": ""}, "the text holds no character"),
        ({"--text": "漢字"}, "the text holds no character"),
        ({"--text": "a " * 600}, "the text has 1200 characters"),
        ({"--model": "no/such/model"}, "no/such/model"),
        ({"--output": "."}, "is a folder"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(saved, tmp_path, capsys, change, says):
    options = {"--text": TEXT, "--model": str(saved), "--output": str(tmp_path / "page.html")} | change
    with pytest.raises(SystemExit) as stopped:
        cli.run("inspect", [part for option in options.items() for part in option])
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert says in lines[-1]
    assert not any("Traceback" in line for line in lines)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
