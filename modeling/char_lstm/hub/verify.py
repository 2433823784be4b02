"""Recomputes the hashes and figures that a packaged folder states, and keeps in it the hashes that it lacks."""

import hashlib
import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from huggingface_hub import ModelCard
from safetensors.numpy import load_file

from ..classifier import trace_intents
from ..decoder_char_lstm import expected_shapes
from ..errors import CheckpointError, TrainingError
from ..files import write_file, write_json
from ..loading import (
    checkpoint_folder,
    classifier_shapes,
    count_parameters,
    hash_files,
    load_classifier,
    load_decoder,
    read_part,
    recorded_files,
    weight_files,
)
from .cards import METRICS, is_of_items, items_sheet, text_sheet

EVALUATION = "evaluation.json"
CLOSE = 1e-4  # two computations of one figure on different machines
SAME_RECIPE = 0.003  # nats a character, two trainings by one recipe on different machines
SAMPLE = re.compile(r"^Temperature ([\d.]+), seed (\d+):\n\n```text\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
HASHES = re.compile(r"\n+## Hashes\n.*\Z", re.DOTALL)  # the last section of a card
HASHED = {  # what evaluation.json has a hash of
    "corpus_sha256": "the corpus, every row of every split",
    "recipe_sha256": "the settings in the recipe",
    "tokenizer_sha256": "`tokenizer.json`",
    "weights_sha256": "the weights",
}
NAMES = {"split", "recipe"}  # in evaluation.json, no figures


def verify(model_id: str, dataset: str | None = None, rebuilt: str | None = None, *, record: bool = False) -> None:
    """Prints which hashes and figures of a packaged model are as recorded and which were not checked.

    Args:
        dataset: the corpus that the model was measured on.
        rebuilt: the folder of a model that was trained anew by the same recipe, to compare with.
        record: add the hashes that evaluation.json and the card lack.

    Raises:
        CheckpointError: the folder was not packaged, or states something that differs; the message says what.
    """
    folder = checkpoint_folder(model_id, None)
    recorded = read_part(folder / EVALUATION, lambda path: dict(json.loads(path.read_text(encoding="utf-8"))))
    with TemporaryDirectory() as place:
        copy = Path(place) / "model"  # without the record, for which loading would refuse what differs from it
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(EVALUATION, ".*"))
        if "scores" in recorded:
            measured = of_classifier(recorded)
            found = recompute_classifier(copy, dataset)
        else:
            measured, found = recorded, recompute(copy, recorded, dataset)
        stated, on_card = card_claims(copy, measured)
    differing = compare(measured | stated, found | on_card)
    if rebuilt:
        differing += compare_rebuilt(folder, rebuilt, recorded, dataset)
    if differing:
        raise CheckpointError(f"{folder} is not as it was recorded: {', '.join(differing)}")
    if record:
        record_hashes(folder, recorded | {name: found[name] for name in HASHED if name in found})


def recompute(folder: Path, recorded: dict, dataset: str | None) -> dict[str, Any]:
    """The figures and hashes of a folder by their names in evaluation.json, as far as they can be had."""
    decoder, _ = load_decoder(folder)
    found: dict[str, Any] = {"parameters": count_parameters(decoder.config, expected_shapes(decoder.config))}
    found |= {name: hash_files(files) for name, files in recorded_files(folder).items()}
    if "recipe" in recorded:
        with suppress(TrainingError):  # it is somebody's own, and elsewhere
            found["recipe_sha256"] = hash_recipe(recorded["recipe"])
    if dataset:
        from ..corpus.build import load_corpus
        from ..training.checkpoints import fingerprint
        from ..training.evaluation import evaluate_folder

        adapt = "nats_per_char_adapted" in recorded
        found |= evaluate_folder(str(folder), dataset, recorded["split"], adapt=adapt)
        found["corpus_sha256"] = fingerprint(load_corpus(dataset))
    return found


def of_classifier(recorded: dict) -> dict[str, Any]:
    """What of a classifier's figures can be had again."""
    own = next(iter(recorded["scores"].values()))
    return own | {name: value for name, value in recorded.items() if name in {"parameters", "test_phrasings", *HASHED}}


def recompute_classifier(folder: Path, dataset: str | None) -> dict[str, Any]:
    """The same of a classifier, whose `dataset` is the file of the test phrasings."""
    decoder, tokenizer, names = load_classifier(folder)
    shapes = classifier_shapes(decoder.config, len(names))
    found: dict[str, Any] = {"parameters": count_parameters(decoder.config, shapes)}
    found |= {name: hash_files(files) for name, files in recorded_files(folder).items()}
    if dataset:
        from ..training.intents import read_phrasings, score

        texts, labels = zip(*read_phrasings(dataset), strict=True)
        predicted = [trace_intents(decoder, tokenizer, names, text)[-1][1] for text in texts]
        found |= {"test_phrasings": len(texts), **score(labels, predicted)}
    return found


