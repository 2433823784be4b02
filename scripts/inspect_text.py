"""Shows on one page what a model does while it reads a text: surprise, predictions, gates, memory, connectivity.

    python scripts/inspect_text.py --text "Alice was beginning to get very tired" --output page.html
    python scripts/inspect_text.py --text "$(cat review.txt)" --model runs/mine --output page.html

The page needs no network: open it in a browser, choose a character by a click or the arrow keys. `page.html#42` opens
at the 43rd character.
"""

import argparse
import json
import logging
import math
import re
import sys
from pathlib import Path

import numpy as np

from char_lstm import inspect_text, load, normalise
from char_lstm.inspection import Inspection
from char_lstm.loading import CheckpointError

PACKAGED = Path(__file__).resolve().parent.parent / "modeling" / "pretrained" / "alice"
TEMPLATE = Path(__file__).resolve().parent / "templates" / "inspect.html"
LONGEST = 1000  # characters that a page shows
CELLS = 12  # units that a page shows, of the hundreds a model has
REACH = 100  # characters that connectivity is shown back to
TOGETHER = 40  # predictions whose gradients are taken at once
KEEPER = {"lstm": "forget", "gru": "update"}  # the gate that holds a cell's past


def parse(argv: list[str] | None) -> argparse.Namespace:
    summary, commands = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=summary, epilog=commands, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", required=True, help=f"the text to read, at most {LONGEST} characters")
    parser.add_argument("--model", default=str(PACKAGED), help="a folder or an id on the Hub (default: Alice)")
    parser.add_argument("--output", required=True, type=Path, help="the page to write")
    return parser.parse_args(argv)


def telling_cells(seen: Inspection, keeper: str | None) -> list[tuple[int, int, str]]:
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


def connectivity_rows(seen: Inspection) -> list[dict]:
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


def in_words(seen: Inspection) -> str:
    """One sentence on the whole text."""
    mean, worst = seen.surprisal.mean(), int(seen.surprisal.argmax())
    character, words = seen.chars[worst], re.finditer(r"\S*\s*", "".join(seen.chars))
    word = next(match[0] for match in words if match.end() > worst).strip()
    place = {" ": "space after", "\n": "line end after"}.get(character, f"“{character}” of")
    return (
        f"Over {len(seen.chars)} characters the surprise is {mean:.2f} nats on average, as if the model chose blindly "
        f"among {math.exp(mean):.1f} characters each time; it is largest at the {place} “{word}”, "
        f"{seen.surprisal[worst]:.1f} nats."
    )


def page_data(model, tokenizer, text: str, name: str) -> dict:
    """Everything that the page shows, as JSON types."""
    seen = inspect_text(model, tokenizer, text)
    config = model.config
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
        "connectivity": connectivity_rows(seen),
        "quantities": list(values),
        "cells": [
            {"layer": layer, "unit": unit, "why": why}
            | {quantity: array[layer, :, unit].round(2).tolist() for quantity, array in values.items()}
            for layer, unit, why in telling_cells(seen, KEEPER.get(config.cell_type))
        ],
    }


def render(data: dict) -> str:
    """The page. The text may hold anything: without `<` and `&` no tag or comment can end or open inside the JSON."""
    escaped = json.dumps(data, separators=(",", ":")).replace("<", r"\u003c").replace("&", r"\u0026")
    return TEMPLATE.read_text(encoding="utf-8").replace("{{ inspection }}", escaped)


def write_page(args: argparse.Namespace) -> None:
    if args.output.is_dir():
        raise ValueError(f"--output {args.output} is a folder; name the file to write, such as page.html")
    model, tokenizer = load(args.model)
    text = normalise(tokenizer, args.text)
    if not text.strip():
        raise ValueError("--text holds no character that the model knows")
    if len(text) > LONGEST:
        raise ValueError(f"--text has {len(text)} characters; a page shows at most {LONGEST}, so give a part of it")
    page = render(page_data(model, tokenizer, text, Path(args.model).resolve().name))

    args.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = args.output.with_name(args.output.name + ".unfinished")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(args.output)
    print(f"{args.output}: {len(text)} characters, {len(page.encode()) / 1e3:.0f} kB")


def main(argv: list[str] | None = None) -> None:
    logging.basicConfig(format="%(message)s")
    try:
        write_page(parse(argv))
    except (CheckpointError, ValueError, OSError) as error:
        print(f"inspect_text.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
