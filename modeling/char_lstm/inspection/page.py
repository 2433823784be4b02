"""The inspector: what a page shows of an inspection, and the page's part that shows it.

`inspector_data` makes the data; inspector.html, inspector.css and inspector.js beside this file draw them, in any page that calls
the script with an `element`, with `props.value` and with `watch`.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import write_file
from ..loading import load
from ..tokenization_char_lstm import normalise

if TYPE_CHECKING:  # inspecting needs torch; a page can be built without
    from .inspect import Inspection

HERE = Path(__file__).resolve().parent
HTML, CSS, JS = ((HERE / f"inspector.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
LONGEST = 1000  # characters that a page shows
CELLS = 12  # units that a page shows, of the hundreds a model has
REACH = 100  # characters that connectivity is shown back to
TOGETHER = 100  # predictions whose gradients are taken at once


def inspector_data(model, tokenizer, text: str, name: str) -> Iterator[dict]:
    """Everything that the inspector shows, as JSON types; twice, because connectivity takes the longest.

    Args:
        model, tokenizer: as `load` gives them.
        text: any text; it is normalised as the corpus was.
        name: what to call the model.

    Yields:
        first with None for connectivity, then the whole.

    Raises:
        ValueError: nothing of the text is left to show, or more than 1000 characters.
    """
    from .inspect import inspect_text

    text = normalise(tokenizer, text)
    if not text.strip():
        raise ValueError("the text holds no character that the model knows")
    if len(text) > LONGEST:
        raise ValueError(f"the text has {len(text)} characters; at most {LONGEST} are shown, so give a part of it")
    seen = inspect_text(model, tokenizer, text)
    data = describe(seen, model.config, name)
    yield data
    yield data | {"connectivity": connectivity_rows(seen)}


def describe(seen: "Inspection", config, name: str) -> dict:
    """The data without connectivity."""
    from ..cells import KEEPER

    values = {"state": seen.cell_state, **seen.gates}
    return {
        "model": name,
        "cell": config.cell_type,
        "layers": config.num_hidden_layers,
        "units": config.hidden_size,
        "sentence": in_words(seen),
        "chars": seen.chars,
        "surprisal": seen.surprisal.round(3).tolist(),
        "top": [[[character, round(p, 4)] for character, p in top] for top in seen.top_predictions],
        "connectivity": None,
        "quantities": list(values),
        "means": {gate: array.mean(axis=2).round(3).tolist() for gate, array in seen.gates.items()},
        "cells": [
            {"layer": layer, "unit": unit, "why": why}
            | {quantity: array[layer, :, unit].round(2).tolist() for quantity, array in values.items()}
            for layer, unit, why in telling_cells(seen, KEEPER.get(config.cell_type))
        ],
    }


def telling_cells(seen: "Inspection", keeper: str | None) -> list[tuple[int, int, str]]:
    """About a dozen units to look at, as (layer, unit, why): half swing the most, half keep their past the longest.

    A unit swings by the standard deviation of tanh(state) along the text. Those that keep are chosen by the mean of
    the gate `keeper` among the livelier half of the units, since a unit that never moves keeps nothing worth seeing.
    """
    swing = np.tanh(seen.cell_state).std(axis=1)  # (layers, hidden)
    by_swing = np.argsort(-swing, axis=None).tolist()  # flat indices, the liveliest first
    swinging = by_swing[: CELLS // 2 if keeper else CELLS]
    keeping = []
    if keeper:
        held = seen.gates[keeper].mean(axis=1).ravel()  # (layers * hidden,)
        lively = [index for index in by_swing[: len(by_swing) // 2] if index not in swinging]
        keeping = sorted(lively, key=lambda index: -held[index])[: CELLS - len(swinging)]
    chosen = dict.fromkeys(swinging, "swings most") | dict.fromkeys(keeping, "keeps longest")
    return [(*divmod(index, swing.shape[1]), why) for index, why in sorted(chosen.items())]


def connectivity_rows(seen: "Inspection") -> list[dict]:
    """For each prediction the largest connectivity, and that of each of the last characters in thousandths of it."""
    rows = []
    for start in range(0, len(seen.chars), TOGETHER):
        positions = range(start, min(start + TOGETHER, len(seen.chars)))
        for position, sizes in zip(positions, seen.connectivity(positions), strict=True):
            largest = sizes.max()
            reached = sizes[max(0, position - REACH) : position]
            shares = np.rint(1000 * reached / largest).astype(int) if largest > 0 else np.zeros(len(reached), int)
            rows.append({"largest": float(f"{largest:.3g}"), "thousandths": shares.tolist()})
    return rows


def in_words(seen: "Inspection") -> str:
    """One sentence on the whole text."""
    mean, worst = seen.surprisal.mean(), int(seen.surprisal.argmax())
    character, words = seen.chars[worst], re.finditer(r"\S*\s*", "".join(seen.chars))
    word = next(match[0] for match in words if match.end() > worst).strip()
    place = {" ": "space after", "\n": "line end after"}.get(character, f"“{character}” of")
    place = f"{place} “{word}”" if word else "very beginning"
    return (
        f"Over {len(seen.chars)} characters the surprise is {mean:.2f} nats on average, as if the model chose blindly "
        f"among {math.exp(mean):.1f} characters each time; it is largest at the {place}, "
        f"{seen.surprisal[worst]:.1f} nats."
    )


def write_page(model_id: str | Path, text: str, output: Path) -> None:
    """Inspects a text and writes a page that needs no network.

    Raises:
        CheckpointError: the model cannot be loaded.
        ValueError: `output` is a folder, or the text cannot be shown.
    """
    if output.is_dir():
        raise ValueError(f"--output {output} is a folder; name the file to write, such as page.html")
    *_, data = inspector_data(*load(model_id), text, Path(model_id).resolve().name)
    page = render_page(data)
    write_file(output, page)
    print(f"{output}: {len(data['chars'])} characters, {len(page.encode()) / 1e3:.0f} kB")


def render_page(data: dict) -> str:
    """The page. The text may hold anything: without `<` and `&` no tag or comment can end or open inside the JSON."""
    escaped = json.dumps(data, separators=(",", ":")).replace("<", r"\u003c").replace("&", r"\u0026")
    page = (HERE / "offline.html").read_text(encoding="utf-8")
    parts = {"html": HTML, "css": CSS, "js": JS, "inspection": escaped}
    for name, part in parts.items():  # the text comes last, so that nothing in it is replaced
        page = page.replace("{{ " + name + " }}", part)
    return page
