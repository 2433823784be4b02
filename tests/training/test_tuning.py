"""What tuning promises: it starts from a named model, chooses on validation, and never ends worse than it started."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from char_lstm import NoveltyIndex, cli, load, paths
from char_lstm.corpus.build import build_corpus, load_corpus
from char_lstm.errors import CheckpointError
from char_lstm.novelty_books import BookIndex
from char_lstm.training import run, tuning
from char_lstm.training.checkpoints import claim
from char_lstm.verbs.train import read_command

QUICK = "--report_to none --disable_tqdm true --use_cpu true"
TUNED = shlex.split(f"--config tune --row_length 64 --per_device_train_batch_size 4 --num_train_epochs 3 {QUICK}")
NEW = shlex.split(f"--hidden_size 8 --ngram_smoothing 0 --row_length 0 --max_steps 2 --num_train_epochs 1 {QUICK}")


@pytest.fixture
def packaged(saved, monkeypatch):
    """The tiny model as the one packaged model, under its name `tiny`, which is also the base."""
    monkeypatch.setattr(paths, "PRETRAINED", saved.parent)
    monkeypatch.setattr(tuning, "BASE", "tiny")
    return saved


@pytest.fixture
def train(corpus, tmp_path):
    def train(name: str, *arguments: str) -> Path:
        cli.run("train", ["--dataset", str(corpus), "--output_dir", str(tmp_path / name), *arguments])
        return tmp_path / name

    return train


def chosen(output_dir: Path) -> dict:
    return json.loads((output_dir / "run.json").read_text())["chosen"]


def test_a_model_is_an_existing_folder_first_then_a_packaged_name(packaged, tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / "folder").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert paths.local_model("tiny") == packaged
    assert load("tiny")[0].config.hidden_size == 16
    assert paths.local_model("folder") == Path("folder")
    assert paths.local_model("user/model") is None
    with pytest.raises(CheckpointError, match="nowhere: no such model folder, packaged model or id on the Hub"):
        load("nowhere")


def test_rate_and_length_are_chosen_on_validation_for_one_run_on_both_splits(packaged, train, caplog):
    tuned = train("tuned", *TUNED, "--init_from", "tiny", "--learning_rate_grid", "1e-9", "1e-2")
    assert chosen(tuned) == {"learning_rate": 0.01, "num_train_epochs": 3}
    assert "starting from tiny, a model of " in caplog.text
    assert "chosen: 3 epochs at rate 0.01" in caplog.text
    state = json.loads(next(tuned.glob("checkpoint-*/trainer_state.json")).read_text())
    assert state["num_train_epochs"] == 3
    assert max(entry.get("learning_rate", 0) for entry in state["log_history"]) <= 0.01


def test_a_run_carries_the_index_of_the_books_that_its_base_has_read(packaged, train):
    index = BookIndex.build(["the keeper lit the lamp and waited for the ship to come home\n"])
    index.save(packaged)
    tuned = train("tuned", *TUNED, "--init_from", "tiny", "--num_train_epochs", "1")
    assert NoveltyIndex.load(tuned).books.surely_found == index.surely_found


def test_the_choice_sees_the_training_split_alone_and_the_result_both(corpus, packaged, train, monkeypatch):
    read = []
    of_reading = tuning.Reading.training_rows

    def watched(reading):
        read.append(reading.recipe.train_split)
        return of_reading(reading)

    monkeypatch.setattr(tuning.Reading, "training_rows", watched)
    train("tuned", *TUNED, "--init_from", "tiny", "--learning_rate_grid", "1e-2", "--max_steps", "1")
    assert read == ["train+validation", "train", "train+validation"]  # of the run, the choice, the result's index


def test_a_base_that_no_epoch_improves_is_the_result_as_it_was_fitted(packaged, train, caplog):
    tuned = train("tuned", *TUNED, "--init_from", "tiny", "--learning_rate_grid", "10")
    assert chosen(tuned)["num_train_epochs"] == 0
    assert "it stays as it is" in caplog.text
    before, after = load_file(packaged / "model.safetensors"), load_file(tuned / "model.safetensors")
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_a_run_that_was_stopped_after_the_choice_goes_on_with_it(packaged, train, monkeypatch):
    arguments = (*TUNED, "--init_from", "tiny", "--learning_rate_grid", "1e-2", "--save_total_limit", "9")
    tuned = train("tuned", *arguments)
    whole = load_file(tuned / "model.safetensors")
    newest = max(tuned.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    (newest / "complete.json").unlink()
    monkeypatch.setattr(run, "choose_length", None)
    again = load_file(train("tuned", *arguments) / "model.safetensors")
    assert all(torch.equal(again[name], weight) for name, weight in whole.items())


def test_a_new_run_says_whether_the_packaged_base_would_help_and_is_the_same_run(packaged, train, caplog):
    plain, told = train("plain", *NEW), train("told", *NEW, "--suggest_base", "true")
    lines = [record.message for record in caplog.records if "packaged base tiny would" in record.message]
    assert len(lines) == 1
    one, other = load_file(plain / "model.safetensors"), load_file(told / "model.safetensors")
    assert all(torch.equal(other[name], weight) for name, weight in one.items())


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (
            (2.9, 1.9),
            "would help with this text: after 20 steps 1.90 nats per character on validation, a new model 2.90",
        ),
        ((2.9, 2.85), "would not help with this text: after 20 steps 2.85"),
    ],
)
def test_the_suggestion_is_what_was_measured(packaged, corpus, tmp_path, monkeypatch, caplog, scores, said):
    caplog.set_level("INFO")
    left = iter(scores)  # of the new model, then of the base
    monkeypatch.setattr(tuning, "try_out", lambda *_: [9.9, next(left)])
    tuning.suggest_base(read_command(["--dataset", str(corpus), "--output_dir", str(tmp_path / "run"), *NEW]))
    assert said in caplog.text


def test_nothing_is_suggested_where_no_base_is_packaged(monkeypatch, corpus, tmp_path, caplog):
    monkeypatch.setattr(paths, "PRETRAINED", tmp_path)
    tuning.suggest_base(read_command(["--dataset", str(corpus), "--output_dir", str(tmp_path / "run"), *NEW]))
    assert "packaged base" not in caplog.text


@pytest.mark.parametrize(("init_from", "id_on_the_hub"), [("tiny", None), ("user/model", "user/model")])
def test_the_record_names_a_base_on_the_hub_and_takes_no_folder_for_one(
    packaged, corpus, tmp_path, init_from, id_on_the_hub
):
    recipe = read_command(["--init_from", init_from, "--output_dir", str(tmp_path / "run"), *NEW])
    claim(recipe, load_corpus(str(corpus)))
    assert json.loads((tmp_path / "run" / "run.json").read_text()).get("base_model") == id_on_the_hub


def test_a_list_starts_from_a_model_of_running_text(packaged, tmp_path):
    (tmp_path / "names.txt").write_text("".join(f"{a}{b}n\n" for a in "bcdfghklmn" for b in "aeiou"), encoding="utf-8")
    build_corpus(tmp_path / "names", text=str(tmp_path / "names.txt"), sequence="item")
    where = ["--dataset", str(tmp_path / "names"), "--output_dir", str(tmp_path / "run"), "--init_from", "tiny"]
    items = ["--stateful", "false", "--row_length", "0", "--learning_rate_grid", "1e-2"]
    cli.run("train", [*TUNED, *where, *items, "--num_train_epochs", "1"])
    model, tokenizer = load(tmp_path / "run")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id is not None
    assert model.generation_config.temperature == 1.0
