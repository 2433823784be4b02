"""The lecture in ten cells runs as it stands, and what it shows is so."""

import contextlib
import io
import json
import re

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "lecture.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


@pytest.fixture(scope="module", params=[ROOT, NOTEBOOK.parent], ids=["from the root", "from docs"])
def lecture(request) -> tuple[dict, list[str]]:
    """Runs the code cells in order in one namespace: the names they leave, and what each of them printed."""
    names, printed = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(request.param)
        for cell in CELLS:
            if cell["cell_type"] == "code":
                with contextlib.redirect_stdout(io.StringIO()) as output:
                    exec("".join(cell["source"]), names)
                printed.append(output.getvalue())
    return names, printed


def test_the_lecture_is_ten_cells_each_below_its_source_and_kept_without_outputs():
    cells = CELLS[1:]  # the title is by itself
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code"] * 10
    for number, (above, code) in enumerate(zip(cells[::2], cells[1::2], strict=True), start=1):
        assert above["source"][0].startswith(f"## {number}. ")
        assert re.search(r"\b(19|20)\d\d\b", "".join(above["source"]))
        assert (code["outputs"], code["execution_count"]) == ([], None)


def test_every_equality_that_the_lecture_shows_holds(lecture):
    shown = "".join(lecture[1])
    assert shown.count(": True\n") == 11
    assert "False" not in shown


def test_the_cells_of_the_lecture_are_the_layers_of_the_library(lecture):
    names, printed = lecture
    assert "1100 weights" in printed[1]
    assert names["difference"] < 1e-6
    assert list(names["differences"]) == ["rnn", "gru", "lstm"]
    assert max(names["differences"].values()) < 1e-6


def test_the_gradient_of_the_lecture_vanishes_and_a_weight_stays_as_it_was(lecture):
    names, printed = lecture
    assert names["sizes"][0] > 0.1
    assert 0 < names["sizes"][-1] < 1e-7
    assert "2.1 - 0.001 = 2.099" in printed[3]


def test_the_classifier_of_the_lecture_knows_what_is_asked(lecture):
    last_word = lecture[1][6].splitlines()[3]
    assert last_word.startswith("it    ask_time")


def test_the_lecture_ends_with_500_characters_and_gates_that_made_their_state(lecture):
    names, _ = lecture
    assert names["characters"].splitlines()[-1] == "the cat who never hurried smiled and went to sleep"
    assert names["tokenizer"].decode(names["ids"]) == names["characters"]
    assert names["gap"] < 1e-5
    assert re.fullmatch(r"[a-z \n]{500}", names["written"])
