"""How much of a text is the model's own, and how much stands verbatim in what it was trained on.

The index holds no text: for every place of the training text, in order, a 32-bit hash of the 8 characters that start
there. A passage is a copy where its hashes follow each other as they do in the training text; 13 collisions in a row
would be needed to take 20 other characters for one.

How long a passage must be to be a copy depends on the script: twenty letters are four words, twenty Chinese characters
a whole sentence. So it has to hold 100 bits, where each character counts as the entropy of the training text's
characters: with up to 5 bits a character that is 20 characters; in Chinese, with 9, it is 12.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from .loading import checkpoint_folder, read_part

GRAM = 8  # characters in a hash
SHORTEST = 20  # characters of a copy, some four words: any two texts in one language share many shorter passages
BITS = 100  # of a copy, by the frequencies of the characters; reached sooner where there are thousands of them
FILE = "novelty.safetensors"

# Multilinear hashing (Carter & Wegman 1979): odd 64-bit multipliers, of whose sum the high half is the hash.
MULTIPLIERS = np.random.PCG64(1979).random_raw(GRAM) | np.uint64(1)


@dataclass(frozen=True)
class Novelty:
    """What of a text is new."""

    share_new: float  # of its characters, those that stand in no copy; 1 for an empty text
    longest_copy: int  # characters of the longest passage, a copy or shorter, that stands there; 0 if below 8
    spans: list[tuple[int, int]]  # start and end of each copy that no other contains, in order; two may overlap
    shortest: int = field(default=SHORTEST, compare=False)  # characters that make a copy here


class NoveltyIndex:
    """Hashes of all the passages of a training text; `grams` is (places,), uint32, in the order of the text.

    `shortest` is how many characters make a copy: 20, or fewer where a character says more, as in Chinese.
    """

    def __init__(self, grams: np.ndarray, shortest: int | np.ndarray = SHORTEST):
        self.grams, self.shortest = grams, int(shortest)
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
        """The index saved with a checkpoint, found as `load` finds it. Raises CheckpointError if it has none."""
        path = checkpoint_folder(model_id, revision) / FILE
        return read_part(path, lambda path: cls(**load_file(path)))

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


def measure_novelty(text: str, index: NoveltyIndex) -> Novelty:
    """What of `text` is in no copy, a passage of at least `index.shortest` characters that stands verbatim there."""
    matches = index.longest_matches(text)
    spans, copied, reached = [], 0, 0
    for start, length in enumerate(matches):
        end = start + length
        if length >= index.shortest and end > reached:
            spans.append((start, end))
            copied += end - max(start, reached)
            reached = end
    return Novelty(1 - copied / len(text) if text else 1.0, max(matches, default=0), spans, index.shortest)


def _hashes(text: str) -> np.ndarray:
    """(places,) uint32: the hash of the characters from each place on where enough of them are left."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if len(codes) < GRAM:
        return np.empty(0, np.uint32)
    windows = np.lib.stride_tricks.sliding_window_view(codes, GRAM)  # (places, characters)
    return (windows @ MULTIPLIERS >> np.uint64(32)).astype(np.uint32)
