"""The folders of a model, its corpus and its Space as they will stand on the Hub."""

import hashlib
import json
import re
import shutil
from pathlib import Path

from datasets import DatasetDict, load_from_disk

from ..errors import PublishError
from ..loading import NEEDED
from ..paths import PACKAGE, PRETRAINED, in_checkout
from .arguments import PublishArguments
from .cards import dataset_card, use_section
from .repo import Repo, card_of

USE = re.compile(r"(?<=<!-- use -->\n).*?(?=<!-- end -->)", re.DOTALL)
NEVER_SENT = (
    *(".*", "__pycache__", "test*"),
    "*.pyi",  # gradio leaves them
    "training_args.bin",  # a pickle of the settings, a token among them if one was given
)
LEFT_OUT = shutil.ignore_patterns(*NEVER_SENT)
UNUSED_IN_A_SPACE = shutil.ignore_patterns(
    *NEVER_SENT,
    *("corpus", "training", "hub", "verbs", "recipes", "templates", "intents"),
    *("cli.py", "arguments.py", "gradients.py"),
)


def assemble(args: PublishArguments, place: Path) -> list[Repo]:
    """The folders as they will stand on the Hub, in the order in which they go out: none names one yet to come."""
    repos = []
    if args.dataset:
        repos.append(Repo("dataset", args.dataset_repo_id, place / "dataset"))
        assemble_dataset(repos[-1], args)
    repos.append(Repo("model", args.repo_id, place / "model"))
    assemble_model(repos[-1], args)
    if args.space_id:
        repos.append(Repo("space", args.space_id, place / "space"))
        assemble_space(repos[-1], args)
    return repos


def assemble_dataset(repo: Repo, args: PublishArguments) -> None:
    """Parquet, the tokenizer that `train.py` looks for, and the card."""
    corpus = load_from_disk(args.dataset)
    check_corpus(corpus, args)
    (repo.folder / "data").mkdir(parents=True)
    for name, split in corpus.items():
        split.to_parquet(repo.folder / "data" / f"{name}-00000-of-00001.parquet")
    for path in Path(args.dataset).glob("tokenizer*.json"):
        shutil.copy(path, repo.folder)
    dataset_card(corpus, repo, args).save(repo.folder / "README.md")


def check_corpus(corpus: DatasetDict, args: PublishArguments) -> None:
    """The figures on the model's card are of this corpus."""
    figures = json.loads((Path(args.model) / "evaluation.json").read_text(encoding="utf-8"))
    text = "".join(corpus[figures["split"]]["text"])
    if figures["text_sha256"] != hashlib.sha256(text.encode()).hexdigest():
        raise PublishError(f"{args.model} was tested on another text than {args.dataset} holds; give its own corpus")


def assemble_model(repo: Repo, args: PublishArguments) -> None:
    """The packaged folder, its card told where it will stand."""
    shutil.copytree(args.model, repo.folder, ignore=LEFT_OUT)
    card = card_of(repo.folder)
    if args.dataset_repo_id:
        card.data.datasets = [args.dataset_repo_id]
    card.text = USE.sub(lambda _: use_section(args.repo_id, args.tag or "main", args.space_id), card.text)
    card.save(repo.folder / "README.md")


def assemble_space(repo: Repo, args: PublishArguments) -> None:
    """The app with the package beside it and models to compare, its header naming what it shows."""
    shutil.copytree(in_checkout("space"), repo.folder, ignore=LEFT_OUT)
    shutil.copytree(PACKAGE, repo.folder / PACKAGE.name, ignore=UNUSED_IN_A_SPACE)
    for config in PRETRAINED.glob("alice*/config.json"):
        folder = repo.folder / PRETRAINED.name / config.parent.name
        folder.mkdir(parents=True)
        for path in (*map(config.with_name, (*NEEDED, "evaluation.json")), *config.parent.glob("novelty.*")):
            shutil.copy(path, folder)
    card = card_of(repo.folder)
    card.text = card.text.replace("USER/SPACE", repo.id)
    card.data.models = [args.repo_id]
    if not args.private:  # a private one is out of reach while the Space is built
        card.data.preload_from_hub = [args.repo_id]
    if args.dataset_repo_id:
        card.data.datasets = [args.dataset_repo_id]
    card.save(repo.folder / "README.md")
