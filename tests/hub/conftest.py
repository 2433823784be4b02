"""The tiny model packaged, a corpus, a Space, and the command that publishes all three to the stand-in."""

import hashlib
import json
import shutil

import pytest
from datasets import load_from_disk

from char_lstm import cli
from char_lstm.hub import assemble

SETTINGS = {
    "num_train_epochs": 100.0,
    "train_split": "train",
    "row_length": 9,
    "ngram_smoothing": 0.25,
    "ema_decay": 0.5,
}
APP = "import char_lstm\n"
HEADER = """---
title: Tiny
emoji: 🐇
colorFrom: green
colorTo: yellow
sdk: gradio
sdk_version: 6.31.0
app_file: app.py
license: mit
short_description: Writes
---
"""


def finish(saved):
    """Makes a saved model a finished run, as train.py and evaluate.py leave it."""
    figures = {"split": "test", "parameters": 7, "characters": 11, "nats_per_char": 1.25, "bits_per_char": 1.8034}
    (saved / "evaluation.json").write_text(json.dumps(figures | {"nats_per_char_reset": 1.5}))
    (saved / "run.json").write_text(json.dumps({"settings": SETTINGS}))
    (saved / "samples.json").write_text(json.dumps({"001": "aaa"}))
    (saved / "loss.png").write_bytes(b"png")
    return saved


@pytest.fixture
def packaged(saved, corpus, tmp_path):
    """The tiny model, as package.py makes it, tested on the corpus."""
    figures = json.loads((finish(saved) / "evaluation.json").read_text())
    text = "".join(load_from_disk(corpus)["test"]["text"])
    figures["text_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (saved / "evaluation.json").write_text(json.dumps(figures))
    cli.run("package", ["--run", str(saved), "--output_dir", str(tmp_path / "mine")])
    return tmp_path / "mine"


@pytest.fixture
def space(packaged, tmp_path, monkeypatch):
    """A Space's folder, with what must not travel in it too, and a model to compare."""
    folder = tmp_path / "space"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "app.pyc").touch()
    (folder / "app.py").write_text(APP)
    (folder / "README.md").write_text(HEADER)
    (folder / "agents.md").write_text("USER/SPACE answers at https://USER-SPACE.hf.space")
    (folder / "requirements.txt").write_text("torch>=2.6\n")
    monkeypatch.setattr(assemble, "in_checkout", lambda *_: folder)
    shutil.copytree(packaged, tmp_path / "pretrained" / "alice_rnn")
    monkeypatch.setattr(assemble, "PRETRAINED", tmp_path / "pretrained")
    return folder


@pytest.fixture
def command(packaged, corpus, space, hub, untried):
    """Publishes all three and returns the exit status; further arguments are appended."""
    arguments = ["--model", str(packaged), "--repo_id", "user/tiny", "--dataset", str(corpus)]
    arguments += ["--dataset_repo_id", "user/story", "--space_id", "user/writes", "--tag", "v1"]

    def command(*more: str) -> int:
        return exit_status([*arguments, *more])

    return command


def exit_status(argv: list[str]) -> int:
    try:
        cli.run("publish", argv)
    except SystemExit as stop:
        return stop.code
    return 0
