"""Builds a corpus from any text: rows of characters in three contiguous splits, with their tokenizer."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError
from transformers import PreTrainedTokenizerFast

from ..errors import CorpusError
from ..files import replaced_folder
from ..tokenization_char_lstm import END_OF_ITEM, build_tokenizer, fold
from .items import MOST_HELD_OUT, alphabet_of, choose_items, fold_items, longest_row, read_filled_items
from .sequences import FEATURES, MAX_LENGTH, ROWS_AT_ONCE, cut_rows, encode_rows, fold_in_place, lengths_of
from .sources import read_lines
from .text import clean_blocks, cut_blocks


def build_corpus(
    output_dir: str | Path,
    *,
    text: str | Path | None = None,
    dataset_name: str | None = None,
    text_column: str = "text",
    sequence: str = "sentence",
    max_length: int | None = None,
    keep_punctuation: bool = False,
    keep_case: bool = False,
) -> DatasetDict:
    """Builds a corpus and saves it with its tokenizer; `output_dir` appears whole or not at all.

    The texts of all rows of all splits, joined, are exactly `normalise(tokenizer, clean(text))`; or with `sequence`
    "item" each is a line of the text, or a document of the dataset, normalised, and none comes twice.

    Raises:
        CorpusError: the input cannot be read or is too short, or `output_dir` cannot be written.
    """
    if max_length is not None and max_length < 2:
        raise CorpusError(f"--max_length {max_length}: a row needs at least 2, a newline and a character")
    folding: Any = {"lowercase": not keep_case, "strip_punctuation": not keep_punctuation}
    source = {"text": text, "dataset_name": dataset_name, "text_column": text_column}
    with corpus_folder(Path(output_dir)) as folder, TemporaryDirectory(dir=folder) as work:
        if sequence == "item":
            stored = store(read_filled_items, work, source)
            rows = choose_items(in_parallel(stored, fold_items, ROWS_AT_ONCE, fn_kwargs=folding), max_length)
            tokenizer = build_tokenizer(alphabet_of(rows), **folding, eos_token=END_OF_ITEM)
            max_length, splits = longest_row(rows), split_rows(rows, MOST_HELD_OUT)
        else:
            max_length = max_length or MAX_LENGTH
            folded = in_parallel(store(read_blocks, work, source), fold_block, fn_kwargs=folding, with_indices=True)
            if not "".join(folded["alphabet"]).strip():
                raise CorpusError("nothing is left of the text after normalising: it holds no letter or digit")
            tokenizer = build_tokenizer(folded["alphabet"], **folding)
            rows = in_parallel(folded, cut_block, fn_kwargs={"max_length": max_length, "sequence": sequence})
            splits = split_rows(rows)
        save_splits(splits, rows, tokenizer, max_length, folder)
        tokenizer.save_pretrained(folder)
    return load_from_disk(output_dir)


def read_blocks(**source) -> Iterator[dict[str, str]]:
    yield from ({"text": block} for block in clean_blocks(cut_blocks(read_lines(**source))))


def store(read: Callable, work: str, source: dict) -> Dataset:
    """What `read` makes of a source, on disk."""
    try:
        return Dataset.from_generator(read, gen_kwargs=source, cache_dir=work)
    except DatasetGenerationError as error:
        raise error.__cause__ from None


def in_parallel(blocks: Dataset, function: Callable, batch_size: int = 1, **options) -> Dataset:
    """`function` on each batch of blocks, on every core if there are several batches."""
    processes = min(-(-len(blocks) // batch_size), os.cpu_count() or 1)
    return blocks.map(
        function,
        batched=True,
        batch_size=batch_size,
        remove_columns=blocks.column_names,
        num_proc=processes if processes > 1 else None,
        desc=function.__name__.replace("_", " "),
        **options,
    )


def fold_block(batch: dict, indices: list[int], *, lowercase: bool, strip_punctuation: bool) -> dict:
    """A block as the tokenizer will normalise it, and its alphabet."""
    normalise = partial(fold, lowercase=lowercase, strip_punctuation=strip_punctuation)
    folded = fold_in_place(normalise, batch["text"][0], indices[0])
    return {"text": [folded], "alphabet": ["".join(sorted(set(folded)))]}


def cut_block(batch: dict, max_length: int, sequence: str) -> dict:
    return {"text": cut_rows(batch["text"][0], max_length, sequence)}


def split_rows(rows: Dataset, most_held_out: int | None = None) -> dict[str, range]:
    """Contiguous train, validation and test: 80, 10 and 10 percent of the characters, a row at least in each; and in
    validation and test at most `most_held_out` rows."""
    if len(rows) < 3:
        raise CorpusError(f"the text is too short: train, validation and test need one row each; it has {len(rows)}")
    ends = np.cumsum(pc.utf8_length(rows.data["text"]))
    train = min(int(np.searchsorted(ends, 0.8 * ends[-1])) + 1, len(rows) - 2)
    validation = min(max(int(np.searchsorted(ends, 0.9 * ends[-1])) + 1, train + 1), len(rows) - 1)
    if most_held_out:
        validation = max(validation, len(rows) - most_held_out)
        train = max(train, validation - most_held_out)
    return {"train": range(train), "validation": range(train, validation), "test": range(validation, len(rows))}


@contextmanager
def corpus_folder(output_dir: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `output_dir` at the end, or goes away if anything fails."""
    try:
        if output_dir.exists() and not (output_dir / "dataset_dict.json").exists() and any(output_dir.iterdir()):
            raise CorpusError(f"{output_dir} holds something other than a corpus; choose another --output_dir")
        with replaced_folder(output_dir) as folder:
            yield folder
    except OSError as error:
        raise CorpusError(f"cannot write {output_dir}: {error.strerror or error}") from error


