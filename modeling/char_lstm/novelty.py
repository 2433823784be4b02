"""How much of a text is the model's own, and how much stands verbatim in what it was trained on.

The index holds no text: for every place of the training text, in order, a 32-bit hash of the 8 characters that start
there. A passage is a copy where its hashes follow each other as they do in the training text; 13 collisions in a row
would be needed to take 20 other characters for one.

How long a passage must be to be a copy depends on the script: twenty letters are four words, twenty Chinese characters
a whole sentence. So it has to hold 100 bits, where each character counts as the entropy of the training text's
characters: with up to 5 bits a character that is 20 characters; in Chinese, with 9, it is 12.

A model that began from another, which has read a library, carries the index of that too: see novelty_books.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from .loading import checkpoint_folder, read_part
from .novelty_books import FILE as BOOKS
from .novelty_books import LARGEST, BookIndex, hash_passages

GRAM = 8  # characters in a hash
SHORTEST = 20  # characters of a copy, some four words: any two texts in one language share many shorter passages
BITS = 100  # of a copy, by the frequencies of the characters; reached sooner where there are thousands of them
FILE = "novelty.safetensors"


@dataclass(frozen=True)
class Novelty:
    """What of a text is new."""

    share_new: float  # of its characters, those that stand in no copy; 1 for an empty text
    longest_copy: int  # characters of the longest passage, a copy or shorter, that stands there; 0 if below 8
    spans: list[tuple[int, int]]  # start and end of each copy that no other contains, in order; two may overlap
    book_spans: list[tuple[int, int]] = field(default_factory=list)  # the same in the books that its base has read
    shortest: int = field(default=SHORTEST, compare=False)  # characters that make a copy here


class NoveltyIndex:
    """Hashes of all the passages of a training text; `grams` is (places,), uint32, in the order of the text.

    `shortest` is how many characters make a copy: 20, or fewer where a character says more, as in Chinese. `books` is
    the index of the books that the model, or the one that it began from, has read.
    """

    def __init__(self, grams: np.ndarray, shortest: int | np.ndarray = SHORTEST, *, books: BookIndex | None = None):
        self.grams, self.shortest, self.books = grams, int(shortest), books
        self._by_hash = grams.argsort(kind="stable")  # places, those of a hash side by side
        self._sorted = grams[self._by_hash]

    @classmethod
    def build(cls, training_text: str) -> "NoveltyIndex":
        """The index of a text, normalised as the model's tokenizer does it."""
        counts = np.array(list(Counter(training_text).values()), float)
        shares = counts / counts.sum()
        entropy = -(shares * np.log2(shares)).sum()  # bits per character
        return cls(_hashes(training_text), int(np.clip(np.ceil(BITS / max(entropy, 1)), GRAM, SHORTEST)))

    def save(self, folder: str | Path) -> None:
        """Writes novelty.safetensors, four bytes a character."""
        save_file({"grams": self.grams, "shortest": np.array(self.shortest)}, Path(folder) / FILE)

    @classmethod
    def load(cls, model_id: str | Path, *, revision: str | None = None) -> "NoveltyIndex":
        """What is saved with a checkpoint, found as `load` finds it. Raises CheckpointError if nothing is."""
        folder = checkpoint_folder(model_id, revision)
        books = read_part(folder / BOOKS, BookIndex.load) if (folder / BOOKS).exists() else None
        if books and not (folder / FILE).exists():  # a base
            return cls(np.empty(0, np.uint32), books=books)
        return read_part(folder / FILE, lambda path: cls(**_checked_arrays(path), books=books))

    def longest_matches(self, text: str) -> list[int]:
        """How many characters from each place of `text` on stand verbatim in the training text; 0 if fewer than 8."""
        hashes = _hashes(text)
        starts, ends = (np.searchsorted(self._sorted, hashes, side) for side in ("left", "right"))
        lengths = [0] * len(text)
        agreeing: dict[int, int] = {}  # place in the training text -> characters that agree from there on
        for here in reversed(range(len(hashes))):
            places = self._by_hash[starts[here] : ends[here]].tolist()
            agreeing = {place: 1 + agreeing.get(place + 1, GRAM - 1) for place in places}
            lengths[here] = max(agreeing.values(), default=0)
        return lengths


def index_of(pieces: Sequence[str]) -> NoveltyIndex | BookIndex:
    """The index of a training text in pieces: of a library, which the index would be too large for, of a sample."""
    if sum(map(len, pieces)) > LARGEST / 4:
        return BookIndex.build(pieces)
    return NoveltyIndex.build("".join(pieces))


def measure_novelty(text: str, index: NoveltyIndex) -> Novelty:
    """What of `text` is in no copy, a passage of at least `index.shortest` characters that stands verbatim in the
    training text, or one that is found in the base's books."""
    matches, in_books = (one.longest_matches(text) if one else [] for one in (index, index.books))
    spans, book_spans = _copies(matches, index.shortest), _copies(in_books, 1)
    copied = {place for start, end in spans + book_spans for place in range(start, end)}
    share_new = 1 - len(copied) / len(text) if text else 1.0
    return Novelty(share_new, max(matches + in_books, default=0), spans, book_spans, index.shortest)


def _copies(matches: list[int], shortest: int) -> list[tuple[int, int]]:
    """Start and end of each match of at least `shortest` characters that no other contains."""
    spans, reached = [], 0
    for start, length in enumerate(matches):
        if length >= shortest and start + length > reached:
            reached = start + length
            spans.append((start, reached))
    return spans


def _checked_arrays(path: Path) -> dict[str, np.ndarray]:
    arrays = load_file(path)
    if (arrays["grams"].dtype, arrays["grams"].ndim) != (np.uint32, 1):
        raise ValueError("its hashes are no row of 32-bit numbers")
    return arrays


def _hashes(text: str) -> np.ndarray:
    """(places,) uint32: the hash of the characters from each place on where enough of them are left."""
    return (hash_passages(text, GRAM) >> np.uint64(32)).astype(np.uint32)
