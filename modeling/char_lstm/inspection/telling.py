"""Which cells of a model are worth showing, and what each of them can be shown to track."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .inspect import Inspection

CELLS = 5  # units that a page shows, of the hundreds in a model: few enough to get to know them
HOLDS = 0.6  # the least correlation with what a cell's name says, along the text, for the name to hold
EVENTS = 5  # the fewest times that what a name speaks of must happen in the text


def tracked(chars: list[str]) -> dict[str, np.ndarray]:
    """What a cell may track, by the name it then gets: a value before each character, (time,).

    Only of what happens EVENTS times: without a quotation or a new line there is nothing to correlate with.
    """
    in_word, first, vowel, position, quoted, column = (np.zeros(len(chars)) for _ in range(6))
    for t in range(1, len(chars)):
        past = chars[t - 1]  # read in the step t
        in_word[t], vowel[t] = past.isalpha(), past.lower() in "aeiou"
        position[t] = position[t - 1] + 1 if past.isalpha() else 0
        first[t] = position[t] == 1
        quoted[t] = {"“": 1, "”": 0, '"': 1 - quoted[t - 1]}.get(past, quoted[t - 1])
        column[t] = 0 if past == "\n" else column[t - 1] + 1
    found = {
        "inside a word or between words": (in_word, in_word),
        "first letter of a word": (first, first),
        "position in the word": (position, first),
        "after a vowel": (vowel, vowel),
        "inside a quotation": (quoted, quoted),
        "distance from the line's start": (column, column == 0),
    }
    begins = {name: int((np.diff(events.astype(int)) > 0).sum()) for name, (_, events) in found.items()}
    return {name: values for name, (values, _) in found.items() if begins[name] >= EVENTS}


def telling_cells(seen: "Inspection", gate: str | None) -> list[dict]:
    """Five units worth showing: {"layer", "unit", "why", "name"}.

    First, for each of `tracked`, the unit whose tanh(state) follows it best, if |r| >= HOLDS; that is its name, or of
    several the one that it follows best; others have None. Of the rest, half swing the most, by the standard deviation
    of tanh(state), and half keep their past the longest, by the mean of `gate`, among the livelier half of the units:
    one that never moves keeps nothing.
    """
    activity = np.tanh(seen.cell_state)  # (layers, time, hidden)
    swing = activity.std(axis=1)
    centred = activity - activity.mean(axis=1, keepdims=True)
    names: list[tuple[float, int, str]] = []  # r, flat index, name
    for name, values in tracked(seen.chars).items():
        follows = np.einsum("lth,t->lh", centred, values - values.mean()) / len(values)
        follows /= np.maximum(swing * values.std(), 1e-9)
        best = int(np.abs(follows).argmax())
        names.append((float(follows.flat[best]), best, name))
    chosen: dict[int, tuple[str, str | None]] = {}  # why and name, by flat index
    for r, best, name in sorted(names, key=lambda found: -abs(found[0]))[:CELLS]:
        if abs(r) >= HOLDS:
            chosen.setdefault(best, (f"correlation {r:.2f}", name))
    by_swing = np.argsort(-swing, axis=None).tolist()  # flat indices, liveliest first
    places = CELLS - len(chosen)
    swinging = [index for index in by_swing if index not in chosen][: places - places // 2 if gate else places]
    chosen |= dict.fromkeys(swinging, ("swings most", None))
    if gate:
        held = seen.gates[gate].mean(axis=1).ravel()  # (layers * hidden,)
        lively = [index for index in by_swing[: len(by_swing) // 2] if index not in chosen]
        keeping = sorted(lively, key=lambda index: -held[index])[: CELLS - len(chosen)]
        chosen |= dict.fromkeys(keeping, ("keeps longest", None))
    return [
        dict(zip(("layer", "unit"), divmod(index, swing.shape[1]), strict=True)) | {"why": why, "name": name}
        for index, (why, name) in sorted(chosen.items())
    ]


def known_cells(model, tokenizer) -> list[dict]:
    """The telling cells of a model along the text that it writes itself from seed 0: the same whatever it reads."""
    from ..cells import KEEPER
    from ..generation_char_lstm import generate_text
    from .inspect import inspect_text

    text = generate_text(model, tokenizer, max_new_tokens=500, seed=0)
    return telling_cells(inspect_text(model, tokenizer, text), KEEPER.get(model.config.cell_type)) if text else []
