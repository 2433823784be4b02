"""Sheets of paper: a component that shows a prompt, the text that continues it, and which passages are copies."""

from itertools import accumulate
from pathlib import Path
from urllib.parse import urlencode

import gradio as gr

import models
from char_lstm import measure_novelty, normalise, page
from char_lstm.items import hash_item
from writing import Run, lines_of, seed_or_drawn

HERE = Path(__file__).resolve().parent
FIELDS = ("prompt", "model", "temperature", "top_k", "top_p", "seed", "max_new_tokens")  # in a link to a text


def new_sheet(label: str, heading: str | None = None) -> gr.HTML:
    """The component. Its value is the text; its other properties come from `blank_sheet` and `mark_copies`."""
    return new_component(
        "sheet", value="", label=label, heading=heading, prompt="", changed=False, link=None, novelty=None
    )


def new_component(name: str, **properties) -> gr.HTML:
    """A component of `char_lstm.page` with nothing in it yet."""
    files = page.component(name)
    looks = {"html_template": files["html"], "css_template": files["css"], "js_on_load": files["js"]}
    return gr.HTML(**looks, apply_default_css=False, **properties)


def blank_sheet(prompt: str, model: str, link: str | None = None) -> dict:
    """An update that leaves nothing on a sheet but the prompt, as the model reads it."""
    normalised = normalise(models.decoder_of(model)[1], prompt)
    shown = "" if models.writes_items(model) else normalised  # each item of a list begins with it
    return gr.update(value="", prompt=shown, changed=normalised != prompt, link=link, novelty=None)


def begin_text(prompt: str, model: str, temperature, top_k, top_p, seed: int | None, length, run: Run | None = None):
    """Stops the run before, if any; returns a blank sheet that links to its text, the normalised prompt, the seed, and
    a new run."""
    if run:
        run.stop()
    seed = seed_or_drawn(seed)
    values = (prompt, model, temperature, top_k, top_p, seed, length)
    sheet = blank_sheet(prompt, model, "?" + urlencode(dict(zip(FIELDS, values, strict=True))))
    return sheet, sheet["prompt"], seed, Run()


def mark_copies(text: str, model: str) -> dict:
    """An update that marks everything that appears verbatim in the text that the model was trained on."""
    index = models.novelty_index_of(model)
    return gr.update(novelty=vars(measure_novelty(text, index)) if index and text else None)


def mark_known_items(items: list[str], model: str) -> dict:
    """An update that marks the items of a list that stand in the training set, and says how many items there are."""
    known = models.decoder_of(model)[0].known_items or ()
    starts = accumulate((len(lines_of(item)) for item in items), initial=0)
    placed = zip(starts, items, strict=False)
    spans = [(start, start + len(item)) for start, item in placed if hash_item(item) in known]
    return gr.update(novelty={"spans": spans, "items": len(items)} if items else None)


def mark_copies_if_ended(text: str, model: str, run: Run | None) -> dict:
    """Marks what is known in a text or a list, unless another has been started in the meantime."""
    if run and not run.ended.is_set():
        return gr.skip()
    return mark_known_items(run.items, model) if run and run.items else mark_copies(text, model)
