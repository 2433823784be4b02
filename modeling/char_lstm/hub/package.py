"""Packages a finished run in a folder that can be pushed as it is: weights, tokenizer, code, figures, card."""

import json
import shutil
from pathlib import Path

from ..corpus.build import load_corpus
from ..corpus.sequences import ROWS_AT_ONCE
from ..files import replaced_folder
from ..items import FILE as ITEMS
from ..loading import checkpoint_folder, load
from ..novelty import NoveltyIndex
from ..novelty_books import FILE as BOOKS
from ..novelty_books import LARGEST, BookIndex
from ..paths import PACKAGE, PRETRAINED
from .arguments import PackageArguments
from .cards import model_card

FROM_THE_RUN = ("tokenizer.json", "tokenizer_config.json", "evaluation.json", "samples.json", "loss.png")


def novelty_index(dataset: str, train_split: str) -> NoveltyIndex | BookIndex:
    """The index of the text that the run was trained on: of a library, which it would be too large for, a sample."""
    corpus = load_corpus(dataset)
    splits = [corpus[name] for name in train_split.split("+")]
    pieces = ["".join(rows["text"]) for split in splits for rows in split.iter(ROWS_AT_ONCE)]
    if sum(map(len, pieces)) > LARGEST / 4:
        return BookIndex.build(pieces)
    return NoveltyIndex.build("".join(pieces))


def package(args: PackageArguments) -> None:
    """Fills a folder beside `output_dir`, then puts it in its place."""
    run, output_dir = Path(args.run), Path(args.output_dir)
    settings = json.loads((run / "run.json").read_text(encoding="utf-8"))["settings"]
    model, _ = load(run)
    with replaced_folder(output_dir) as unfinished:
        model.save_pretrained(unfinished)
        for name in FROM_THE_RUN:
            shutil.copy(run / name, unfinished)
        if (run / ITEMS).exists():
            shutil.copy(run / ITEMS, unfinished)
        if settings.get("init_from"):
            for books in checkpoint_folder(settings["init_from"], None).glob(BOOKS):
                shutil.copy(books, unfinished)
        if args.dataset:  # of another library, its own index takes the place of the base's
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
