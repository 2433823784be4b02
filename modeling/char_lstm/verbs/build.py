"""Turns any text into a corpus: rows of characters in three contiguous splits, with their tokenizer.

    char-lstm build --output_dir data/alice
    char-lstm build --text my.txt --output_dir data/mine --sequence packed
    char-lstm build --dataset_name user/poems --text_column poem --output_dir data/poems

Without `--text` or `--dataset_name` it downloads Alice's Adventures in Wonderland from Project Gutenberg, once.
"""

from dataclasses import dataclass, field
from typing import Literal

from ..arguments import parse
from ..training.settings import setting


@dataclass
class BuildArguments:
    output_dir: str = field(metadata={"help": "Where the corpus goes; an older corpus there is replaced."})
    text: str | None = setting(
        None, "A file, a folder, a pattern of files, a URL, or - for standard input (default: Alice, downloaded)."
    )
    dataset_name: str | None = setting(None, "A dataset on the Hub instead of a text.")
    text_column: str = setting("text", "The column of a dataset, or of a CSV, TSV, JSON lines or Parquet file.")
    encoding: str | None = setting(None, "Of the files (default: UTF-8, UTF-16 by its mark, or else a guess).")
    unwrap: Literal["auto", "always", "never"] = setting(
        "auto", "Join the lines of hard-wrapped paragraphs: where they are surely prose, always or never."
    )
    sequence: Literal["sentence", "packed"] = setting(
        "sentence", "A row holds one sentence, or as many whole ones as fit."
    )
    max_length: int = setting(512, "Characters per row, including the newline that starts it.")
    pad_to_max_length: bool | None = setting(None, "Store the rows padded (default: those of up to 16 MB of text).")
    keep_punctuation: bool = setting(False, "Keep punctuation and symbols; the text's lines are the rows.")
    keep_case: bool = setting(False, "Keep upper and lower case distinct.")
    strip_accents: bool = setting(False, "Take accents and other nonspacing marks off their letters.")


def main(argv: list[str]) -> None:
    arguments = parse(BuildArguments, __doc__, argv)

    from ..corpus.build import build_corpus, describe

    print(describe(build_corpus(**vars(arguments))))
