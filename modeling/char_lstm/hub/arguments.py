"""What packaging, publishing and exporting are asked for; light, so that `--help` opens at once."""

from dataclasses import dataclass, field

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


@dataclass
class PublishArguments:
    model: str = field(metadata={"help": "A folder written by package.py."})
    repo_id: str = field(metadata={"help": "Where the model goes: USER/NAME."})
    dataset: str | None = field(default=None, metadata={"help": "A folder written by build_corpus.py."})
    dataset_repo_id: str | None = field(default=None, metadata={"help": "Where the corpus goes: USER/NAME."})
    dataset_license: str = field(
        default="unknown", metadata={"help": "Of the text: public-domain, or as the Hub names licences (cc-by-4.0)."}
    )
    space_id: str | None = field(default=None, metadata={"help": "Where the Space goes: USER/NAME."})
    space_hardware: str | None = field(default=None, metadata={"help": "What the Space runs on, e.g. cpu-upgrade."})
    private: bool = field(default=False, metadata={"help": "Nobody else sees what is published."})
    tag: str | None = field(default=None, metadata={"help": "Tag what is published; the card pins this revision."})
    dry_run: bool = field(default=False, metadata={"help": "Assemble, check and list everything; send nothing."})


@dataclass
class ExportArguments:
    model: str = field(metadata={"help": "A folder or an id on the Hub."})
    output_dir: str = field(metadata={"help": "Where model.onnx and model_int8.onnx go."})
    dataset: str | None = field(default=None, metadata={"help": "A folder written by build_corpus.py, to measure on."})
    json: str | None = field(default=None, metadata={"help": "Write sizes and figures to this file."})
