"""The inspection page is self-contained, holds what the inspector saw, and no text breaks it."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from char_lstm import build_tokenizer, cli, inspect_text
from char_lstm.inspection.page import inspector_data, summary_sentence, telling_cells
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
    assert [[character for character, _ in top] for top in data["top"]] == [
        [character for character, _ in top] for top in seen.top_predictions
    ]
    for position, row in enumerate(data["connectivity"]):
        wanted = seen.connectivity(position)[:position]
        np.testing.assert_allclose(np.array(row["thousandths"]) * row["largest"] / 1000, wanted, rtol=0.01, atol=0.01)
    for gate, layers in data["means"].items():
        np.testing.assert_allclose(layers, seen.gates[gate].mean(axis=2), atol=1e-3)
    for cell in data["cells"]:
        for quantity, array in {"state": seen.cell_state, **seen.gates}.items():
            assert len(cell[quantity]) == time
            np.testing.assert_allclose(cell[quantity], array[cell["layer"], :, cell["unit"]], atol=0.006)


@pytest.mark.parametrize("cell_type", ["lstm", "gru", "rnn"])
def test_every_cell_has_its_page(make_model, tokenizer, cell_type):
    at_once, data = inspector_data(make_model(cell_type=cell_type), tokenizer, TEXT, "tiny")
    assert at_once == data | {"connectivity": None}
    gates = {"lstm": 4, "gru": 3, "rnn": 0}[cell_type]
    assert len(data["quantities"]) == 1 + gates
    assert len({(cell["layer"], cell["unit"]) for cell in data["cells"]}) == 12


def test_the_cells_shown_are_the_liveliest_and_those_that_keep(model, tokenizer):
    seen = inspect_text(model, tokenizer, TEXT)
    chosen = telling_cells(seen, "forget")
    swing, held = np.tanh(seen.cell_state).std(axis=1), seen.gates["forget"].mean(axis=1)
    ranked = sorted(((layer, unit) for layer in range(2) for unit in range(16)), key=lambda cell: -swing[cell])
    swinging = [cell[:2] for cell in chosen if cell[2] == "swings most"]
    keeping = [cell[:2] for cell in chosen if cell[2] == "keeps longest"]
    assert sorted(swinging) == sorted(ranked[:6])
    assert sorted(keeping) == sorted(sorted(ranked[6:16], key=lambda cell: -held[cell])[:6])


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
