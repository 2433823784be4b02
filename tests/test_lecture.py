"""The lecture explains, shows what it computes, sets exercises, and runs by itself on any model it travels with."""

import json
import re
import subprocess
import sys
import tomllib

import pytest

from char_lstm.paths import TEMPLATES
from tests.conftest import ALICE, ROOT

NOTEBOOK = TEMPLATES / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
PARTS = list(zip(CELLS[2::3], CELLS[3::3], CELLS[4::3], strict=True))  # the title and the imports are by themselves
RUN = """
import contextlib, io, json, sys
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.modules["char_lstm"] = None  # as where only a model was fetched
names, printed = {}, []
plt.show = lambda: (print("a picture"), plt.close("all"))
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        source = "".join(line for line in cell["source"] if not line.startswith("%pip"))
        source = source.replace("../../pretrained/alice", sys.argv[2])
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(source, names)
        printed.append(output.getvalue())
kept = {name: names[name] for name in ("written", "nats", "vanished")}
print(json.dumps({"printed": printed, **kept}))
"""


def run(model) -> dict:
    """Runs the lecture on a model in a process without this package; what its cells printed, and some of its names."""
    command = [sys.executable, "-c", RUN, str(NOTEBOOK), str(model)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


@pytest.fixture(scope="module")
def lecture() -> dict:
    return run(ALICE)


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_each_part_cites_its_source_computes_and_ends_with_an_exercise_and_its_answer():
    assert len(PARTS) == 11
    for number, (above, code, below) in enumerate(PARTS, start=1):
        assert source(above).startswith(f"## {number}. ")
        assert re.search(r"\b(19|20)\d\d\b", source(above))
        assert code["cell_type"] == "code"
        assert source(below).startswith("**Exercise.** ")
        assert "<summary>Answer</summary>" in source(below)


@pytest.mark.parametrize(
    "words",
    [
        "Why two? With one state",
        "**`hidden_size`** is how many cells",
        "**Layers** stand one above the other",
        "the *last step of every layer*, first layer first",
        "So it is fed back, as the next input",
        "Hold one gate of the trained model open or shut",
    ],
)
def test_what_learners_ask_is_answered(words):
    assert any(words in source(above) for above, _, _ in PARTS)


def test_what_it_computes_is_stored_with_it_pictures_too_and_no_warnings():
    pictures = 0
    for _, code, _ in PARTS:
        assert code["outputs"]
        for output in code["outputs"]:
            assert output.get("name", "stdout") == "stdout"
            assert "True\n" not in "".join(output.get("text", []))
            pictures += "image/png" in output.get("data", {})
    assert pictures >= 7


def test_it_asks_for_the_libraries_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {*project["dependencies"], *project["optional-dependencies"]["train"]}
    asked = re.findall(r'"([^"]+)"', CELLS[1]["source"][0])
    assert len(asked) == 3
    assert set(asked) <= known


@pytest.mark.slow
def test_every_pair_of_numbers_that_the_lecture_shows_agrees(lecture):
    shown = dict(re.findall(r"^ *(\S.*?)  +((?: *-?\d\.\d{3}){5})$", "\n".join(lecture["printed"]), re.MULTILINE))
    for one, other in [
        ("output of step 4", "last output of all five steps at once"),
        ("a fully connected layer, five times", "torch.nn.RNN"),
        ("h after five steps, written out", "h of torch.nn.LSTM"),
        ("h_n[2]: layer 2, forward", "output[-1], the first 10"),
        ("h_n[3]: layer 2, backward", "output[0], the last 10"),
        ("written out", "torch's"),
    ]:
        assert shown[one].split() == shown[other].split()
    ours, models_own = re.findall(r"([\d.]+) nats by", lecture["printed"][9])
    assert ours == models_own


@pytest.mark.slow
def test_the_gradient_vanishes_and_a_weight_stays_as_it_was(lecture):
    assert 0 < lecture["vanished"] < 1e-7
    assert "2.1 - 0.001 = 2.0989999" in lecture["printed"][3]


@pytest.mark.slow
def test_it_ends_with_500_characters_and_gates_that_all_help(lecture):
    assert re.fullmatch(r"[a-z \n]{500}", lecture["written"])
    assert len(lecture["nats"]) == 7
    assert min(lecture["nats"], key=lecture["nats"].get) == "as trained"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "bars"), [("alice_gru", 5), ("alice_rnn", 1)])
def test_it_runs_on_a_model_of_other_cells(name, bars):
    assert len(run(ALICE.parent / name)["nats"]) == bars
