"""Builds a corpus from any text: rows of characters in three contiguous splits, with their tokenizer."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unicodedata import category

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError
from datasets.utils import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..errors import CorpusError
from ..files import replaced_folder
from ..tokenization_char_lstm import END_OF_ITEM, accents_are_foreign, count_accents, fold, tokenizer_of
from .decoding import logger
from .items import MOST_HELD_OUT, alphabet_of, choose_items, longest_row, read_filled_items, trim_item
from .sequences import MAX_LENGTH, ROWS_AT_ONCE, cut_rows, encode_rows, features_of, fold_in_place, lengths_of
from .sources import read_documents
from .text import Cleaning, changes_in_words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MUCH = 0.1  # of a text, when it is worth saying that it is forgotten
SENTENCE_ENDS = ".!?…。！？।"  # which become newlines
LARGEST_PADDED = 16 * 10**6  # bytes of a text whose rows are stored padded where nobody says otherwise


def build_corpus(
    output_dir: str | Path,
    *,
    text: str | Path | None = None,
    dataset_name: str | None = None,
    text_column: str = "text",
    encoding: str | None = None,
    unwrap: str = "auto",
    sequence: str = "sentence",
    max_length: int | None = None,
    pad_to_max_length: bool | None = None,
    keep_punctuation: bool = False,
    keep_case: bool = False,
    strip_accents: bool = False,
) -> DatasetDict:
    """Builds a corpus and saves it with its tokenizer; `output_dir` appears whole or not at all.

    The texts of all rows of all splits, joined, are exactly `normalise(tokenizer, clean(text))`; or with `sequence`
    "item" each is a line of the text, or a document of the dataset, normalised, and none comes twice.

    Raises:
        CorpusError: the input cannot be read or is too short, or `output_dir` holds something else.
        WriteError: `output_dir` cannot be written.
    """
    if max_length is not None and max_length < 2:
        raise CorpusError(f"--max_length {max_length}: a row needs at least 2, a newline and a character")
    folding: dict[str, Any] = {"lowercase": not keep_case, "strip_punctuation": not keep_punctuation}
    folding["strip_accents"] = strip_accents
    source: dict[str, Any] = {"text": text, "dataset_name": dataset_name}
    source |= {"text_column": text_column, "encoding": encoding}
    with corpus_folder(Path(output_dir)) as folder, TemporaryDirectory(dir=folder) as work:
        if sequence == "item":
            folded = fold_all(store(read_filled_items, work, **source), fold_items, ROWS_AT_ONCE, folding)
            rows = choose_items(folded.select_columns("text"), max_length)
            tokenizer = tokenizer_of(alphabet_of(rows), **folding, eos_token=END_OF_ITEM)
            max_length, splits = longest_row(rows), split_rows(rows, MOST_HELD_OUT)
        else:
            max_length = max_length or MAX_LENGTH
            folded = fold_all(store(read_blocks, work, unwrap=unwrap, **source), fold_block, 1, folding)
            if not "".join(folded["alphabet"]).strip():
                raise CorpusError("nothing is left of the text after normalising: it holds no letter or digit")
            tokenizer = tokenizer_of("".join(folded["alphabet"]), **folding)
            rows = in_parallel(folded, cut_block, fn_kwargs={"max_length": max_length, "sequence": sequence})
            splits = split_rows(rows)
        save_splits(splits, rows, tokenizer, max_length if pads(rows, pad_to_max_length) else None, folder)
        tokenizer.save_pretrained(folder)
    return load_from_disk(output_dir)


def read_blocks(unwrap: str, **source) -> Iterator[dict[str, str]]:
    cleaning = Cleaning(unwrap)
    yield from ({"text": block} for block in cleaning.blocks(document.lines for document in read_documents(**source)))
    for change in changes_in_words(cleaning.counts):
        logger.warning(change)


def store(read: Callable, work: str, **options) -> Dataset:
    """What `read` makes of a source, on disk."""
    try:
        with logging_redirect_tqdm(tqdm_class=tqdm):  # what is said has a line of its own
            return Dataset.from_generator(read, gen_kwargs=options, cache_dir=work)
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


def fold_all(texts: Dataset, function: Callable, batch_size: int, folding: dict[str, bool]) -> Dataset:
    """Texts as the tokenizer will normalise them, by `function`; says what of them is forgotten. Where their accents
    are foreign, these go too, and `folding` says so afterwards."""
    options: Any = {"batch_size": batch_size, "fn_kwargs": folding, "with_indices": True}
    folded = in_parallel(texts, function, **options)
    say_what_is_forgotten(folded, **folding)
    accents, letters = sum(folded["accents"]), sum(folded["letters"])
    if folding["strip_punctuation"] and not folding["strip_accents"] and accents_are_foreign(accents, letters):
        folding["strip_accents"] = True
        if accents:
            folded = in_parallel(folded, function, **options)
    return folded


def fold_block(batch: dict, indices: list[int], **folding: Any) -> dict:
    """A block as the tokenizer will normalise it, its alphabet, and figures of it."""
    folded = fold_in_place(partial(fold, **folding), batch["text"][0], indices[0])
    return {"text": [folded], "alphabet": ["".join(sorted(set(folded)))], **figures_of(batch["text"], [folded])}


def fold_items(batch: dict, indices: list[int], **folding: Any) -> dict:
    """Items as the tokenizer will normalise them, without the white space that this leaves around them, and figures."""
    folded = [trim_item(fold(text, **folding), folding["strip_punctuation"]) for text in batch["text"]]
    return {"text": folded, **figures_of(batch["text"], folded)}


def figures_of(texts: list[str], folded: list[str]) -> dict[str, list[int]]:
    """Of a batch, in its first row: the marks and capitals before folding, the accents and letters after."""
    counts = Counter("".join(texts)).items()
    marks = sum(n for one, n in counts if category(one)[0] in "PS" and one not in SENTENCE_ENDS)
    capitals = sum(n for one, n in counts if one.isupper())
    accents, letters = count_accents("".join(folded))
    figures = {"marks": marks, "capitals": capitals, "accents": accents, "letters": letters}
    return {name: [figure] + [0] * (len(texts) - 1) for name, figure in figures.items()}


def say_what_is_forgotten(folded: Dataset, lowercase: bool, strip_punctuation: bool, **others: bool) -> None:
    """Warns where much of a text, such as code or a notation, would be folded away."""
    size = pc.sum(pc.utf8_length(folded.data["text"])).as_py()
    for column, what, forgotten in (
        ("marks", "punctuation and symbols are left out, --keep_punctuation keeps them", strip_punctuation),
        ("capitals", "capitals become small letters, --keep_case keeps them", lowercase),
    ):
        count = pc.sum(folded.data[column]).as_py()
        if forgotten and count > size * MUCH:
            logger.warning("%s %s: %.0f for every 100 characters of the corpus", f"{count:,}", what, 100 * count / size)


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


def pads(rows: Dataset, wanted: bool | None) -> bool:
    """Whether to store the rows padded: as wanted, else those of a text that is not large."""
    if wanted is None and (size := pc.sum(pc.binary_length(rows.data["text"])).as_py()) > LARGEST_PADDED:
        logger.warning("%d MB are stored without padding; --pad_to_max_length true pads", size // 10**6)
        return False
    return wanted is not False


@contextmanager
def corpus_folder(output_dir: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `output_dir` at the end, or goes away if anything fails."""
    if output_dir.is_dir() and not (output_dir / "dataset_dict.json").exists() and any(output_dir.iterdir()):
        raise CorpusError(f"{output_dir} holds something other than a corpus; choose another --output_dir")
    with replaced_folder(output_dir) as folder:
        yield folder


