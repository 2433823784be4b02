"""The Space: write 500 characters, see which passages are copied from the book, and look inside the model that wrote.

    make space                               # or: python space/app.py
    MODEL_ID=runs/mine python space/app.py   # a folder, or an id on the Hub, instead of the packaged Alice
    gradio space/app.py                      # the page follows each change of a file
    GRADIO_MCP_SERVER=true make space        # also as a tool for agents; needs gradio[mcp]

Writing needs neither torch nor transformers, so the page is up as soon as gradio is, with a text on it; they are
imported in the background, for the inspector.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported: texts run side by side instead

import threading
from collections.abc import Iterable
from inspect import getdoc
from pathlib import Path

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces

    spaces.GPU(lambda: None)  # that hardware starts no app without such a function; everything here runs on the CPU

import gradio as gr

import limits
import models
import reading
import sheets
import writing
from char_lstm.inspection.page import LONGEST
from char_lstm.loading import CheckpointError
from limits import PLACES, SERVING
from theme import THEME
from writing import CHARACTERS

FIRST_SEED = 7  # of the text that the page opens with
WRITE_LABEL = "Write {} characters"
PROMPTS = ["Alice was", "“Off with her", "the white rabbit", "Why is a raven like", "once upon a midnight"]

HIDDEN = {"api_visibility": "private", "show_progress": "hidden"}
WRITING = {"concurrency_limit": PLACES, "concurrency_id": "writing", "show_progress": "hidden"}
READING = {"concurrency_limit": PLACES, "concurrency_id": "reading", **HIDDEN}
LOOKS = {"theme": THEME, "css_paths": Path(__file__).with_name("page.css"), "footer_links": ["api"]}
FROM_LINK = f"""(...values) => {{
  const link = new URLSearchParams(location.search);
  return {list(writing.FIELDS)}.map((name, index) => {{
    const given = link.get(name), number = Number(given || NaN);
    if (name === "prompt") return given ?? values[index];
    if (name === "model") return {list(models.MODELS)}.includes(given) ? given : values[index];
    return isNaN(number) ? values[index] : number;
  }});
}}"""
WRITE = "document.getElementById('write').click();"
WRITE_LINKED = f"() => {{ if (new URLSearchParams(location.search).has('seed')) {WRITE} }}"
SHOW_LINK = """link => {
  if (!link) return;
  history.replaceState(null, "", link);
  if (parent !== window) parent.postMessage({queryString: link.slice(1)}, "https://huggingface.co");  // around a Space
}"""
ANSWER = """const draws = [], watched = watch;  // gradio itself draws nothing anew where a script has changed a value
watch = (names, draw) => { draws.push(draw); watched(names, draw); };
{{ component }}
const answer = async (name, asked) => {
  const {model, chars} = JSON.parse(props.value), text = chars.join("");
  const found = await server[name]({model, text, ...asked}), now = JSON.parse(props.value || null);
  if (now?.model !== model || now.chars.join("") !== text) return;
  props.value = JSON.stringify({...now, [name]: found});
  draws.forEach(draw => draw());
};
element.addEventListener("want-connectivity", ({detail}) => answer("connectivity", detail));
element.addEventListener("want-differences", () => answer("differences"));
element.addEventListener("fork", ({detail}) => { window.forked = detail; trigger("submit"); });"""
FORK = """record => {
  const {chars, model} = JSON.parse(record), {position, character} = window.forked;
  return [chars.slice(0, position).join("") + character, model];
}"""


def endpoint(function) -> dict:
    """What an event says of a function that is also there over the API."""
    return {"fn": function, "api_name": function.__name__, "api_description": getdoc(function)}


def prompt_box() -> gr.Textbox:
    words = {"label": "Begin with", "placeholder": "anything, or nothing"}
    return gr.Textbox("", **words, lines=2, max_length=writing.LONGEST_PROMPT)


def seed_box() -> gr.Number:
    return gr.Number(label="Seed", info="The same seed gives the same text; left empty, each is new.", precision=0)


def temperature_slider() -> gr.Slider:
    usual = models.default_settings().temperature
    return gr.Slider(0, 2, usual, step=0.05, label="Temperature", info="0 is safest, 2 is wildest")


def model_radio() -> gr.Radio:
    several = len(models.MODELS) > 1
    return gr.Radio(models.choices(), value=models.DEFAULT, label="Model", info=models.what_nats_are(), visible=several)


def settings_accordion() -> list[gr.Slider | gr.Number]:
    """Temperature, top k, top p, seed and length, behind a heading that opens them."""
    usual = models.default_settings()
    few, likely = "only the k likeliest; 0 means all", "only the likeliest, up to this total"
    with gr.Accordion("Settings", open=False):
        return [
            temperature_slider(),
            gr.Slider(0, 100, usual.top_k, step=1, precision=0, label="Top k", info=few),
            gr.Slider(0.05, 1, usual.top_p, step=0.05, label="Top p", info=likely),
            seed_box(),
            gr.Number(CHARACTERS, label="Characters", precision=0),
        ]


def written_first() -> tuple[str, writing.Run]:
    """The text that the page opens with."""
    prompt = "alice was" if models.is_packaged(models.DEFAULT) else ""
    usual = models.default_settings()
    settings = {name: getattr(usual, name) for name in ("temperature", "top_k", "top_p")}
    *_, text = writing.generate(prompt, models.DEFAULT, seed=FIRST_SEED, run=(run := writing.Run()), **settings)
    return text, run


def examples_of(text: str) -> list[str]:
    """Beginnings to try: of the packaged models, ours; else words that the model itself begins with."""
    if models.is_packaged(models.DEFAULT):
        return PROMPTS
    return list(dict.fromkeys(" ".join(line.split()[:3])[:20] for line in text.splitlines() if line.strip()))[:5]


def write_part(demo: gr.Blocks, first: str, done: writing.Run) -> gr.HTML:
    """What to ask for, the sheet with the text, and the inspector that looks into it, which is returned."""
    with gr.Row(elem_id="desk"):
        with gr.Column(elem_id="ask", min_width=280):
            prompt = prompt_box()
            start = gr.Button(WRITE_LABEL.format(CHARACTERS), variant="primary", size="lg", elem_id="write")
            stop = gr.Button("Stop", min_width=80)
        with gr.Column(elem_id="paper", min_width=280):
            sheet = sheets.new_sheet("Text", **sheets.finished_sheet(first, done))
        with gr.Column(elem_id="tune", min_width=280):
            model = model_radio()
            temperature, top_k, top_p, seed, length = settings_accordion()
            gr.Examples(examples_of(first), prompt, label="Examples")
    run, drawn, link = gr.State(None), gr.Number(precision=0, visible=False, label="Seed"), gr.Textbox(visible=False)
    if models.is_packaged(models.DEFAULT) and set(models.PAIR) <= models.MODELS.keys():
        pair_part(run, done)
    shown = sheets.new_component("inspector", ANSWER, reading.ANSWERS, elem_id="inside", label="Inspection")

    asked = [prompt, model, temperature, top_k, top_p]
    begin = {"fn": sheets.begin_text, "inputs": [prompt, model, seed, length, run], "outputs": [sheet, drawn, run]}
    blank = start.click(**begin, concurrency_limit=None, scroll_to_output=True, **HIDDEN)
    inputs = [*asked, drawn, length, run]
    written = blank.success(**endpoint(writing.generate), inputs=inputs, outputs=sheet, **WRITING)
    ended = written.then(sheets.end_text, [sheet, run], [sheet, link], queue=False, **HIDDEN)
    looked = ended.then(reading.read_written, [sheet, run], shown, **READING)
    ended.then(None, link, js=SHOW_LINK, **HIDDEN)
    stop.click(lambda run: run.stop() if run else None, run, queue=False, cancels=[looked], **HIDDEN)
    length.change(lambda n: WRITE_LABEL.format(CHARACTERS if n is None else n), length, start, queue=False, **HIDDEN)
    opened = demo.load(lambda: reading.first_record(first, done), None, shown, **READING)
    linked = demo.load(None, [*asked, seed, length], [*asked, seed, length], js=FROM_LINK, **HIDDEN)
    linked.then(None, js=WRITE_LINKED, **HIDDEN)
    start.click(None, cancels=[opened, looked], **HIDDEN)
    forked = shown.submit(None, shown, [prompt, model], js=FORK, **HIDDEN)
    forked.then(None, js=f"() => {{ {WRITE} }}", **HIDDEN)
    return shown


def own_part(shown: gr.HTML) -> None:
    """A text of the visitor's, which the inspector above then looks into."""
    text = gr.Textbox(label="Text to read", lines=3, max_lines=6, max_length=LONGEST, elem_id="text-to-read")
    model = model_radio()
    read = gr.Button("Read it")
    read.click(reading.read_own, [text, model], shown, scroll_to_output=True, **READING)
    gr.api(**endpoint(reading.inspect), concurrency_limit=1, concurrency_id="inspecting")


