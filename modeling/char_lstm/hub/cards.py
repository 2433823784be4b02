"""The cards of a model, a corpus and an intent classifier; every figure in them was measured."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData, SpaceCard, SpaceCardData

from ..generation_char_lstm import generate_text
from ..items import FILE as ITEMS
from ..items import generate_items, hash_item
from ..loading import load
from ..novelty import NoveltyIndex, measure_novelty
from ..paths import TEMPLATES
from .arguments import BOOK, PackageArguments, PublishArguments
from .repo import Repo, card_of

if TYPE_CHECKING:  # only the card of a corpus needs it
    from datasets import DatasetDict

METRICS = ("nats_per_char", "bits_per_char")
LISTED = 20  # items that the card of a model of items shows at each temperature
TEMPERATURES = (0.2, 0.5, 0.8, 1.0)
PUBLIC_DOMAIN: dict[str, Any] = {
    "license": "other",
    "license_name": "public-domain",
    "license_link": "https://creativecommons.org/publicdomain/mark/1.0/",
}


def model_card(folder: Path, name: str, settings: dict, args: PackageArguments) -> ModelCard:
    """The card of the model in `folder`, with the figures of its evaluation.json.

    Args:
        settings: the settings of its run, from run.json.
    """
    model, tokenizer = load(folder)
    index = NoveltyIndex.load(folder) if any(folder.glob("novelty*")) else None
    figures = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    items = is_of_items(folder)
    if items:
        sheet = items_sheet(model, tokenizer, folder, args.seed)
    else:
        sheet = text_sheet(model, tokenizer, index, args.seed)
    return ModelCard.from_template(
        model_card_data(
            model, name, figures, args, "held-out items" if items else "last tenth", settings["base_model"]
        ),
        template_path=str(TEMPLATES / "model_card.md"),
        title=name,
        text_name=args.text_name,
        text_license=args.text_license or ("in the public domain" if args.text_name == BOOK else "of unknown licence"),
        recipe=args.recipe,
        items=items,
        use=use_section(args.output_dir, items=items),
        began_from=settings["base_model"] or Path(settings.get("init_from") or "").name,
        sheet=sheet,
        books=index.books if index else None,
        alphabet=sorted(
            one for one in tokenizer.get_vocab() if len(one) == 1 and one not in tokenizer.all_special_tokens
        ),
        layers=model.config.num_hidden_layers,
        nats_per_item=figures.get("nats_per_item"),
        bits_per_char_reset=figures["nats_per_char_reset"] / math.log(2),
        epochs=round(settings["num_train_epochs"]),
        teachers=len(settings.get("teachers") or []),  # older runs did not record it
        **{key: settings[key] for key in ("train_split", "row_length", "ngram_smoothing", "ema_decay")},
        written_characters=settings.get("written_characters"),
        stateful=settings.get("stateful"),
        **{key: getattr(model.config, key) for key in ("cell_type", "hidden_size")},
        **{key: getattr(model.config, key) for key in ("input_dropout", "hidden_dropout", "output_dropout")},
        **{key: getattr(model.generation_config, key) for key in ("max_new_tokens", "temperature")},
        **{key: figures[key] for key in ("parameters", "characters", "nats_per_char_reset", *METRICS)},
    )


def model_card_data(
    model, name: str, figures: dict, args: PackageArguments, part: str, base_model: str | None = None
) -> ModelCardData:
    """The header of a model's card.

    Args:
        part: of the text, what was measured on.
        base_model: the id on the Hub of the model that it began from, if it has one.
    """
    return ModelCardData(
        language=args.language,
        license="mit",
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=base_model,
        tags=["char-lstm", "character-level", model.config.cell_type, "rnn"],
        metrics=list(METRICS),
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type="text",
                dataset_name=f"{args.text_name}, {part}",
                dataset_split=figures["split"],
                metric_type=metric,
                metric_value=round(figures[metric], 4),
            )
            for metric in METRICS
        ],
    )


def is_of_items(folder: str | Path) -> bool:
    """Whether a packaged model writes items; training left the hashes of its own there."""
    return (Path(folder) / ITEMS).exists()


def use_section(model: str, revision: str | None = None, *, items: bool, **shown_at: str | None) -> str:
    """The section on how to use a model in a folder or, with a `revision` to pin, on the Hub.

    Args:
        shown_at: the ids of the `space_id` and the static `page_id` that show it, if there are any.
    """
    from jinja2 import Template

    template = Template(
        (TEMPLATES / "use_card.md").read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True
    )
    return template.render(model=model, revision=revision, items=items, **shown_at)


def text_sheet(model, tokenizer, index: NoveltyIndex | None, seed: int) -> list[dict]:
    """A sample at each temperature, and how new it is if there is an index of the training text."""
    sheet = []
    for number, temperature in enumerate(TEMPERATURES):
        text = generate_text(model, tokenizer, seed=seed + number, temperature=temperature)
        novelty = measure_novelty(text, index) if index else None
        sheet.append({"temperature": temperature, "seed": seed + number, "text": text.strip("\n"), "novelty": novelty})
    return sheet


def items_sheet(model, tokenizer, folder: Path, seed: int) -> list[dict]:
    """Items at each temperature, and how many of them are not in the training set."""
    sheet = []
    for number, temperature in enumerate(TEMPERATURES):
        items = list(generate_items(model, tokenizer, LISTED, seed=seed + number, temperature=temperature))
        new = sum(hash_item(item) not in model.known_items for item in items)
        row = {"temperature": temperature, "seed": seed + number, "text": "\n".join(items)}
        sheet.append(row | {"new": new, "listed": len(items)})
    return sheet


def dataset_card(corpus: "DatasetDict", repo: Repo, args: PublishArguments) -> DatasetCard:
    """The card of a corpus, with its sizes."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict

    from ..corpus.build import describe
    from ..corpus.sequences import lengths_of, max_length_of

    characters = sum((lengths_of(split) - 1).sum() for split in corpus.values())  # a row starts with a newline
    files = [{"split": name, "path": f"data/{name}-*"} for name in corpus]
    terms: dict[str, Any] = {"license": args.dataset_license}
    data = DatasetCardData(
        language=card_of(Path(args.model)).data["language"],
        pretty_name=repo.id.split("/")[1],
        task_categories=["text-generation"],
        source_datasets=["original"],
        size_categories=[size_category(sum(map(len, corpus.values())))],
        configs=[{"config_name": "default", "data_files": files}],
        **(PUBLIC_DOMAIN if args.dataset_license == "public-domain" else terms),
    )
    splits = SplitDict()
    for name, split in corpus.items():
        splits.add(SplitInfo(name, split.data.nbytes, len(split)))
    info = DatasetInfo(features=corpus["train"].features, splits=splits)
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    return DatasetCard.from_template(
        data,
        template_path=str(TEMPLATES / "dataset_card.md"),
        items=is_of_items(args.model),
        repo_id=repo.id,
        model_id=args.repo_id,
        revision=args.tag or "main",
        license=args.dataset_license,
        characters=characters,
        numbers=describe(corpus),
        max_length=max_length_of(corpus["train"]),
    )


