"""Makes a folder that can be pushed as it is from a finished run: model, tokenizer, code, figures, loss curve, card."""

import json
import shutil
from pathlib import Path

from ..corpus.build import load_corpus
from ..files import replaced_folder
from ..loading import load
from ..novelty import NoveltyIndex
from ..paths import PACKAGE, PRETRAINED
from .arguments import PackageArguments
from .cards import model_card

FROM_THE_RUN = ("tokenizer.json", "tokenizer_config.json", "evaluation.json", "samples.json", "loss.png")


def novelty_index(dataset: str, train_split: str) -> NoveltyIndex:
    """The index of the rows that the run was trained on, joined to the text that they were cut from."""
    corpus = load_corpus(dataset)
    return NoveltyIndex.build("".join(text for split in train_split.split("+") for text in corpus[split]["text"]))


def package(args: PackageArguments) -> None:
    """Assembles the folder beside its place, then puts it there."""
    run, output_dir = Path(args.run), Path(args.output_dir)
    settings = json.loads((run / "run.json").read_text(encoding="utf-8"))["settings"]
    model, _ = load(run)
    with replaced_folder(output_dir) as unfinished:
        model.save_pretrained(unfinished)
        for name in FROM_THE_RUN:
            shutil.copy(run / name, unfinished)
        if args.dataset:
            novelty_index(args.dataset, settings["train_split"]).save(unfinished)
        name = f"{output_dir.name.replace('_', '-')}-char-lstm"
        model_card(unfinished, name, settings, args).save(unfinished / "README.md")
        if output_dir.resolve().parent == PRETRAINED:
            link_code(unfinished)


def link_code(folder: Path) -> None:
    """Makes the code of a folder beside the package links to the package's, so that a tree holds each line once."""
    for file in folder.glob("*_char_lstm.py"):
        file.unlink()
        file.symlink_to(Path("..", "..", PACKAGE.name, file.name))