def pair_part(run: gr.State, done: writing.Run) -> None:
    """The text that stands above, written again from its seed by the two models of PAIR, beside each other."""
    start = gr.Button("Compare: the same seed after one book, and after many", elem_id="compare")
    with gr.Row(visible=False, equal_height=True, elem_id="pair") as row:
        two = sheets_beside(titles := {models.title_of(name): name for name in models.PAIR})

    def begin_pair(run: writing.Run | None) -> list:
        prompt = asked_for(run)["prompt"]  # a row that was not there has lost its headings
        blank = [sheets.blank_sheet(prompt, name) | {"heading": heading(words, name)} for words, name in titles.items()]
        return [gr.update(visible=True), *blank]

    def write_pair(run: writing.Run | None):
        yield from writing.side_by_side(models.PAIR, **{k: v for k, v in asked_for(run).items() if k != "model"})

    def asked_for(run: writing.Run | None) -> dict:
        return run.asked if run and run.asked else done.asked

    blank = start.click(begin_pair, run, [row, *two], concurrency_limit=None, **HIDDEN)
    written = blank.success(write_pair, run, two, **WRITING | HIDDEN)
    mark_when(written, two, models.PAIR)


def cells_part() -> None:
    """The three cells side by side."""
    with gr.Row(equal_height=True):
        boxes = []
        for box in (prompt_box, temperature_slider, seed_box):
            with gr.Column(min_width=240):
                boxes.append(box())
    prompt, temperature, seed = boxes
    start = gr.Button(f"Write {CHARACTERS} characters with each", variant="primary")
    drawn = gr.Number(precision=0, visible=False, label="Seed")
    with gr.Row(equal_height=True):
        three = sheets_beside(models.CELLS)

    def begin_texts(prompt: str, seed: int | None) -> list:
        writing.check_request(prompt, seed, CHARACTERS)
        return [*(sheets.blank_sheet(prompt, model) for model in models.CELLS.values()), writing.seed_or_drawn(seed)]

    blank = start.click(begin_texts, [prompt, seed], [*three, drawn], concurrency_limit=None, **HIDDEN)
    inputs = [prompt, temperature, drawn]
    written = blank.success(**endpoint(writing.compare), inputs=inputs, outputs=three, **WRITING)
    mark_when(written, three, models.CELLS.values())


