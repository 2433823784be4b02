"""Sheets of paper: a component that shows a prompt, the text that continues it, and which passages are copies."""

from itertools import accumulate
from urllib.parse import urlencode

import gradio as gr

import models
from char_lstm import measure_novelty, normalise, page
from char_lstm.inspection.page import LONGEST
from char_lstm.items import hash_item
from char_lstm.tokenization_char_lstm import characters_lacking, list_some
from writing import ITEMS, Run, check_request, lines_of, seed_or_drawn

NOTHING = dict.fromkeys(("note", "remark", "link", "novelty"), "")  # what may be said around a text


def new_sheet(label: str, **properties) -> gr.HTML:
    """The component. Its value is the text; its other properties come from `blank_sheet` and `end_text`."""
    return new_component("sheet", **{"value": "", "label": label, "heading": None, "prompt": ""} | NOTHING | properties)


def new_component(name: str, script="{{ component }}", functions: list | None = None, **properties) -> gr.HTML:
    """A component of `char_lstm.page` with nothing in it yet, and a script around its own that may call `functions`."""
    files = page.component(name)
    looks = {"html_template": files["html"], "css_template": files["css"], "apply_default_css": False}
    script = script.replace("{{ component }}", files["js"])
    return gr.HTML(js_on_load=script, server_functions=functions, **looks, **properties)


def finished_sheet(text: str, run: Run) -> dict:
    """The properties of a sheet on which a text stands from the first."""
    ended, _ = end_text(text, run)
    shown = blank_sheet(run.asked["prompt"], run.asked["model"]) | ended | {"value": text}
    return {name: value for name, value in shown.items() if name != "__type__"}


def blank_sheet(prompt: str, model: str) -> dict:
    """An update that leaves nothing on a sheet but the prompt, as the model reads it, and says what it changed."""
    tokenizer = models.decoder_of(model)[1]
    normalised = normalise(tokenizer, prompt)
    shown = "" if models.writes_items(model) else normalised  # each item of a list begins with it
    said = []
    if lacking := characters_lacking(tokenizer, prompt.encode("utf-8", "replace").decode()):
        said.append(f"Left out, because this model has never met them: {list_some(lacking, ' ')} ({len(lacking)}).")
    if normalised != prompt:
        said.append("Read as:" if normalised else "Nothing is left of it.")
    return gr.update(value="", prompt=shown, **NOTHING | {"note": " ".join(said)})


def begin_text(prompt: str, model: str, seed: int | None, length: int | None, run: Run | None):
    """Stops the run before, if any; returns a blank sheet, the seed, which is drawn where none is given, and a new
    run."""
    check_request(prompt, seed, length)
    if run:
        run.stop()
    return blank_sheet(prompt, model), seed_or_drawn(seed), Run()


def end_text(text: str, run: Run | None) -> tuple[dict, str]:
    """An update that marks what is known in a text or a list and says what there is to say of it, and the link to what
    was written; neither if another has been started in the meantime."""
    if not (text and run and run.ended.is_set()):
        return gr.skip(), gr.skip()
    model, wanted, said = run.asked["model"], run.asked["max_new_tokens"], []
    if run.items:
        novelty, written, wanted, kind = mark_known_items(run.items, model), len(run.items), ITEMS, "items"
    else:
        novelty, written, kind = mark_copies(text, model), len(text), "characters"
    if written < wanted:
        said.append(f"Unfinished: {written} of {wanted} {kind}.")
    if not novelty["novelty"]:
        said.append("What is copied is not known: this model came without an index of its training text.")
    if not run.items and written > LONGEST:
        said.append(f"Only the first {LONGEST} characters are looked into.")
    link = "?" + urlencode(run.asked | ({} if run.items else {"max_new_tokens": written}))
    return novelty | {"link": link, "remark": " ".join(said)}, link


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
