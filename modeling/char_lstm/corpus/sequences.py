"""Sequences: normalised text cut into rows, and the rows encoded as padded ids."""

import re
from collections.abc import Callable, Iterator

import numpy as np
from datasets import Dataset, Features, List, Value, concatenate_datasets
from transformers import PreTrainedTokenizerFast

ROWS_AT_ONCE = 1000  # that are encoded together
MAX_LENGTH = 512  # ids of a row, with the newline that starts it

FEATURES = Features(
    text=Value("string"), input_ids=List(Value("int32")), attention_mask=List(Value("int8")), length=Value("int32")
)
LINE = re.compile(r"[^\n]*\n+|[^\n]+")  # with the line break, and the blank lines, that end it


def fold_in_place(normalise: Callable[[str], str], block: str, number: int) -> str:
    """Block `number` of a text, from 0, normalised as in the text: the line break before it may swallow white space."""
    return normalise(f"\n{block}")[1:] if number else normalise(block)


def cut_rows(text: str, max_length: int, sequence: str = "sentence") -> list[str]:
    """Cuts normalised text into rows which, joined, are the text again.

    Args:
        max_length: ids of a row, with the newline put before it: a row has at most `max_length - 1` characters.
        sequence: `sentence`: one line a row, one too long cut after a word; `packed`: as many of these as fit.
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
        end = line.rfind(" ", start, start + room) + 1 or start + room
        yield line[start:end]
        start = end
    yield line[start:]


def encode_rows(rows: dict, tokenizer: PreTrainedTokenizerFast, max_length: int) -> dict:
    """The rows as ids, padded on the right: `text, input_ids, attention_mask, length`.

    Each row starts with the newline that ends the sentence before it, so its first character has something to follow;
    an item ends in the tokenizer's `eos_token`.
    `length` counts the ids that are not padding, that newline included. `rows` has the column `text`, which this
    tokenizer normalised.
    """
    texts, end = rows["text"], tokenizer.eos_token or ""
    ids = {ord(character): index for character, index in tokenizer.get_vocab().items() if len(character) == 1}
    id_of = np.zeros(max(ids) + 1, np.int32)
    id_of[list(ids)] = list(ids.values())
    length = np.array([1 + len(row) + len(end) for row in texts], np.int32)  # (rows,)
    real = np.arange(max_length) < length[:, None]  # (rows, max_length)
    input_ids = np.full(real.shape, tokenizer.pad_token_id, np.int32)
    input_ids[real] = id_of[np.frombuffer("".join(f"\n{row}{end}" for row in texts).encode("utf-32-le"), np.uint32)]
    return {"text": texts, "input_ids": input_ids, "attention_mask": real.astype(np.int8), "length": length}


def encoded_rows(texts: list[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> Dataset:
    """`encode_rows` as a data set in memory, a part at a time, whose arrays have the types of FEATURES."""
    parts = [texts[start : start + ROWS_AT_ONCE] for start in range(0, len(texts), ROWS_AT_ONCE)] or [[]]
    return concatenate_datasets(
        [Dataset.from_dict(encode_rows({"text": part}, tokenizer, max_length)) for part in parts]
    )


def lengths_of(rows: Dataset) -> np.ndarray:
    """The column `length`, (rows,)."""
    return rows.with_format("numpy", columns=["length"])["length"][:]


def ids_of(rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """The text that the rows are cut from, or the items and their ends, as ids, (characters,)."""
    end = tokenizer.eos_token or ""
    return np.array(tokenizer.convert_tokens_to_ids(list("".join(row + end for row in rows["text"]))))
