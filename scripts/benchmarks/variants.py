"""Recipes that differ in one thing, trained one after the other and tested on the same part of the same text."""

import json
import tempfile
from pathlib import Path

import yaml

from char_lstm import load
from char_lstm.corpus.build import build_corpus
from char_lstm.files import write_json
from char_lstm.paths import RECIPES
from char_lstm.training.evaluation import evaluate
from char_lstm.training.run import train
from char_lstm.verbs.train import read_command

from .common import UNDISTURBED, now

TABLES = Path(__file__).with_suffix(".yaml")


def run(settings: dict, text: str, folder: Path) -> dict:
    """Trains one row on a corpus of its own and tests it."""
    settings, run_folder = dict(settings), folder / "run"
    corpus = settings.pop("corpus", {})
    dataset = build_corpus(folder / "corpus", text=text, **corpus)
    places = {"config": RECIPES / settings.get("config", "alice.yaml"), "dataset": folder / "corpus"}
    whole = {**settings, **places, "output_dir": run_folder, "train_split": "train+validation", **UNDISTURBED}
    start = now()
    trainer = train(read_command([f"--{name}={value}" for name, value in whole.items()]))
    seconds = now() - start
    figures = evaluate(*load(run_folder), dataset["test"])
    command = " ".join(f"--{name} {value}" for name, value in settings.items())
    done = {"steps": trainer.state.global_step, "epochs": trainer.state.epoch, "seconds": seconds}
    done["training_seconds"] = trainer.state.log_history[-1]["train_runtime"]
    return {"corpus": corpus, "arguments": command, **done, **figures}


def measure(text: str, table: str, json_path: Path) -> dict:
    """One table of variants.yaml; rows that stand in the file already are kept, so a run can be cut off and go on."""
    rows = yaml.safe_load(TABLES.read_text(encoding="utf-8"))[table]
    known = json.loads(json_path.read_text(encoding="utf-8")) if json_path.exists() else {}
    results = known.get("rows", {})
    for name, settings in rows.items():
        if name not in results:
            with tempfile.TemporaryDirectory() as folder:
                results[name] = run(settings, text, Path(folder))
            write_json(json_path, {**known, "rows": results})
    return {
        "rows": {name: results[name] for name in rows},
        "unit": "nats per character, test split",
        "figures": {name: results[name]["nats_per_char"] for name in rows},
    }
