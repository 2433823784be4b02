"""Items: a corpus whose rows are the lines of a list or the records of a dataset, each an example of its own."""

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset

from ..errors import CorpusError
from ..items import hash_item
from .sources import read_items

logger = logging.getLogger("build_corpus")

SHUFFLED_BY = 42  # the seed of the order, and so of the splits: a list is often sorted
MOST_HELD_OUT = 1000  # items of the validation and of the test split: what they teach is worth more than a finer figure
NOTHING = "nothing is left of the items: none that holds a letter or digit fits in a row"


def read_filled_items(**source) -> Iterator[dict[str, str]]:
    """The items of a source that are not blank. Raises CorpusError if all are."""
    items = ({"text": item} for item in read_items(**source) if item.strip())
    if (first := next(items, None)) is None:
        raise CorpusError(NOTHING)
    yield first
    yield from items


def trim_item(folded: str, strip_punctuation: bool) -> str:
    """A normalised item without the white space, or where that is kept the line breaks, around it."""
    return folded.strip(None if strip_punctuation else "\n")


def choose_items(items: Dataset, max_length: int | None) -> Dataset:
    """The items in random order, each once; those that hold nothing, or too much for a row, are left out.

    Raises:
        CorpusError: no item is left.
    """
    chosen: dict[int, int] = {}  # hash -> the first place
    left_out = dict.fromkeys(("hold no letter or digit", "repeat another", f"exceed --max_length {max_length}"), 0)
    empty, repeated, long = left_out
    for place, text in enumerate(items["text"]):
        if not text.strip():
            left_out[empty] += 1
        elif max_length is not None and len(text) + 2 > max_length:  # with the newline before it and its end
            left_out[long] += 1
        elif chosen.setdefault(hash_item(text), place) != place:
            left_out[repeated] += 1
    for reason, count in left_out.items():
        if count:
            logger.warning("%d items %s: left out", count, reason)
    if not chosen:
        raise CorpusError(NOTHING)
    order = np.random.default_rng(SHUFFLED_BY).permutation(list(chosen.values()))
    return items.select(order).flatten_indices()


def alphabet_of(items: Dataset) -> list[str]:
    return sorted(set().union(*items["text"]))


def longest_row(items: Dataset) -> int:
    """Ids of the longest item, with the newline before it and its end."""
    return pc.max(pc.utf8_length(items.data["text"])).as_py() + 2
