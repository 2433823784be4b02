"""What a packaged model promises: it can be pushed as it is, and its card says what was measured."""

import json

import pytest
from huggingface_hub import ModelCard

from char_lstm import load
from scripts import package
from tests.conftest import ALICE, ROOT

PACKAGE = ROOT / "modeling" / "char_lstm"


@pytest.fixture
def run(saved):
    """A finished run, as train.py and evaluate.py leave it."""
    figures = {"split": "test", "parameters": 7, "characters": 11, "nats_per_char": 1.25, "bits_per_char": 1.8034}
    (saved / "evaluation.json").write_text(json.dumps(figures | {"nats_per_char_reset": 1.5}))
    (saved / "run.json").write_text(
        json.dumps({"settings": {"num_train_epochs": 100.0, "train_split": "train", "row_length": 9}})
    )
    (saved / "loss.png").write_bytes(b"png")
    return saved


@pytest.fixture
def packaged(run, tmp_path):
    package.main(["--run", str(run), "--output_dir", str(tmp_path / "mine")])
    return tmp_path / "mine"


def test_a_packaged_model_holds_all_that_a_hub_repository_needs_and_nothing_else(packaged):
    assert {file.name for file in packaged.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *("configuration_char_lstm.py", "modeling_char_lstm.py"),
        *("evaluation.json", "loss.png", "README.md"),
    }
    load(packaged)


def test_the_cards_figures_are_the_evaluations(packaged):
    card = ModelCard.load(packaged / "README.md")
    reported = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert reported == {"nats_per_char": 1.25, "bits_per_char": 1.8034}
    assert "| 1.250 | 1.803 |" in card.text
    assert "| 1.500 | 2.164 |" in card.text
    assert "11 characters" in card.text


def test_packaging_again_replaces_the_folder_as_a_whole(run, packaged):
    (packaged / "stray.txt").touch()
    package.main(["--run", str(run), "--output_dir", str(packaged)])
    assert not (packaged / "stray.txt").exists()


def test_a_run_without_figures_is_refused_and_nothing_is_written(run, tmp_path, capsys):
    (run / "evaluation.json").unlink()
    with pytest.raises(SystemExit) as stop:
        package.main(["--run", str(run), "--output_dir", str(tmp_path / "mine")])
    assert stop.value.code == 2
    assert "evaluation.json" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "copy", sorted(ALICE.parent.glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_the_code_in_a_pretrained_folder_is_the_packages(copy):
    assert copy.read_bytes() == (PACKAGE / copy.name).read_bytes(), f"save {copy.parent.name} again"


def test_the_packaged_alice_says_what_its_evaluation_measured():
    figures = json.loads((ALICE / "evaluation.json").read_text())
    reported = {
        result.metric_type: result.metric_value for result in ModelCard.load(ALICE / "README.md").data.eval_results
    }
    assert reported == {name: round(figures[name], 4) for name in reported}
    assert set(reported) == {"nats_per_char", "bits_per_char"}


def test_the_packaged_alice_is_the_assignment_and_under_6_mb():
    model, tokenizer = load(ALICE)
    config = model.config
    assert (config.cell_type, config.num_hidden_layers, config.hidden_size) == ("lstm", 2, 256)
    assert (config.input_dropout, config.hidden_dropout) == (0.1, 0.1)
    assert set(tokenizer.get_vocab()) == {"<pad>", "\n", " ", *"abcdefghijklmnopqrstuvwxyz"}
    assert (ALICE / "model.safetensors").stat().st_size < 6_000_000
    assert model.generation_config.max_new_tokens == 500
