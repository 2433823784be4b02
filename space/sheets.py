"""What shows texts: the one text of the page, which is looked into, and sheets of paper to compare others on."""

from itertools import accumulate
from urllib.parse import urlencode

import gradio as gr

import models
from char_lstm import measure_novelty, normalise, page
from char_lstm.inspection.page import LONGEST
from char_lstm.items import hash_item
from char_lstm.tokenization_char_lstm import characters_lacking, list_some
from writing import ITEMS, Run, check_request, lines_of, seed_or_drawn

ABOUT_SHEET = dict.fromkeys(("prompt", "note", "novelty", "heading", "figures"), "")  # what may stand around a text
ABOUT_TEXT = dict.fromkeys(("prompt", "note", "novelty", "record", "said", "link"), "")


def new_sheet(label: str, **properties) -> gr.HTML:
    """A sheet to read. Its value is the text; its other properties come from `blank_sheet` and `mark_copies`."""
    files = page.component("sheet")
    return new_component(files, files["js"], **{"value": "", "label": label} | ABOUT_SHEET | properties)


def new_text(text: str, run: Run, script: str, functions: list, **properties) -> gr.HTML:
    """The text that is looked into, with a finished one in it. Its value is what was written; its other properties come
    from `blank_text`, `end_text` and `reading`. `script` goes around the component's own and may call `functions`."""
    files = page.component("text", looks="inspector")
    ended, _ = end_text(text, run)
    shown = blank_text(run.asked["prompt"], run.asked["model"]) | ended | {"value": text}
    del shown["__type__"]
    script = script.replace("{{ component }}", files["js"])
    return new_component(files, script, server_functions=functions, **ABOUT_TEXT | shown | properties)


def new_component(files: dict[str, str], script: str, **properties) -> gr.HTML:
    """A component of `char_lstm.page`."""
    looks = {"html_template": files["html"], "css_template": files["css"], "apply_default_css": False}
    return gr.HTML(js_on_load=script, **looks, **properties)


def blank_text(prompt: str, model: str) -> dict:
    """`blank_sheet` for the text that is looked into."""
    return gr.update(**ABOUT_TEXT) | blank_sheet(prompt, model)


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
    return gr.update(value="", prompt=shown, novelty="", note=" ".join(said))


def begin_text(prompt: str, model: str, seed: int | None, length: int | None, run: Run | None):
    """Stops the run before, if any; returns the blank text, the seed, which is drawn where none is given, and a new
    run, or the one that waits to be written anew."""
    check_request(prompt, seed, length)
    if run and run.seed is not None and not run.asked:
        return blank_text(prompt, model), run.seed, run
    if run:
        run.stop()
    return blank_text(prompt, model), seed_or_drawn(seed), Run()


def end_text(text: str, run: Run | None) -> tuple[dict, str]:
    """An update that marks what is known in a text or a list and says what there is to say of it, and the link to what
    was written; neither if another has been started in the meantime."""
    if not (text and run and run.ended.is_set()):
        return gr.skip(), gr.skip()
    model, prompt, wanted, seed = (run.asked[name] for name in ("model", "prompt", "max_new_tokens", "seed"))
    if run.items:
        given = len(normalise(models.decoder_of(model)[1], prompt))
        novelty, written, wanted, kind = mark_known_items(run.items, model, given), len(run.items), ITEMS, "items"
    else:
        novelty, written, kind = mark_copies(text, model), len(text), "characters"
    count = f"{written} {kind}" if written == wanted else f"Unfinished: {written} of {wanted} {kind}"
    said = [f"{count}, from seed {seed}."]
    if not novelty["novelty"]:
        said.append("What is copied is not known: this model came without an index of its training text.")
    if not run.items and written > LONGEST:
        said.append(f"Only the first {LONGEST} characters are looked into.")
    if run.held:
        said.append("Gates were held, so no link repeats it.")
        return novelty | {"said": " ".join(said)}, ""
    link = "?" + urlencode(run.asked | ({} if run.items else {"max_new_tokens": written}))
    return novelty | {"link": link, "said": " ".join(said)}, link


def mark_copies(text: str, model: str) -> dict:
    """An update that marks everything that appears verbatim in the text that the model was trained on."""
    index = models.novelty_index_of(model)
    return gr.update(novelty=vars(measure_novelty(text, index)) if index and text else None)


def mark_known_items(items: list[str], model: str, given: int) -> dict:
    """An update that marks the items of a list that stand in the training set, and says how many items there are.
    Places are counted from what was drawn first, after the `given` characters of the first item."""
    known = models.decoder_of(model)[0].known_items or ()
    starts = accumulate((len(lines_of(item)) for item in items), initial=-given)
    placed = zip(starts, items, strict=False)
    spans = [(start, start + len(item)) for start, item in placed if hash_item(item) in known]
    return gr.update(novelty={"spans": spans, "items": len(items)} if items else None)
