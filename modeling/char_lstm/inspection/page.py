"""The inspector: the part of an inspection that a page shows, and the page that shows it.

inspector.html, .css and .js, beside this file, draw the data in any page that runs the script with an `element`,
`props.value` and `watch`.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import write_file
from ..loading import load
from ..tokenization_char_lstm import END_OF_ITEM, normalise

if TYPE_CHECKING:  # inspecting needs torch; rendering a page does not
    from .inspect import Inspection

HERE = Path(__file__).resolve().parent
HTML, CSS, JS = ((HERE / f"inspector.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
LONGEST = 1000  # characters of a text that can be shown
CELLS = 12  # units that a page shows, of the hundreds in a model
REACH = 100  # characters back for which connectivity is shown
NEARBY = 20  # characters of a word before and after the one that the sentence is about
BATCH = 100  # predictions whose gradients are computed at once


def inspector_data(model, tokenizer, text: str, name: str) -> Iterator[dict]:
    """Everything that the inspector shows, as JSON types; twice, because connectivity takes longest to compute.

    Args:
        model, tokenizer, text: as in `inspect_text`.
        name: the model's name on the page.

    Yields:
        `base_data`, then the same with `connectivity_rows`.

    Raises:
        ValueError: after normalising, the text is blank or longer than LONGEST.
    """
    from .inspect import inspect_text

    text = normalise(tokenizer, text)
    if not text.strip():
        raise ValueError("the text holds no character that the model knows")
    if len(text) > LONGEST:
        raise ValueError(f"the text has {len(text)} characters; at most {LONGEST} can be shown: give a part of it")
    seen = inspect_text(model, tokenizer, text)
    yield (data := base_data(seen, model.config, name))
    yield data | {"connectivity": connectivity_rows(seen)}


def base_data(seen: "Inspection", config, name: str) -> dict:
    """The data without connectivity, all lists in the order of `chars`.

    `sentence` sums up the text; `surprisal` is in nats; `top` holds [character, probability] pairs. `quantities` names
    what each of `cells` shows, and `means` has each gate's mean over all units by layer.
    """
    from ..cells import KEEPER

    values = {"state": seen.cell_state, **seen.gates}
    return {
        "model": name,
        "cell": config.cell_type,
        "layers": config.num_hidden_layers,
        "units": config.hidden_size,
        "sentence": summary_sentence(seen),
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


def telling_cells(seen: "Inspection", gate: str | None) -> list[tuple[int, int, str]]:
    """A dozen units worth showing, as (layer, unit, why): half swing the most, half keep their past the longest.

    A unit's swing is the standard deviation of tanh(state) along the text. The keeping ones have the highest mean of
    `gate`, among the livelier half of the units: one that never moves keeps nothing worth seeing.
    """
    swing = np.tanh(seen.cell_state).std(axis=1)  # (layers, hidden)
    by_swing = np.argsort(-swing, axis=None).tolist()  # flat indices, liveliest first
    swinging = by_swing[: CELLS // 2 if gate else CELLS]
    keeping = []
    if gate:
        held = seen.gates[gate].mean(axis=1).ravel()  # (layers * hidden,)
        lively = [index for index in by_swing[: len(by_swing) // 2] if index not in swinging]
        keeping = sorted(lively, key=lambda index: -held[index])[: CELLS - len(swinging)]
    chosen = dict.fromkeys(swinging, "swings most") | dict.fromkeys(keeping, "keeps longest")
    return [(*divmod(index, swing.shape[1]), why) for index, why in sorted(chosen.items())]


def connectivity_rows(seen: "Inspection") -> list[dict]:
    """Each prediction's `largest` connectivity, and in `thousandths` of it that to the last REACH characters."""
    rows = []
    for start in range(0, len(seen.chars), BATCH):
        positions = range(start, min(start + BATCH, len(seen.chars)))
        for position, sizes in zip(positions, seen.connectivity(positions), strict=True):
            largest = sizes.max()
            recent = sizes[max(0, position - REACH) : position]
            shares = np.rint(1000 * recent / largest).astype(int) if largest > 0 else np.zeros(len(recent), int)
            rows.append({"largest": float(f"{largest:.3g}"), "thousandths": shares.tolist()})
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


def write_page(model_id: str | Path, text: str, output: Path) -> None:
    """Inspects a text and writes a page that works offline. Raises ValueError if `output` is a folder; see also `load`
    and `inspector_data`."""
    if output.is_dir():
        raise ValueError(f"--output {output} is a folder; name the file to write, such as page.html")
    model, tokenizer = load(model_id)
    *_, data = inspector_data(model, tokenizer, text, Path(model_id).resolve().name)
    page = render_page(data)
    write_file(output, page)
    print(f"{output}: {len(data['chars'])} characters, {len(page.encode()) / 1e3:.0f} kB")


def render_page(data: dict) -> str:
    """The page as HTML, safe for any text: without `<` and `&`, no tag or comment can open or close in the JSON."""
    escaped = json.dumps(data, separators=(",", ":")).replace("<", r"\u003c").replace("&", r"\u0026")
    page = (HERE / "offline.html").read_text(encoding="utf-8")
    for name, part in {"html": HTML, "css": CSS, "js": JS, "inspection": escaped}.items():  # the text last: left alone
        page = page.replace("{{ " + name + " }}", part)
    return page
