"""The inspector's record of a reading, which its components draw, as JSON types.

Lists of length time are in the order of `chars`; index t is the step that predicts `chars[t]`.

    model, title, nats     its id, its name in words, its test figure or None
    cell, layers, units    "lstm", "gru" or "rnn", and the size
    given, settings        how many characters were given, not drawn; the temperature, top_k and top_p that drew the
                           rest, or None for a text that was only read
    chars, sentence        the characters, and a summary of how well they were predicted
    surprisal              (time,), nats under the model's own odds
    top                    for each character the likeliest [character, probability], and the one that came
    shaped                 the same characters after the settings, or None
    held                   the gates that are held open (1) or shut (0) in every cell
    means                  for each gate (layers, time)
    quantities             what `cells` shows: "state" (c; in a GRU or an RNN, h), "hidden" (an LSTM's h), and the gates
    cells                  {"layer", "unit", "why", "name", "values": {quantity: (time,)}}
    connectivity           None, or one or a list of {"position", "largest", "thousandths"}
    differences            None, or how long one changed letter is remembered: what `compare_memories` returns
    novelty                None, or what of the text is copied: the fields of `Novelty`, of what is not given
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..generation_char_lstm import sampling_settings, shape_odds
from ..tokenization_char_lstm import END_OF_ITEM, normalise

if TYPE_CHECKING:  # inspecting needs torch; rendering a page does not
    from .inspect import Inspection

LONGEST = 1000  # characters of a text that can be shown
REACH = 100  # characters back for which connectivity is shown
NEARBY = 20  # characters of a word before and after the one that the sentence is about
BATCH = 100  # predictions whose gradients are computed at once


def inspector_data(model, tokenizer, text: str, name: str, **known) -> Iterator[dict]:
    """Everything that the inspector shows, as JSON types; twice, because gradients and readings take longest.

    Args:
        model, tokenizer, text: as in `inspect_text`.
        name: the model's name on the page.
        known: what else `record_of` takes.

    Yields:
        `record_of`, then the same with `connectivity_rows` and `compare_memories` of the one model.

    Raises:
        ValueError: after normalising, the text is blank or longer than LONGEST.
    """
    from .differences import compare_memories
    from .inspect import inspect_text

    text = normalise(tokenizer, text)
    if not text.strip():
        raise ValueError("the text holds no character that the model knows")
    if len(text) > LONGEST:
        raise ValueError(f"the text has {len(text)} characters; at most {LONGEST} can be shown: give a part of it")
    seen = inspect_text(model, tokenizer, text)
    yield (data := record_of(seen, model, tokenizer, name, **known))
    yield data | {
        "connectivity": connectivity_rows(seen, range(len(seen.chars))),
        "differences": compare_memories({data["title"]: (model, tokenizer)}, text),
    }


def record_of(
    seen: "Inspection",
    model,
    tokenizer,
    name: str,
    *,
    title: str | None = None,
    nats: float | None = None,
    given: int | None = None,
    settings: dict | None = None,
    held: dict[str, float] | None = None,
    cells: list[dict] | None = None,
) -> dict:
    """The record of a reading, without connectivity.

    By default, `title` is the name, all characters were `given`, and `cells` are the `known_cells`.
    """
    from .telling import known_cells

    hidden = {"hidden": seen.output} if model.config.cell_type == "lstm" else {}
    values = {"state": seen.cell_state, **hidden, **seen.gates}
    drawn_by = sampling_settings(model.generation_config, **(settings or {}))
    return {
        "model": name,
        "title": title or name,
        "nats": nats,
        "cell": model.config.cell_type,
        "layers": model.config.num_hidden_layers,
        "units": model.config.hidden_size,
        "given": len(seen.chars) if given is None else given,
        "settings": settings,
        "held": held or {},
        "sentence": summary_sentence(seen),
        "chars": seen.chars,
        "surprisal": seen.surprisal.round(3).tolist(),
        "top": listed_odds(seen, tokenizer, np.exp(seen.log_odds)),
        "shaped": settings and listed_odds(seen, tokenizer, shaped_odds(seen.log_odds, drawn_by)),
        **dict.fromkeys(("connectivity", "differences", "novelty")),
        "quantities": list(values),
        "means": {gate: array.mean(axis=2).round(3).tolist() for gate, array in seen.gates.items()},
        "cells": [
            cell
            | {"values": {of: array[cell["layer"], :, cell["unit"]].round(3).tolist() for of, array in values.items()}}
            for cell in (known_cells(model, tokenizer) if cells is None else cells)
        ],
    }


def listed_odds(seen: "Inspection", tokenizer, odds: np.ndarray) -> list[list[list]]:
    """Of odds, (time, vocab), at each step those of the likeliest characters and of the one that came."""
    listed = []
    for row, char, top in zip(odds, seen.chars, seen.top_predictions, strict=True):
        chars = list(dict.fromkeys([*(likely for likely, _ in top), char]))
        shares = row[tokenizer.convert_tokens_to_ids(chars)]
        listed.append([[one, float(f"{share:.4g}")] for one, share in zip(chars, shares, strict=True)])
    return listed


def shaped_odds(log_odds: np.ndarray, settings) -> np.ndarray:
    """The odds of a draw, (time, vocab), as temperature, top_k and top_p make them of the model's own."""
    log_odds = log_odds.copy()
    log_odds[:, settings.suppress_tokens] = -np.inf
    if settings.temperature == 0:
        return np.eye(log_odds.shape[1])[log_odds.argmax(axis=1)]
    ranked, cumulative, kept = shape_odds(log_odds, settings)
    odds = np.zeros_like(log_odds)
    shares = np.diff(np.minimum(cumulative / kept, 1), axis=1, prepend=0)  # (time, top_k or vocab)
    np.put_along_axis(odds, ranked[:, : shares.shape[1]], shares, axis=1)
    return odds


