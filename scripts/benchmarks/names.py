"""How well held-out names are predicted by the recipe `names`.

Karpathy's makemore (github.com/karpathy/makemore) holds out 1 000 of its 32 033 names, and its transformer is measured
on them; so is the recipe here, trained on all the others. Names that stand in the list twice may be on both sides, so
those that are not are measured by themselves too.
"""

import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset

from char_lstm import generate_items, load
from char_lstm.corpus.build import build_corpus
from char_lstm.training.evaluation import evaluate
from char_lstm.training.run import train
from char_lstm.verbs.train import read_command

from .common import UNDISTURBED, now

MAKEMORE = {"seed": 3407, "held_out": 1000}  # its defaults
SPLITS = "train+validation+test"  # of the others
MAKEMORE_TRANSFORMER = {"parameters": 204_544, "nats_per_char": 1.982}  # quoted, not run here: 8 000 steps of 32


def makemore_split(text: str) -> tuple[list[str], list[str]]:
    """The names that makemore trains on, and those that it holds out."""
    names = [name for line in Path(text).read_text(encoding="utf-8").splitlines() if (name := line.strip())]
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(MAKEMORE["seed"])).tolist()
    shuffled = [names[index] for index in order]
    return shuffled[: -MAKEMORE["held_out"]], shuffled[-MAKEMORE["held_out"] :]


def measure(text: str) -> dict:
    """`nats_per_char`, the end of each name included, with the seconds that a single thread trained."""
    torch.set_num_threads(1)
    others, held_out = makemore_split(text)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "others.txt").write_text("\n".join(others), encoding="utf-8")
        build_corpus(f"{place}/corpus", text=f"{place}/others.txt", sequence="item")
        settings = {"config": "names", "dataset": f"{place}/corpus", "output_dir": f"{place}/run", **UNDISTURBED}
        recipe = read_command([f"--{name}={value}" for name, value in (settings | {"train_split": SPLITS}).items()])
        start, processor_start = now(), time.process_time()
        trainer = train(recipe)
        seconds = {"seconds": now() - start, "processor_seconds": time.process_time() - processor_start}
        model, tokenizer = load(f"{place}/run")
        names = {"held out": held_out, "held out, none of them in training": sorted(set(held_out) - set(others))}
        figures = {what: evaluate(model, tokenizer, Dataset.from_dict({"text": some})) for what, some in names.items()}
        samples = list(generate_items(model, tokenizer, 20, unique=True, seed=0))
    return {
        "recipe": "names",
        "parameters": model.num_parameters(only_trainable=True),
        **{"steps": trainer.state.global_step, "epochs": trainer.state.epoch, **seconds},
        "names": figures,
        "writes": samples,
        "makemore's transformer": MAKEMORE_TRANSFORMER,
        "unit": "nats per character, the end of each name included",
        "figures": {what: scores["nats_per_char"] for what, scores in figures.items()},
    }
