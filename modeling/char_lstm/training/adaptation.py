"""A memory of the text read so far, which a model's predictions are mixed with.

It is Kneser-Ney, as in ngram.py, but of long contexts alone, and it counts as it reads. Where they have not been read
before, the model predicts; where they have, its prediction is what they fall back on, in place of the shorter ones.
"""

from collections.abc import Sequence

import numpy as np

from .ngram import DISCOUNT

SHORTEST, LONGEST = 6, 12  # characters of a context, chosen on the validation split of Alice
MOST = 2_000_000  # contexts, those of some 300 000 characters; then it begins anew, in less than a gigabyte


class Memory:
    """What has followed each context, and how often: in the longest each time, in a shorter one as often as a context
    one longer saw it for the first time."""

    def __init__(self) -> None:
        self.followers: dict[tuple[int, ...], dict[int, int]] = {}

    def read(self, ids: Sequence[int], nats: np.ndarray) -> np.ndarray:
        """Nats of each character of a text, (time,), which is learnt only once it is scored.

        Args:
            ids: the text, (time,); it starts without context, but with all that was read before in memory.
            nats: of each character by the model alone, (time,).
        """
        likelihoods = np.exp(-nats)
        for time, character in enumerate(ids):
            lengths = range(SHORTEST, min(LONGEST, time) + 1)
            contexts = [tuple(ids[time - length : time]) for length in lengths]
            likelihoods[time] = self.mix(likelihoods[time], character, contexts)
            self.learn(character, contexts)
        return -np.log(likelihoods)

    def mix(self, likelihood: float, character: int, contexts: list[tuple[int, ...]]) -> float:
        """The probability of a character after contexts, the shortest first, of which the model alone gives one."""
        for counts in filter(None, map(self.followers.get, contexts)):
            counted = max(counts.get(character, 0) - DISCOUNT, 0)
            likelihood = (counted + DISCOUNT * len(counts) * likelihood) / sum(counts.values())
        return likelihood

    def learn(self, character: int, contexts: list[tuple[int, ...]]) -> None:
        """Counts what has followed contexts, the shortest first."""
        if len(self.followers) > MOST:
            self.followers.clear()
        for context in reversed(contexts):
            counts = self.followers.setdefault(context, {})
            counts[character] = counts.get(character, 0) + 1
            if counts[character] > 1:  # the shorter ones counted it when this one first saw it
                break
