"""Looking inside a model while it reads a text."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache

import gradio as gr
from starlette.exceptions import HTTPException

import models
import sheets
from char_lstm import normalise
from char_lstm.inspection.page import LONGEST, connectivity_rows, inspector_data
from char_lstm.tokenization_char_lstm import END_OF_ITEM
from writing import Run


def data_of(text: str | None, model: str, *, whole: bool, held: dict[str, float] | None = None, **known) -> dict:
    """What `inspector_data` yields last, or first; what cannot be read is refused in words that the visitor sees."""
    models.check_model(model)
    known |= {"title": models.title_of(model), "nats": models.figures_of(model).get("nats_per_char"), "held": held}
    known["cells"] = models.cells_of(model)
    try:
        found = inspector_data(*models.reader_of(model, held or {}), str(text or ""), model, **known)
        return list(found)[-1] if whole else next(found)
    except ValueError as error:
        raise models.visible_error(error) from error


def inspect(text: str, model: str = models.DEFAULT) -> dict:
    """Everything a model does while it reads a text.

    Args:
        text: the text to read, 1 to 1000 characters after normalising.
        model: the model that reads it.

    Returns:
        chars, surprisal (nats), top (the likeliest next characters), connectivity to the characters before, the mean
        of each gate by layer, five cells with their state and gates at each character, and how long one changed letter
        is remembered.
    """
    return data_of(text, model, whole=True)


def read_own(text: str, model: str, run: Run | None) -> tuple[dict, Run]:
    """Stops the run before, if any; returns an update that shows a visitor's text with its record, and a new run."""
    record = data_of(text, model, whole=False)
    if run:
        run.stop()
    prompt = "".join(record["chars"]).removesuffix(END_OF_ITEM)
    return sheets.blank_text(text, model) | {"prompt": prompt, "record": json.dumps(record)}, Run()


def read_written(text: str, run: Run | None) -> dict:
    """An update with the record of what was written, as much as can be shown, by the model that wrote it; of a list,
    its first item. Nothing changes where there is no text, or another has been started."""
    if not (text and run and run.ended.is_set()):
        return gr.skip()
    model, settings = run.asked["model"], {name: run.asked[name] for name in ("temperature", "top_k", "top_p")}
    given = normalise(models.decoder_of(model)[1], run.asked["prompt"])
    whole = (run.items[0] if run.items else given + text)[:LONGEST]
    known = {"given": min(len(given), LONGEST), "settings": settings, "held": run.held}
    record = data_of(whole, model, whole=False, **known)
    return gr.update(record=json.dumps(record))


@cache
def first_record(text: str, run: Run) -> dict:
    """`read_written` of the text that the page opens with, made once."""
    return read_written(text, run)


@lru_cache(maxsize=4)
def seen_by(model: str, held: tuple[tuple[str, float], ...], text: str):
    """A text as a model read it, kept for the letters that are asked about one after the other."""
    from char_lstm.inspection.inspect import inspect_text  # imports torch

    return inspect_text(*models.reader_of(model, dict(held)), text)


def connectivity(asked: dict) -> dict:
    """What the prediction of one character depends on, computed when the page asks for it.

    Args:
        asked: the `model`, the gates `held`, the `text` that it read and the `position` in it.
    """
    with refusing():
        models.check_model(asked["model"])
        held, text = tuple(sorted(asked["held"].items())), asked["text"].removesuffix(END_OF_ITEM)[:LONGEST]
        seen = seen_by(asked["model"], held, text)
        position = range(len(seen.chars))[asked["position"]]
    return connectivity_rows(seen, [position])[0]


def differences(asked: dict) -> dict:
    """How long a model and the three kinds of cells remember one letter of a text, computed when the page asks for it.

    Args:
        asked: the `model`, the gates `held` and the `text` that it read.
    """
    from char_lstm.inspection.differences import compare_memories  # imports torch

    with refusing():
        models.check_model(name := asked["model"])
        read = {models.title_of(name): models.reader_of(name, asked["held"])}
        text = asked["text"].removesuffix(END_OF_ITEM)[:LONGEST]
    cells = {models.title_of(cell): models.model_of(cell) for cell in models.CELLS.values() if cell in models.MODELS}
    return compare_memories(read | {title: cell for title, cell in cells.items() if title not in read}, text)


@contextmanager
def refusing() -> Iterator[None]:
    """Turns what a malformed request raises into an answer of status 422."""
    try:
        yield
    except (gr.Error, KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise HTTPException(
            422, "Wanted: a model's name, the gates held, the text that it read, a position in it."
        ) from error


ANSWERS = [connectivity, differences]
