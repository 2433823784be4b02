"""Packages a finished run in a folder that can be pushed as it is: weights, tokenizer, code, figures, card."""

import json
import logging
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from ..corpus.build import load_corpus
from ..corpus.sequences import ROWS_AT_ONCE
from ..errors import PublishError, TrainingError
from ..files import replaced_folder
from ..items import FILE as ITEMS
from ..loading import hash_files, load, recorded_files, weight_files
from ..novelty import FILE as NOVELTY
from ..novelty import NoveltyIndex, index_of
from ..novelty_books import FILE as BOOKS
from ..novelty_books import BookIndex
from ..paths import PACKAGE, PRETRAINED
from ..training.checkpoints import other_settings, read_record
from ..training.evaluation import evaluate_folder
from ..training.trainer import SAMPLES
from .arguments import PackageArguments
from .cards import model_card
from .verify import EVALUATION, hash_recipe, record_hashes

logger = logging.getLogger("package")

FROM_THE_RUN = ("tokenizer.json", "tokenizer_config.json", EVALUATION, "loss.png")
IF_IT_HAS = (SAMPLES, ITEMS, NOVELTY, BOOKS)  # a run of no epoch has no samples
MOST_MOVED = 0.001  # nats a character, between float32 and float16


def novelty_index(dataset: str, train_split: str) -> NoveltyIndex | BookIndex:
    """The index of the text that a run was trained on."""
    corpus = load_corpus(dataset)
    splits = [corpus[name] for name in train_split.split("+")]
    pieces = ["".join(rows["text"]) for split in splits for rows in split.iter(ROWS_AT_ONCE)]
    return index_of(pieces)


def package(args: PackageArguments) -> None:
    """Fills a folder beside `output_dir`, then puts it in its place."""
    run, output_dir = Path(args.run), Path(args.output_dir)
    record = read_record(run)
    settings = record["settings"] | record.get("chosen", {}) | {"base_model": record.get("base_model")}
    model, _ = load(run)
    with replaced_folder(output_dir) as unfinished:
        model.save_pretrained(unfinished)
        for name in FROM_THE_RUN:
            shutil.copy(run / name, unfinished)
        for name in IF_IT_HAS:
            if (run / name).exists():
                shutil.copy(run / name, unfinished)
        if args.dataset:  # of another library, its own index takes the place of the base's
            novelty_index(args.dataset, settings["train_split"]).save(unfinished)
        if args.weights_dtype == "float16":
            store_in_half(unfinished, args.dataset)
        name = f"{output_dir.name.replace('_', '-')}-char-lstm"
        model_card(unfinished, name, settings, args).save(unfinished / "README.md")
        record_hashes(unfinished, hashes_of_run(unfinished, record, args.recipe))
        if output_dir.resolve().parent == PRETRAINED:
            link_code(unfinished)


def hashes_of_run(folder: Path, record: dict, recipe: str) -> dict:
    """The evaluation in a folder with the hashes of weights, tokenizer, corpus and recipe; without the recipe's where
    the run had other settings, which is said."""
    figures = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    figures |= {name: hash_files(files) for name, files in recorded_files(folder).items()}
    if "data" in record:
        figures["corpus_sha256"] = record["data"]
    try:
        others = other_settings(recipe, record["settings"])
        reason = f"the run had another {', '.join(others)}" if others else None
    except TrainingError as error:
        reason = str(error)
    if reason:
        logger.warning("the card has no hash of the recipe %s: %s", recipe, reason)
        return figures
    return figures | {"recipe": recipe, "recipe_sha256": hash_recipe(recipe)}


def store_in_half(folder: Path, dataset: str | None) -> None:
    """Rounds the weights in a folder to float16 and measures its figures anew. The configuration still says float32,
    which everything that loads it then computes in.

    Raises:
        PublishError: there is no corpus to measure on, or a figure moves by more than `MOST_MOVED`.
    """
    if not dataset:
        raise PublishError("--weights_dtype float16 rounds the weights: give --dataset, to measure the figures again")
    for file in weight_files(folder):
        save_file({name: weight.half() for name, weight in load_file(file).items()}, file, {"format": "pt"})
    before = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    (folder / EVALUATION).unlink()  # of the weights before
    after = evaluate_folder(str(folder), dataset, before["split"], json_path=str(folder / EVALUATION))
    for name in ("nats_per_char", "nats_per_char_reset"):
        if abs(after[name] - before[name]) > MOST_MOVED:
            raise PublishError(
                f"stored in float16, the model's {name} on {dataset} is {after[name]:.4f} instead of "
                f"{before[name]:.4f}: leave out --weights_dtype, or give the corpus that it was measured on"
            )


def link_code(folder: Path) -> None:
    """Replaces the code in a folder of `pretrained/` by links to the package's, so that the checkout holds it once."""
    for file in folder.glob("*_char_lstm.py"):
        file.unlink()
        file.symlink_to(Path("..", "..", PACKAGE.name, file.name))