def connectivity_at(model, tokenizer, text: str, position: int) -> dict:
    """What the prediction of one character of a text depends on: one of `connectivity_rows`. Raises IndexError."""
    from .inspect import inspect_text

    return connectivity_rows(inspect_text(model, tokenizer, text), [position])[0]


def connectivity_rows(seen: "Inspection", wanted: Sequence[int]) -> list[dict]:
    """For each of the `wanted` predictions: its `position`, its `largest` connectivity, and that to the last REACH
    characters, in `thousandths` of the largest."""
    rows = []
    for start in range(0, len(wanted), BATCH):
        positions = wanted[start : start + BATCH]
        for position, sizes in zip(positions, seen.connectivity(positions), strict=True):
            largest = sizes.max()
            recent = sizes[max(0, position - REACH) : position]
            shares = np.rint(1000 * recent / largest).astype(int) if largest > 0 else np.zeros(len(recent), int)
            rows.append({"position": position, "largest": float(f"{largest:.3g}"), "thousandths": shares.tolist()})
    return rows


def summary_sentence(seen: "Inspection") -> str:
    """How well the model predicted the whole text, and where it did worst."""
    mean, worst = seen.surprisal.mean(), int(seen.surprisal.argmax())
    character, words = seen.chars[worst], re.finditer(r"\S*\s*", "".join(seen.chars))
    start, end = next(match.span() for match in words if match.end() > worst)
    nearby = seen.chars[max(start, worst - NEARBY) : min(end, worst + NEARBY)]  # of a sentence without spaces, a part
    word = "".join(nearby).rstrip(END_OF_ITEM).strip()
    circle = "◌" if unicodedata.category(character)[0] == "M" else ""  # for a mark to stand on
    names = {" ": "space after", "\n": "line end after", END_OF_ITEM: "end after"}
    place = names.get(character, f"“\u2068{circle}{character}\u2069” of")  # isolated, as its direction is its own
    place = f"{place} “\u2068{word}\u2069”" if word else "very beginning"
    return (
        f"Over {len(seen.chars)} characters, the surprise is {mean:.2f} nats on average, as if the model chose blindly "
        f"among {math.exp(mean):.1f} characters each time; it is largest at the {place}: "
        f"{seen.surprisal[worst]:.1f} nats."
    )
