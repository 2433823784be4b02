"""An interpolated Kneser-Ney n-gram model of characters: a baseline, and the source of soft targets.

Source: Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 3.
"""

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

DISCOUNT = 0.9  # of every count; one for all orders
NOTHING = -1  # in place of an id before a text begins
AT_ONCE = 50_000  # positions whose probabilities are worked out together


class KneserNey:
    """P_n(c | context) = max(count - D, 0) / total + D * kinds / total * P_{n-1}(c | shorter context).

    Orders below the highest count how many different characters come before a string instead of how often it comes.
    An n-gram is one integer, its ids read as digits; each order is a sorted table of them.

    Args:
        ids: the training text, (time,), each id below `vocab_size`.
        order: length of the longest n-gram, the predicted character included; `vocab_size ** order` below 2**63.
    """

    def __init__(self, ids: np.ndarray, vocab_size: int, order: int, discount: float = DISCOUNT):
        self.vocab_size, self.discount = vocab_size, discount
        order = min(order, int(63 / np.log2(vocab_size)))  # an n-gram has to fit into 63 bits
        self.tables: list[tuple[np.ndarray, ...]] = []
        for length in range(min(order, len(ids)), 0, -1):
            grams = self._grams(ids, length)
            seen, counts = np.unique(grams, return_counts=True)
            if self.tables:  # from the n-grams one longer: in how many ways each goes on to the left
                longer = self.tables[-1][0] % vocab_size**length
                counts = np.bincount(np.searchsorted(seen, longer), minlength=len(seen))
                counts = counts.clip(min=1)  # the n-gram at the very start has nothing else to its left
            contexts, first = np.unique(seen // vocab_size, return_index=True)
            totals, kinds = np.add.reduceat(counts, first), np.diff(np.append(first, len(seen)))
            self.tables.append((seen, counts, contexts, totals, kinds))
        self.tables.reverse()

    def _grams(self, ids: np.ndarray, length: int) -> np.ndarray:
        """Every run of `length` ids as a number, (time - length + 1,)."""
        grams = np.zeros(len(ids) - length + 1, np.int64)
        for offset in range(length):
            grams = grams * self.vocab_size + ids[offset : len(grams) + offset]
        return grams

    @property
    def order(self) -> int:
        """Length of the longest n-gram."""
        return len(self.tables)

    def probabilities(self, ids: np.ndarray, start: int = 0) -> np.ndarray:
        """Of every character at each position from `start` on, given those before: (time - start, vocab)."""
        width = self.order - 1
        befores = sliding_window_view(np.concatenate([np.full(width, NOTHING), ids]), width)[start : len(ids)]
        pieces = range(0, len(befores), AT_ONCE)
        return np.concatenate([self.following(befores[piece : piece + AT_ONCE]) for piece in pieces])

    def following(self, before: np.ndarray) -> np.ndarray:
        """Of every character after each of some texts, which end in `before` (batch, order - 1): (batch, vocab)."""
        result = np.full((len(before), self.vocab_size), 1 / self.vocab_size)
        context = np.zeros(len(before), np.int64)  # the last ids as digits; below 0, and unknown, before the beginning
        for length, (seen, counts, contexts, totals, kinds) in enumerate(self.tables):
            if length:  # one more to the left
                context = before[:, -length] * self.vocab_size ** (length - 1) + context
            place = np.searchsorted(contexts, context).clip(max=len(contexts) - 1)
            known = np.flatnonzero(contexts[place] == context)
            place = place[known]
            result[known] *= self.discount * (kinds / totals)[place, None]
            rows = np.repeat(np.arange(len(known)), kinds[place])  # one for each n-gram that begins with the context
            firsts = np.searchsorted(seen, context[known] * self.vocab_size)
            grams = firsts[rows] + np.arange(len(rows)) - np.searchsorted(rows, rows)
            result[known[rows], seen[grams] % self.vocab_size] += (counts[grams] - self.discount) / totals[place][rows]
        return result


def nats_per_char(model: KneserNey, ids: np.ndarray, start: int) -> float:
    """Of the text from `start` on, given all that is before."""
    probabilities = model.probabilities(ids, start)
    return float(-np.log(probabilities[np.arange(len(probabilities)), ids[start:]]).mean())


def cross_fitted(ids: np.ndarray, vocab_size: int, order: int, folds: int) -> np.ndarray:
    """The n-gram probabilities at each place of a text, by counts that leave out the stretch around it: (time, vocab).

    Counts that had seen the place would just repeat it.
    """
    ends = np.linspace(0, len(ids), min(folds, len(ids)) + 1).astype(int)
    result = np.empty((len(ids), vocab_size), np.float16)
    for start, end in pairwise(ends):
        others = KneserNey(np.concatenate([ids[:start], ids[end:]]), vocab_size, order)
        before = max(0, start - order)
        result[start:end] = others.probabilities(ids[before:end], start - before)
    return result
