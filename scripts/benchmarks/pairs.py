"""Which of two models do readers prefer? Pairs of texts of 500 characters, mixed, and the count of their votes.

    python scripts/benchmark.py pairs                                       # pairs.json, and what a reader is given
    python scripts/benchmark.py pairs --votes AABBA... BABAA... ABABA...    # one word of A and B for each reader

A reader is given pairs.txt alone, which does not say who wrote what, and names the better text of each pair.
"""

import json
import random
from pathlib import Path

from char_lstm import generate_text, load_decoder
from char_lstm.files import write_file
from char_lstm.paths import PRETRAINED

MODELS = ("alice_english", "alice_best")
PAIRS = 20


def write_pairs() -> list[dict]:
    """Pairs of texts from one seed each, the models in random order."""
    models = {name: load_decoder(PRETRAINED / name) for name in MODELS}
    order, pairs = random.Random(0), []
    for seed in range(PAIRS):
        names = order.sample(MODELS, len(MODELS))
        texts = {letter: generate_text(*models[name], seed=seed) for letter, name in zip("AB", names, strict=True)}
        pairs.append({"seed": seed, "A": names[0], "B": names[1], "texts": texts})
    return pairs


def for_readers(pairs: list[dict]) -> str:
    """The pairs without the names of those who wrote them."""
    texts = ("\n\n".join(f"{number}{name}\n{text.strip()}" for name, text in pair["texts"].items())
             for number, pair in enumerate(pairs, 1))  # fmt: skip
    return "\n\n----\n\n".join(texts) + "\n"


def measure(votes: list[str] | None, json_path: Path) -> dict:
    """Writes the pairs, or counts the votes on those that were written."""
    if votes:
        pairs = json.loads(json_path.read_text(encoding="utf-8"))["pairs"]
    else:
        pairs = write_pairs()
        write_file(json_path.with_suffix(".txt"), for_readers(pairs))
    counts = {
        f"reader {number}": sum(pair[letter] == MODELS[0] for pair, letter in zip(pairs, vote, strict=True))
        for number, vote in enumerate(votes or [], 1)
    }
    unit = f"pairs of {PAIRS} in which {MODELS[0]} is preferred to {MODELS[1]}"
    return {"pairs": pairs, "votes": votes or [], "unit": unit, "figures": counts}
