"""Which passages of a text stand verbatim in a library too large to index whole: hashes of a sample, in at most 6 MB.

Books and text are compared in the most forgetful form, words with one space between them, so that case, punctuation,
accents and line breaks hide no copy. Of every `stride`-th place of the books the index holds a hash of the 28
characters that start there, and a text is looked up at each of its places. So a copy of 27 + `stride` characters is
surely found, and one of n from 28 on with a chance of (n - 27) / `stride`.

The hashes of n places are numbers below n * 2**16, so what stands in no book is taken for a copy at one place in 65 536
or fewer. Sorted, each takes 16 bits and two more in unary (Elias 1974, Fano 1971): 2.25 bytes a place.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import PreTokenizedString, Regex

from .tokenization_char_lstm import whole_normalizer

PASSAGE = 28  # characters of a hash: of shorter passages any two libraries in one language share many
LARGEST = 6_000_000  # bytes of a file
BYTES = 2.25  # of a place
FILE = "novelty_books.safetensors"
FORGET = whole_normalizer(lowercase=True, strip_punctuation=True, strip_accents=True)

# Multilinear hashing (Carter & Wegman 1979): odd 64-bit multipliers; the upper bits of the sum are the hash.
MULTIPLIERS = np.random.PCG64(1979).random_raw(PASSAGE) | np.uint64(1)


class BookIndex:
    """Hashes of every `stride`-th passage of the books.

    Args:
        low: (hashes,), uint16, the lower halves of the sorted hashes.
        high: bits, packed: for each upper half from 0 on, a 1 for each hash that has it, then a 0.
        places: n, which the hashes are scaled to.
    """

    shortest = PASSAGE

    def __init__(self, low: np.ndarray, high: np.ndarray, places: int | np.ndarray, stride: int | np.ndarray):
        self.low, self.high, self.places, self.stride = low, high, int(places), int(stride)
        upper = np.flatnonzero(np.unpackbits(high)) - np.arange(len(low))
        self._hashes = upper.astype(np.uint64) << np.uint64(16) | low  # (hashes,), sorted

    @classmethod
    def build(cls, pieces: Iterable[str], largest: int = LARGEST) -> "BookIndex":
        """The index of books in any form, in pieces that may end anywhere, in at most `largest` bytes."""
        text = "".join(FORGET.normalize_str(piece) for piece in pieces).replace("\n", " ").replace("  ", " ")
        stride = int(BYTES * len(text) / (largest - 1000)) + 1  # the file's header takes some hundred bytes
        grams = np.unique(hash_passages(text, PASSAGE, stride))
        hashes = np.unique(_scale(grams, len(grams)))
        high = np.zeros(len(hashes) + len(grams), np.uint8)
        high[(hashes >> np.uint64(16)).astype(np.int64) + np.arange(len(hashes))] = 1
        return cls(hashes.astype(np.uint16), np.packbits(high), len(grams), stride)

    @property
    def surely_found(self) -> int:
        """Characters of the shortest copy that is always found."""
        return PASSAGE + self.stride - 1

    def save(self, folder: str | Path) -> None:
        """Writes novelty_books.safetensors."""
        numbers = {"places": np.array(self.places), "stride": np.array(self.stride)}
        save_file({"low": self.low, "high": self.high, **numbers}, Path(folder) / FILE)

    @classmethod
    def load(cls, path: Path) -> "BookIndex":
        """The index in a file."""
        return cls(**load_file(path))

    def longest_matches(self, text: str) -> list[int]:
        """How many characters from each place of `text` on are found in the books, at least; 0 if fewer than 28."""
        whole = PreTokenizedString(text.encode("utf-8", "replace").decode())
        whole.normalize(FORGET.normalize)
        whole.split(lambda _, part: part.split(Regex(r"[\s\S]"), "isolated"))
        letters = whole.get_splits("original", "char")  # each with where in `text` it comes from
        forgotten = "".join(letter for letter, *_ in letters).replace("\n", " ")
        hashes = _scale(hash_passages(forgotten, PASSAGE), self.places)
        found = np.searchsorted(self._hashes, hashes, "right") > np.searchsorted(self._hashes, hashes, "left")
        lengths = [0] * len(text)
        ends: dict[int, int] = {}  # where the copy that starts at a place ends
        for start in reversed(np.flatnonzero(found).tolist()):
            ends[start] = ends.get(start + self.stride, start + PASSAGE)
            first, last = letters[start][1][0], letters[ends[start] - 1][1][1]
            lengths[first] = last - first
        return lengths


def hash_passages(text: str, length: int, stride: int = 1) -> np.ndarray:
    """(places,) uint64: hashes, in their upper bits, of the `length` characters from every `stride`-th place on."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    passages = range(0, len(codes) - length + 1, stride)
    hashes = np.zeros(len(passages), np.uint64)
    for offset, multiplier in enumerate(MULTIPLIERS[:length]):
        hashes += codes[offset::stride][: len(passages)] * multiplier
    return hashes


def _scale(hashes: np.ndarray, places: int) -> np.ndarray:
    """Hashes of 64 bits as numbers below `places` * 2**16, in the same order; `places` is below 2**22."""
    return (hashes >> np.uint64(22)) * np.uint64(places) >> np.uint64(26)