def hash_recipe(recipe: str) -> str:
    """The hash of the settings in a recipe file, or in the packaged recipe of that name, whatever its comments say."""
    from ..training.recipe import read_recipe

    settings = read_recipe(recipe if Path(recipe).exists() else Path(recipe).stem)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def card_claims(folder: Path, recorded: dict) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the card of a folder states, and what it should."""
    card = ModelCard.load(folder / "README.md")
    header = {result.metric_type: result.metric_value for result in card.data.eval_results or []}
    metrics = {"f1": "macro_f1"} if "macro_f1" in recorded else dict(zip(METRICS, METRICS, strict=True))
    stated: dict[str, Any] = {f"{name} on the card": header.get(name) for name in metrics}
    found: dict[str, Any] = {f"{name} on the card": round(recorded[metric], 4) for name, metric in metrics.items()}
    if HASHES.search(card.text):
        stated["hashes on the card"], found["hashes on the card"] = card.text, with_hashes(card.text, recorded)
    samples = SAMPLE.findall(card.text)
    if samples:
        model, seed = load_decoder(folder), int(samples[0][1])
        sheet = items_sheet(*model, folder, seed) if is_of_items(folder) else text_sheet(*model, None, seed)
        for row, (temperature, _, text) in zip(sheet, samples, strict=True):
            name = f"sample at temperature {temperature} on the card"
            stated[name], found[name] = text, row["text"]
    return stated, found


def compare(recorded: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Prints what was compared and what could not be; returns the names of what differs."""
    checked = [name for name in recorded if name in found]
    differing = [name for name in checked if not is_same(recorded[name], found[name])]
    print(f"as recorded: {', '.join(name for name in checked if name not in differing) or 'nothing'}")
    if unchecked := [name for name in recorded if name not in found and name not in NAMES]:
        print(f"not checked, for want of the corpus (--dataset) or the recipe: {', '.join(unchecked)}")
    for name in differing:
        print(f"differs: {name}: recorded {shown(recorded[name])}, found {shown(found[name])}")
    return differing


def is_same(recorded: Any, found: Any) -> bool:
    if isinstance(found, float) and isinstance(recorded, float):
        return abs(recorded - found) <= CLOSE
    return recorded == found


def shown(value: Any) -> str:
    """A figure, or the beginning of a text."""
    text = repr(value)
    return text if len(text) <= 70 else f"{text[:60]}..."


def compare_rebuilt(folder: Path, rebuilt: str, recorded: dict, dataset: str | None) -> list[str]:
    """Prints whether two trainings by one recipe gave the same weights, or at least the same nats."""
    ours, theirs = (
        {name: array for file in weight_files(place) for name, array in load_file(file).items()}
        for place in (folder, checkpoint_folder(rebuilt, None))
    )
    if ours.keys() == theirs.keys() and all(
        np.array_equal(array, theirs[name].astype(array.dtype)) for name, array in ours.items()
    ):
        print("rebuilt: the same weights, bit for bit")
        return []
    if not dataset:
        raise CheckpointError(f"the weights of {rebuilt} are others: give --dataset, to compare what they predict")
    from ..training.evaluation import evaluate_folder

    after = evaluate_folder(rebuilt, dataset, recorded["split"])["nats_per_char"]
    before = recorded["nats_per_char"]
    print(f"rebuilt: other weights; {after:.4f} nats per character, recorded {before:.4f}")
    return [] if abs(after - before) <= SAME_RECIPE else ["nats_per_char of the rebuilt model"]


def with_hashes(card: str, recorded: dict) -> str:
    """A card's text with its last section made of the hashes in evaluation.json."""
    rows = [f"| {what} | `{recorded[name]}` |" for name, what in HASHED.items() if name in recorded]
    words = "`char-lstm verify PATH --dataset CORPUS` recomputes them, and every figure and sample above."
    section = ["", "## Hashes", "", words, "", "| of | sha256 |", "|---|---|", *rows, ""]
    return "\n".join([HASHES.sub("", card).rstrip("\n"), *section])


def record_hashes(folder: Path, recorded: dict) -> None:
    """Keeps hashes in evaluation.json and in the card."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    write_json(folder / EVALUATION, recorded)
    write_file(folder / "README.md", with_hashes(card, recorded))