def sheets_beside(names: dict[str, str]) -> list[gr.HTML]:
    """A sheet for each of some models, beside each other, or below where it is narrow."""
    beside = []
    for words, name in names.items():
        with gr.Column(min_width=280):
            beside.append(sheets.new_sheet(words, heading=heading(words, name)))
    return beside


def heading(words: str, name: str) -> str:
    """A model, and how well it predicts the part of the book that was held out."""
    figures = models.figures_of(name)
    return f"{words}: {figures['parameters']:,} weights, {figures['nats_per_char']:.2f} nats per character"


def mark_when(written, beside: list[gr.HTML], names: Iterable[str]) -> None:
    """Marks what is copied on each sheet, once all are written."""
    for sheet, model in zip(beside, names, strict=True):
        written.then(lambda text, model=model: sheets.mark_copies(text, model), sheet, sheet, queue=False, **HIDDEN)


def broken_page(reason: str) -> gr.Blocks:
    """A page that says why there is no model to write with."""
    remedy = "Set `MODEL_ID` to a folder or a repository with a trained model, then restart."
    with gr.Blocks(title="char-lstm", analytics_enabled=False) as demo:
        gr.Markdown(f"# This model could not be loaded\n\n```text\n{reason}\n```\n\n{remedy}")
    return demo


def build() -> gr.Blocks:
    """The page, or one that says what is wrong if the model is missing or broken."""
    try:
        first = written_first()
    except (CheckpointError, OSError) as error:
        return broken_page(str(error))
    with limits.Page(title="char-lstm: 500 characters", analytics_enabled=False) as demo:
        gr.Markdown(
            "# Five hundred characters, one at a time\n\nA small recurrent network guesses the next character, draws "
            "one, and reads it back. Let it write, see what it has memorised, and look inside while it reads.",
            elem_id="title",
        )
        shown = write_part(demo, *first)
        with gr.Accordion("Look into a text of your own", open=False):
            own_part(shown)
        if set(models.CELLS.values()) <= models.MODELS.keys():
            with gr.Accordion("More: three kinds of cells write", open=False):
                cells_part()
    return limits.queued(demo)


def main(demo: gr.Blocks) -> None:
    limits.share_heap()
    threading.Thread(target=models.cells_of, args=(models.DEFAULT,), daemon=True).start()  # importing torch is slow
    demo.launch(**LOOKS, **SERVING)


if __name__ == "__main__":
    demo = build()  # `gradio app.py` looks for this name whenever a file has changed
    main(demo)