def page_card(repo: Repo, args: PublishArguments) -> SpaceCard:
    """The header and the words of a static Space."""
    data = SpaceCardData(
        title=args.repo_id.split("/")[1],
        emoji="🐇",
        colorFrom="purple",
        colorTo="yellow",
        sdk="static",
        app_file="index.html",
        license="mit",
        short_description="A recurrent network writes, in your own browser.",
        models=[args.repo_id],
        datasets=[args.dataset_repo_id] if args.dataset_repo_id else None,
        tags=["char-lstm", "interpretability"],
    )
    words = {"title": data.title, "model_id": args.repo_id}
    return SpaceCard.from_template(data, template_path=str(TEMPLATES / "page_card.md"), **words)


def size_category(rows: int) -> str:
    """The Hub's name for a dataset of so many rows."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return name
    return "n>1M"


def intents_card(figures: dict, name: str) -> ModelCard:
    """The card of an intent classifier, with the figures of its training."""
    own, baseline = figures["scores"].values()
    data = ModelCardData(
        language="en",
        license="mit",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["char-lstm", "intent-classification", "rnn"],
        metrics=["f1"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="text-classification",
                dataset_type="text",
                dataset_name="test phrasings",
                metric_type="f1",
                metric_name="macro-F1",
                metric_value=round(own["macro_f1"], 4),
            )
        ],
    )
    return ModelCard.from_template(
        data, template_path=str(TEMPLATES / "intents_card.md"), title=name, own=own, baseline=baseline, **figures
    )
