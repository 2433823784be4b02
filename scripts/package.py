"""Makes a folder that can be pushed as it is from a finished run: model, tokenizer, code, figures, loss curve, card.

    python scripts/package.py --run runs/alice --dataset runs/alice/corpus --output_dir modeling/pretrained/alice

The run's folder holds the evaluation.json that evaluate.py wrote; every figure of the card comes from it. With the
corpus of the run, the model carries an index that tells what of a text stands verbatim in what it was trained on.
"""

import json
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Template
from transformers import HfArgumentParser

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts know each other as scripts.x

from char_lstm import NoveltyIndex, generate_text, load, measure_novelty
from char_lstm.loading import CheckpointError
from scripts.build_corpus import load_corpus

TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"
USE_TEMPLATE = TEMPLATE.with_name("use_card.md")
TEMPERATURES = (0.2, 0.5, 0.8, 1.0)
FROM_THE_RUN = ("tokenizer.json", "tokenizer_config.json", "evaluation.json", "samples.json", "loss.png")
BOOK = "Alice's Adventures in Wonderland"


@dataclass
class PackageArguments:
    run: str = field(metadata={"help": "The output folder of train.py, with evaluation.json in it."})
    output_dir: str = field(metadata={"help": "The folder to make, or to replace as a whole."})
    dataset: str | None = field(default=None, metadata={"help": "The corpus of the run: a folder or an id on the Hub."})
    recipe: str = field(default="scripts/configs/alice.yaml", metadata={"help": "The recipe, named in the card."})
    seed: int = field(default=42, metadata={"help": "Seed of the first sample in the card; the others count on."})
    text_name: str = field(default=BOOK, metadata={"help": "What it was trained on, named in the card."})
    language: str = field(default="en", metadata={"help": "The text's language, as its two-letter code."})
    text_license: str | None = field(
        default=None, metadata={"help": "On what terms that text stands; the default text is in the public domain."}
    )


def render_card(folder: Path, run: Path, args: PackageArguments) -> ModelCard:
    """The card of the model in `folder`, whose figures are read from its evaluation.json and the record of its run."""
    settings = run_settings(run)
    model, tokenizer = load(folder)
    figures = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    name = f"{folder.name.replace('_', '-')}-char-lstm"
    metrics = ("nats_per_char", "bits_per_char")
    data = ModelCardData(
        language=args.language,
        license="mit",
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["char-lstm", "character-level", model.config.cell_type, "rnn"],
        metrics=list(metrics),
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type="text",
                dataset_name=f"{args.text_name}, last tenth",
                dataset_split=figures["split"],
                metric_type=metric,
                metric_value=round(figures[metric], 4),
            )
            for metric in metrics
        ],
    )
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        title=name,
        text_name=args.text_name,
        text_license=args.text_license or ("in the public domain" if args.text_name == BOOK else "of unknown licence"),
        recipe=args.recipe,
        use=use_section(args.output_dir),
        sheet=temperature_sheet(model, tokenizer, folder, args.seed),
        layers=model.config.num_hidden_layers,
        bits_per_char_reset=figures["nats_per_char_reset"] / math.log(2),
        epochs=round(settings["num_train_epochs"]),
        teachers=len(settings.get("teachers") or []),  # of which an older run's record has no word
        **{key: settings[key] for key in ("train_split", "row_length", "ngram_smoothing", "ema_decay")},
        written_characters=settings.get("written_characters"),
        **{key: getattr(model.config, key) for key in ("cell_type", "hidden_size")},
        **{key: getattr(model.config, key) for key in ("input_dropout", "hidden_dropout", "output_dropout")},
        **{key: getattr(model.generation_config, key) for key in ("max_new_tokens", "temperature")},
        **{key: figures[key] for key in ("parameters", "characters", "nats_per_char_reset", *metrics)},
    )


def use_section(model: str, revision: str | None = None, space_id: str | None = None) -> str:
    """The card's lines of use, for a model in a folder or, with the revision to pin, on the Hub."""
    template = Template(USE_TEMPLATE.read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True)
    return template.render(model=model, revision=revision, space_id=space_id)


def temperature_sheet(model, tokenizer, folder: Path, seed: int) -> list[dict]:
    """A sample at each temperature, and how new it is where the folder holds an index of the training text."""
    index = NoveltyIndex.load(folder) if (folder / "novelty.safetensors").exists() else None
    sheet = []
    for number, temperature in enumerate(TEMPERATURES):
        text = generate_text(model, tokenizer, seed=seed + number, temperature=temperature)
        novelty = measure_novelty(text, index) if index else None
        sheet.append({"temperature": temperature, "seed": seed + number, "text": text.strip("\n"), "novelty": novelty})
    return sheet


def run_settings(run: Path) -> dict:
    return json.loads((run / "run.json").read_text(encoding="utf-8"))["settings"]


def novelty_index(dataset: str, train_split: str) -> NoveltyIndex:
    """The index of the rows that the run was trained on, joined to the text that they were cut from."""
    corpus = load_corpus(dataset)
    return NoveltyIndex.build("".join(text for split in train_split.split("+") for text in corpus[split]["text"]))


def package(args: PackageArguments) -> None:
    """Assembles the folder beside its place, then puts it there."""
    run, output_dir = Path(args.run), Path(args.output_dir)
    model, _ = load(run)
    with tempfile.TemporaryDirectory(dir=output_dir.parent) as parent:
        unfinished = Path(parent) / output_dir.name
        model.save_pretrained(unfinished)
        for name in FROM_THE_RUN:
            shutil.copy(run / name, unfinished)
        if args.dataset:
            novelty_index(args.dataset, run_settings(run)["train_split"]).save(unfinished)
        render_card(unfinished, run, args).save(unfinished / "README.md")
        if output_dir.exists():
            output_dir.rename(Path(parent) / "replaced")
        unfinished.rename(output_dir)


def main(argv: list[str] | None = None) -> None:
    (args,) = HfArgumentParser(PackageArguments, description=__doc__).parse_args_into_dataclasses(argv)
    try:
        package(args)
    except (CheckpointError, OSError) as error:
        print(f"package.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
