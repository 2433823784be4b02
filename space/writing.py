"""Continuing a prompt, with one model or with three at once; the text is streamed as it grows."""

import math
import secrets
import threading
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice

import models
from char_lstm import generate_items, stream_text

CHARACTERS = 500
MOST_CHARACTERS = 5000
LONGEST_PROMPT = 1000
LARGEST_SEED = 2**32 - 1
FIELDS = ("prompt", "model", "temperature", "top_k", "top_p", "seed", "max_new_tokens")  # in a link to a text
ITEMS = 20  # that a model of items writes, one a line
UPDATES = 50  # of a text, at most: one a character would be slower than the model
PATIENCE = 10  # seconds for a stopped text to end


class Run:
    """A text being written for the page: what was asked for (by FIELDS), whether it was asked to stop, whether it has
    ended, and its items if it is a list; of a text to be written anew, its seed and the gates to hold while it is."""

    def __init__(self, seed: int | None = None, held: dict[str, float] | None = None):
        self.seed, self.held = seed, held or {}
        self.stopped, self.ended = threading.Event(), threading.Event()
        self.items: list[str] = []
        self.asked: dict = {}

    def stop(self) -> None:
        """Asks the text to stop and waits until it has, so that nothing of it arrives later."""
        self.stopped.set()
        self.ended.wait(PATIENCE)


def lines_of(item: str) -> str:
    """An item as it stands in a list: an empty line comes after one that has several."""
    return f"{item}\n\n" if "\n" in item else f"{item}\n"


def check_request(prompt: str, seed: int | None, length: int | None) -> None:
    """Refuses in words what is out of range. The fields themselves have no bounds: gradio would log a traceback."""
    if len(prompt) > LONGEST_PROMPT:
        raise models.visible_error(f"The prompt has {len(prompt)} characters; the limit is {LONGEST_PROMPT}.")
    if seed is not None and not 0 <= seed <= LARGEST_SEED:
        raise models.visible_error(f"The seed is {seed}; give a number from 0 to {LARGEST_SEED}, or none.")
    if length is not None and not 1 <= length <= MOST_CHARACTERS:
        raise models.visible_error(f"{length} characters were asked for; give a number from 1 to {MOST_CHARACTERS}.")


def growing_text(model: str, prompt: str | None, run: Run, **settings) -> Iterator[str]:
    """The text so far, every few characters; or the list so far, every item, each of which begins with the prompt."""
    models.check_model(model)
    prompt = prompt or ""
    check_request(prompt, settings["seed"], settings["max_new_tokens"])
    try:
        if models.writes_items(model):
            for item in generate_items(*models.writer_of(model, run.held), ITEMS, prefix=prompt, **settings):
                yield "".join(map(lines_of, [*run.items, item]))
                run.items.append(item)  # once it is shown
        else:
            characters = stream_text(*models.writer_of(model, run.held), prompt, **settings)
            step = math.ceil(settings["max_new_tokens"] / UPDATES)
            pieces = iter(lambda: "".join(islice(characters, step)), "")
            yield from accumulate(pieces)
    except ValueError as error:
        raise models.visible_error(error) from error


def generate(
    prompt: str = "",
    model: str = models.DEFAULT,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    max_new_tokens: int = CHARACTERS,
    run: Run | None = None,
) -> Iterator[str]:
    """Continues a prompt and streams the text: only the new characters, exactly as many as asked for; or, with a model
    of items, 20 that begin with the prompt, one a line.

    Args:
        prompt: the text to continue, at most 1000 characters; may be empty. It is normalised as the book was.
        model: the model that writes.
        temperature: 0 to 2; lower is safer, higher is wilder, 0 always picks the likeliest character.
        top_k: choose only among the k likeliest characters, 0 to 100; 0 means among all.
        top_p: choose only among the likeliest characters whose probabilities add up to this, 0.05 to 1.
        seed: 0 to 4294967295; the same seed gives the same text. None draws one.
        max_new_tokens: how many characters to write, 1 to 5000.
    """
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    run = run or Run()  # the page passes one; gradio's own `cancels` would sometimes end the text after the stopped one
    length = CHARACTERS if max_new_tokens is None else max_new_tokens
    run.asked = dict(zip(FIELDS, (prompt, model, temperature, top_k, top_p, seed, length), strict=True))
    try:
        for text in growing_text(model, prompt, run, seed=seed, max_new_tokens=length, **sampling):
            if run.stopped.is_set():
                return
            yield text
    finally:
        run.ended.set()


def compare(prompt: str = "", temperature: float | None = None, seed: int | None = None) -> Iterator[list[str]]:
    """Continues one prompt with a simple recurrent network, a GRU and an LSTM, 500 characters each.

    Args:
        prompt: the text to continue, at most 1000 characters; may be empty.
        temperature: 0 to 2; lower is safer, higher is wilder, 0 always picks the likeliest character.
        seed: 0 to 4294967295, shared by all three. None draws one.
    """
    settings = {"temperature": temperature, "seed": seed_or_drawn(seed), "max_new_tokens": CHARACTERS}
    yield from side_by_side(models.CELLS.values(), prompt, **settings)


def side_by_side(names: Iterable[str], prompt: str, **settings) -> Iterator[list[str]]:
    """The texts of several models so far, which grow together."""
    texts = (growing_text(model, prompt, Run(), **settings) for model in names)
    yield from map(list, zip(*texts, strict=True))


def seed_or_drawn(seed: int | None) -> int:
    return secrets.randbelow(1_000_000) if seed is None else seed
