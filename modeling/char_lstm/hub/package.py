"""Packages a finished run in a folder that can be pushed as it is: weights, tokenizer, code, figures, card."""

import shutil
from pathlib import Path

from ..corpus.build import load_corpus
from ..files import replaced_folder
from ..items import FILE as ITEMS
from ..loading import load
from ..novelty import NoveltyIndex
from ..paths import PACKAGE, PRETRAINED
from ..training.checkpoints import read_record
from .arguments import PackageArguments
from .cards import model_card

FROM_THE_RUN = ("tokenizer.json", "tokenizer_config.json", "evaluation.json", "samples.json", "loss.png")


def novelty_index(dataset: str, train_split: str) -> NoveltyIndex:
    """The novelty index of the text that the run was trained on."""
    corpus = load_corpus(dataset)
    return NoveltyIndex.build("".join(text for split in train_split.split("+") for text in corpus[split]["text"]))


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
        if (run / ITEMS).exists():
            shutil.copy(run / ITEMS, unfinished)
        if args.dataset:
            novelty_index(args.dataset, settings["train_split"]).save(unfinished)
        name = f"{output_dir.name.replace('_', '-')}-char-lstm"
        model_card(unfinished, name, settings, args).save(unfinished / "README.md")
        if output_dir.resolve().parent == PRETRAINED:
            link_code(unfinished)


def link_code(folder: Path) -> None:
    """Replaces the code in a folder of `pretrained/` by links to the package's, so that the checkout holds it once."""
    for file in folder.glob("*_char_lstm.py"):
        file.unlink()
        file.symlink_to(Path("..", "..", PACKAGE.name, file.name))
