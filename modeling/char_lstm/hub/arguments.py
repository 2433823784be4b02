"""The arguments of packaging, publishing and exporting; they import nothing heavy, so `--help` is immediate."""

from dataclasses import dataclass, field
from typing import Literal

BOOK = "Alice's Adventures in Wonderland"


@dataclass
class PackageArguments:
    run: str = field(metadata={"help": "The output folder of a training run, with its evaluation.json."})
    output_dir: str = field(metadata={"help": "The folder to create, or to replace entirely."})
    dataset: str | None = field(default=None, metadata={"help": "The run's corpus: a folder or an id on the Hub."})
    recipe: str = field(default="scripts/configs/alice.yaml", metadata={"help": "The recipe that the card names."})
    seed: int = field(default=42, metadata={"help": "Seed of the card's first sample; each further sample adds 1."})
    text_name: str = field(default=BOOK, metadata={"help": "The training text, as the card names it."})
    language: str = field(default="en", metadata={"help": "The text's language, as a two-letter code."})
    text_license: str | None = field(
        default=None, metadata={"help": "The text's licence; the default text is in the public domain."}
    )
    weights_dtype: Literal["float32", "float16"] = field(
        default="float32",
        metadata={"help": "How the weights are stored; float16 halves the file, and is computed with in float32."},
    )


@dataclass
class PublishArguments:
    model: str = field(metadata={"help": "A folder made by char-lstm package."})
    repo_id: str = field(metadata={"help": "Where the model goes: USER/NAME."})
    dataset: str | None = field(default=None, metadata={"help": "A folder made by char-lstm build."})
    dataset_repo_id: str | None = field(default=None, metadata={"help": "Where the corpus goes: USER/NAME."})
    dataset_license: str = field(
        default="unknown", metadata={"help": "The text's licence: public-domain, or the Hub's name for it (cc-by-4.0)."}
    )
    base_model: str | None = field(default=None, metadata={"help": "What the model began from, on the Hub: USER/NAME."})
    new_version: str | None = field(
        default=None, metadata={"help": "The model on the Hub that takes this one's place: USER/NAME."}
    )
    static_space_id: str | None = field(
        default=None, metadata={"help": "Where the page goes that runs in the visitor's browser, for free: USER/NAME."}
    )
    space_id: str | None = field(
        default=None, metadata={"help": "Where the Gradio Space goes, which may need a paid plan: USER/NAME."}
    )
    space_hardware: str | None = field(default=None, metadata={"help": "What the Space runs on, e.g. cpu-upgrade."})
    collection: str | None = field(
        default=None, metadata={"help": "Group all that is published in the collection of this title."}
    )
    private: bool = field(default=False, metadata={"help": "Publish privately."})
    tag: str | None = field(default=None, metadata={"help": "Tag the published commits; the card pins this revision."})
    dry_run: bool = field(default=False, metadata={"help": "Assemble, check and list everything; send nothing."})


@dataclass
class ExportArguments:
    model: str = field(metadata={"help": "A folder or an id on the Hub."})
    output_dir: str = field(metadata={"help": "Where model.onnx and model_int8.onnx go."})
    dataset: str | None = field(default=None, metadata={"help": "A folder made by char-lstm build, to measure on."})
    json: str | None = field(default=None, metadata={"help": "Write the sizes and figures to this file too."})