def save_splits(
    splits: dict[str, range], rows: Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int, folder: Path
) -> None:
    """Encodes the splits into `folder`, as `DatasetDict.save_to_disk` would lay them out.

    That would copy the padded rows, dozens of times as large as the text, through this process's memory; so empty
    splits are saved, and the files that the encoding wrote become theirs.
    """
    empty: dict[str, list] = {name: [] for name in FEATURES}
    DatasetDict({name: Dataset.from_dict(empty, features=FEATURES, split=name) for name in splits}).save_to_disk(folder)
    for name, span in splits.items():
        split, options = rows.select(span), {"tokenizer": tokenizer, "max_length": max_length}
        encoded = in_parallel(split, encode_rows, ROWS_AT_ONCE, fn_kwargs=options, features=FEATURES)
        state_file = folder / name / "state.json"
        state = json.loads(state_file.read_text(encoding="utf-8"))
        for number, written in enumerate(encoded.cache_files):
            filename = f"data-{number:05}-of-{len(encoded.cache_files):05}.arrow"
            Path(written["filename"]).rename(folder / name / filename)
            state["_data_files"].append({"filename": filename})
        state["_fingerprint"] = digest_of(split, tokenizer, max_length)
        state_file.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def digest_of(rows: Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> str:
    """What `datasets` knows a split by when it looks for results that it has kept: its content, not its place."""
    digest = hashlib.sha256(f"{max_length}{tokenizer.backend_tokenizer.to_str()}".encode())
    for batch in rows.iter(ROWS_AT_ONCE):
        digest.update("\0".join(batch["text"]).encode() + b"\0")
    return digest.hexdigest()[:16]


def load_corpus(source: str) -> DatasetDict:
    """The splits of a corpus: a folder written by `build_corpus`, or an id on the Hub."""
    return load_from_disk(source) if Path(source).is_dir() else load_dataset(source)


def describe(corpus: DatasetDict) -> str:
    """A table of the corpus: characters, rows, the longest row and the share of padding of each split; the alphabet."""
    alphabet: set[str] = set()
    lines = [f"{'split':<10} {'characters':>12} {'rows':>9} {'longest row':>12} {'padding':>8}"]
    for name, split in corpus.items():
        lengths = lengths_of(split)
        padding = 1 - lengths.mean() / len(split[0]["input_ids"])
        characters = (lengths - 1).sum()
        lines.append(f"{name:<10} {characters:>12,} {len(split):>9,} {lengths.max() - 1:>12,} {padding:>8.1%}")
        for batch in split.select_columns("text").iter(ROWS_AT_ONCE):
            alphabet.update(*batch["text"])
    lines.append(f"alphabet: {len(alphabet)} characters: {''.join(sorted(alphabet))!r}")
    return "\n".join(lines)
