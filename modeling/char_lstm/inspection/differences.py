"""How long a model remembers one letter: a text is read twice, the second time with one early letter changed, and after
each letter that follows the two states still differ by so much."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from ..tokenization_char_lstm import normalise
from .inspect import inspect_text

REACH = 100  # letters after the changed one that are read


def changed_letter(chars: Sequence[str]) -> int | None:
    """The place of the first letter that another letter follows, which then stands in its place too."""
    pairs = enumerate(pairwise(chars))
    return next((t for t, (one, next_) in pairs if one != next_ and one.isalpha() and next_.isalpha()), None)


def difference_by_distance(model, tokenizer, text: str, position: int, other: str) -> dict[str, np.ndarray]:
    """How far the states of two readings of one normalised text are apart, which differ in the letter at `position`.

    Returns:
        "output" (h) and "cell_state" (c; in a GRU or an RNN, h again), each (1 + letters after the changed one,), at
        most REACH letters: the norm of the difference over all layers, divided by that of the state in the first
        reading. 0 is the same; of two unrelated states that are equally large it is about 1.4.
    """
    text = text[: position + 2 + REACH]  # the last character is predicted, not read
    readings = [inspect_text(model, tokenizer, one) for one in (text, text[:position] + other + text[position + 1 :])]
    found = {}
    for name in ("output", "cell_state"):  # of each reading (layers, letters, hidden)
        first, second = (getattr(seen, name)[:, position + 1 : len(text)] for seen in readings)
        found[name] = np.linalg.norm(second - first, axis=(0, 2)) / np.linalg.norm(first, axis=(0, 2))
    return found


def compare_memories(models: Mapping[str, tuple], text: str) -> dict:
    """`difference_by_distance` of several models on one normalised text, as the inspector's record has it.

    Args:
        models: by their titles, each with its tokenizer. Those whose alphabet lacks something of the text are left out.
        text: the first letter that another follows is changed into that one.

    Returns:
        {"position", "was", "now", "curves": [{"title", "cell", "output", "state"}]}, where a cell whose only state is
        its output has None as state. Without such a letter the position is None, and there are no curves.
    """
    if (position := changed_letter(text)) is None:
        return {"position": None, "was": "", "now": "", "curves": []}
    curves = []
    for title, (model, tokenizer) in models.items():
        if normalise(tokenizer, text) != text:
            continue
        found = difference_by_distance(model, tokenizer, text, position, text[position + 1])
        output, state = ([float(f"{share:.4g}") for share in found[name]] for name in ("output", "cell_state"))
        cell = model.config.cell_type
        curves.append({"title": title, "cell": cell, "output": output, "state": state if cell == "lstm" else None})
    return {"position": position, "was": text[position], "now": text[position + 1], "curves": curves}
