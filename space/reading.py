"""Looking inside a model while it reads a text."""

import json
from collections.abc import Iterator

import models
from char_lstm.inspection.page import LONGEST, inspector_data
from writing import Run


def text_to_read(begun: str, text: str, run: Run | None) -> str:
    """As much of what was written as can be shown; of a list, its first item."""
    return (run.items[0] if run and run.items else begun + text)[:LONGEST]


def checked_data(text: str | None, model: str) -> Iterator[dict]:
    """What `inspector_data` yields; what cannot be read is refused in words that the visitor sees."""
    models.check_model(model)
    try:
        yield from inspector_data(*models.model_of(model), str(text or ""), model)
    except ValueError as error:
        raise models.visible_error(error) from error


def inspect(text: str, model: str = models.DEFAULT) -> dict:
    """Everything a model does while it reads a text.

    Args:
        text: the text to read, 1 to 1000 characters after normalising.
        model: the model that reads it.

    Returns:
        chars, surprisal (nats), top (the likeliest next characters), connectivity to the characters before, the mean
        of each gate by layer, and a dozen cells with their state and gates at each character.
    """
    *_, whole = checked_data(text, model)
    return whole


def stream_inspection(text: str, model: str) -> Iterator[str]:
    """The same as JSON for the page, which shows what is ready while the slowest part is computed."""
    yield from map(json.dumps, checked_data(text, model))
