"""Makes a folder that can be pushed as it is from a finished run: model, tokenizer, code, figures, loss curve, card.

    python scripts/package.py --run runs/alice --output_dir modeling/pretrained/alice

The run's folder holds the evaluation.json that evaluate.py wrote; every figure of the card comes from it.
"""

import json
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import HfArgumentParser

from char_lstm import generate_text, load
from char_lstm.loading import CheckpointError

TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"
FROM_THE_RUN = ("tokenizer.json", "tokenizer_config.json", "evaluation.json", "loss.png")
BOOK = "Alice's Adventures in Wonderland"


@dataclass
class PackageArguments:
    run: str = field(metadata={"help": "The output folder of train.py, with evaluation.json in it."})
    output_dir: str = field(metadata={"help": "The folder to make, or to replace as a whole."})
    recipe: str = field(default="scripts/configs/alice.yaml", metadata={"help": "The recipe, named in the card."})
    seed: int = field(default=42, metadata={"help": "Seed of the sample in the card."})


def render_card(folder: Path, run: Path, recipe: str, seed: int) -> ModelCard:
    """The card of the model in `folder`, whose figures are read from its evaluation.json and the record of its run."""
    settings = json.loads((run / "run.json").read_text(encoding="utf-8"))["settings"]
    model, tokenizer = load(folder)
    figures = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    name = f"{folder.name.replace('_', '-')}-char-lstm"
    metrics = ("nats_per_char", "bits_per_char")
    data = ModelCardData(
        language="en",
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
                dataset_name=f"{BOOK}, last tenth",
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
        book=BOOK,
        recipe=recipe,
        seed=seed,
        sample=generate_text(model, tokenizer, seed=seed).strip("\n"),
        layers=model.config.num_hidden_layers,
        bits_per_char_reset=figures["nats_per_char_reset"] / math.log(2),
        epochs=round(settings["num_train_epochs"]),
        train_split=settings["train_split"],
        row_length=settings["row_length"],
        **{key: getattr(model.config, key) for key in ("cell_type", "hidden_size", "input_dropout", "hidden_dropout")},
        **{key: getattr(model.generation_config, key) for key in ("max_new_tokens", "temperature")},
        **{key: figures[key] for key in ("parameters", "characters", "nats_per_char_reset", *metrics)},
    )


def package(args: PackageArguments) -> None:
    """Assembles the folder beside its place, then puts it there."""
    run, output_dir = Path(args.run), Path(args.output_dir)
    model, _ = load(run)
    with tempfile.TemporaryDirectory(dir=output_dir.parent) as parent:
        unfinished = Path(parent) / output_dir.name
        model.save_pretrained(unfinished)
        for name in FROM_THE_RUN:
            shutil.copy(run / name, unfinished)
        render_card(unfinished, run, args.recipe, args.seed).save(unfinished / "README.md")
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