def save_splits(
    splits: dict[str, range], rows: Dataset, tokenizer: "PreTrainedTokenizerFast", max_length: int | None, folder: Path
) -> None:
    """Encodes the splits into `folder`, as `DatasetDict.save_to_disk` would lay them out.

    That would copy the padded rows, dozens of times as large as the text, through this process's memory; so empty
    splits are saved, and the files that the encoding wrote become theirs.
    """
    features = features_of(tokenizer, max_length)
    empty: dict[str, list] = {name: [] for name in features}
    DatasetDict({name: Dataset.from_dict(empty, features=features, split=name) for name in splits}).save_to_disk(folder)
    for name, span in splits.items():
        split, options = rows.select(span), {"tokenizer": tokenizer, "max_length": max_length}
        encoded = in_parallel(split, encode_rows, ROWS_AT_ONCE, fn_kwargs=options, features=features)
        state_file = folder / name / "state.json"
        state = json.loads(state_file.read_text(encoding="utf-8"))
        for number, written in enumerate(encoded.cache_files):
            filename = f"data-{number:05}-of-{len(encoded.cache_files):05}.arrow"
            Path(written["filename"]).rename(folder / name / filename)
            state["_data_files"].append({"filename": filename})
        state["_fingerprint"] = digest_of(split, tokenizer, max_length)
        state_file.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def digest_of(rows: Dataset, tokenizer: "PreTrainedTokenizerFast", max_length: int | None) -> str:
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
        padding = 1 - lengths.sum() / pc.sum(pc.list_value_length(split.data["input_ids"])).as_py()
        characters = (lengths - 1).sum()
        lines.append(f"{name:<10} {characters:>12,} {len(split):>9,} {lengths.max() - 1:>12,} {padding:>8.1%}")
        for batch in split.select_columns("text").iter(ROWS_AT_ONCE):
            alphabet.update(*batch["text"])
    lines.append(f"alphabet: {len(alphabet)} characters: {''.join(sorted(alphabet))!r}")
    return "\n".join(lines)
