"""Sequences: normalised text cut into rows, and the rows encoded as padded ids."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING
from unicodedata import category

import numpy as np
from datasets import Dataset, Features, List, Value, concatenate_datasets
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from ..tokenization_char_lstm import end_of_item

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROWS_AT_ONCE = 1000  # that are encoded together
MAX_LENGTH = 512  # ids of a row, with the newline that starts it

FEATURES = Features(
    text=Value("string"), input_ids=List(Value("int32")), attention_mask=List(Value("int8")), length=Value("int32")
)
CLUSTERS = Split(Regex(r"\X\p{M}*"), "isolated")  # Burmese has marks that \X leaves out
LONGEST_CLUSTER = 64  # characters, with those before it that tell where it begins
LINE = re.compile(r"[^\n]*\n+|[^\n]+")  # with the line break, and the blank lines, that end it


def fold_in_place(normalise: Callable[[str], str], block: str, number: int) -> str:
    """Block `number` of a text, from 0, normalised as in the text: the line break before it may swallow white space."""
    return normalise(f"\n{block}")[1:] if number else normalise(block)


def cut_rows(text: str, max_length: int, sequence: str = "sentence") -> list[str]:
    """Cuts normalised text into rows which, joined, are the text again.

    Args:
        max_length: ids of a row, with the newline put before it: a row has at most `max_length - 1` characters.
        sequence: `sentence`: one line a row, one too long cut after a word, or else between two grapheme clusters;
            `packed`: as many of these as fit.
    """
    room = max_length - 1
    rows: list[str] = []
    for piece in (piece for line in LINE.findall(text) for piece in _pieces(line, room)):
        if sequence == "packed" and rows and len(rows[-1]) + len(piece) <= room:
            rows[-1] += piece
        else:
            rows.append(piece)
    return rows


def _pieces(line: str, room: int) -> Iterator[str]:
    start = 0
    while len(line) - start > room:
        end = line.rfind(" ", start, start + room) + 1
        if not end or category(line[end])[0] == "M":
            end = _last_cluster_end(line, start, start + room)
        yield line[start:end]
        start = end
    yield line[start:]


def _last_cluster_end(line: str, start: int, end: int) -> int:
    """The last place up to `end` between two grapheme clusters, such as a letter with its marks; else `end`."""
    start = max(start, end - LONGEST_CLUSTER)
    ends = [start + stop for _, (_, stop) in CLUSTERS.pre_tokenize_str(line[start : end + 1])]
    return max(ends[:-1], default=end)


def features_of(tokenizer: "PreTrainedTokenizerFast", max_length: int | None) -> Features:
    """The columns of `encode_rows`; without padding, ids of the type of the tokenizer's that takes the least room."""
    ids = Value("int32" if max_length or len(tokenizer) > 2**16 else "uint16")
    return Features({**FEATURES, "input_ids": List(ids)})


def encode_rows(rows: dict, tokenizer: "PreTrainedTokenizerFast", max_length: int | None) -> dict:
    """The rows as ids, padded on the right to `max_length` if there is one: `text, input_ids, attention_mask, length`.

    Each row starts with the newline that ends the sentence before it, so its first character has something to follow;
    an item ends in END_OF_ITEM.
    `length` counts the ids that are not padding, that newline included. `rows` has the column `text`, which this
    tokenizer normalised.
    """
    texts, end = rows["text"], end_of_item(tokenizer)
    ids = {ord(character): index for character, index in tokenizer.get_vocab().items() if len(character) == 1}
    id_of = np.zeros(max(ids) + 1, np.int32)
    id_of[list(ids)] = list(ids.values())
    length = np.array([1 + len(row) + len(end) for row in texts], np.int32)  # (rows,)
    framed = "".join(f"\n{row}{end}" for row in texts)
    joined = id_of[np.frombuffer(framed.encode("utf-32-le"), np.uint32)]  # (ids,)
    if max_length is None:
        split = partial(np.split, indices_or_sections=np.cumsum(length)[:-1])
        mask = split(np.ones(len(joined), np.int8))
        return {"text": texts, "input_ids": split(joined), "attention_mask": mask, "length": length}
    real = np.arange(max_length) < length[:, None]  # (rows, max_length)
    input_ids = np.full(real.shape, tokenizer.pad_token_id, np.int32)
    input_ids[real] = joined
    return {"text": texts, "input_ids": input_ids, "attention_mask": real.astype(np.int8), "length": length}


def encoded_rows(texts: list[str], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> Dataset:
    """`encode_rows` as a data set in memory, a part at a time, whose arrays have the types of FEATURES."""
    parts = [texts[start : start + ROWS_AT_ONCE] for start in range(0, len(texts), ROWS_AT_ONCE)] or [[]]
    return concatenate_datasets(
        [Dataset.from_dict(encode_rows({"text": part}, tokenizer, max_length)) for part in parts]
    )


def lengths_of(rows: Dataset) -> np.ndarray:
    """The column `length`, (rows,)."""
    return rows.with_format("numpy", columns=["length"])["length"][:]


def max_length_of(rows: Dataset) -> int:
    """What the rows are padded to, or the longest of rows without padding."""
    return max(len(rows[0]["input_ids"]), int(lengths_of(rows).max()))


def ids_of(rows: Dataset, tokenizer: "PreTrainedTokenizerFast") -> np.ndarray:
    """The text that the rows are cut from, or the items and their ends, as ids, (characters,)."""
    end = end_of_item(tokenizer)
    return np.array(tokenizer.convert_tokens_to_ids(list("".join(row + end for row in rows["text"]))))
