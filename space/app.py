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
OPEN_API = """() => {
  if (new URLSearchParams(location.search).get("view") !== "api") return;
  const button = document.querySelector("footer .show-api");
  button.click();  // gradio takes its panel for open, which it has not loaded
  button.click();
}"""
SHOW_LINK = """link => {
  if (!link) return;
  history.replaceState(null, "", link);
  if (parent !== window) parent.postMessage({queryString: link.slice(1)}, "https://huggingface.co");  // around a Space
}"""
AROUND = """const draws = [], watched = watch;  // gradio itself draws nothing anew where a script has changed a value
watch = (names, draw) => { draws.push(draw); watched(names, draw); };
{{ component }}
const answer = async (name, asked) => {
  const {model, held, chars} = JSON.parse(props.record), of = JSON.stringify([model, held, chars]);
  const found = await server[name]({model, held, text: chars.join(""), ...asked});
  const now = JSON.parse(props.record || "{}");
  if (JSON.stringify([now.model, now.held, now.chars]) !== of) return;
  props.record = JSON.stringify({...now, [name]: found});
  draws.forEach(draw => draw());
};
element.addEventListener("want-connectivity", ({detail}) => answer("connectivity", detail));
element.addEventListener("want-differences", () => answer("differences"));
element.addEventListener("fork", ({detail: {position, character}}) => {
  const {chars, model} = JSON.parse(props.record);
  window.forked = [chars.slice(0, position).join("") + character, model];
  trigger("submit");
});
element.addEventListener("hold-gate", ({detail: {gate, value}}) => {
  trigger("hold", {held: {...JSON.parse(props.record).held, [gate]: value}});
});"""


def endpoint(function) -> dict:
    """What an event says of a function that is also there over the API."""
    return {"fn": function, "api_name": function.__name__, "api_description": getdoc(function)}


def prompt_box() -> gr.Textbox:
    words = {"label": "Begin with", "placeholder": "anything, or nothing"}
    return gr.Textbox("", **words, lines=1, max_length=writing.LONGEST_PROMPT)


def seed_box() -> gr.Number:
    return gr.Number(label="Seed", info="The same seed gives the same text; left empty, each is new.", precision=0)


def temperature_slider() -> gr.Slider:
    usual = models.default_settings().temperature
    return gr.Slider(0, 2, usual, step=0.05, label="Temperature", info="0 is safest, 2 is wildest")


def model_box() -> gr.Dropdown:
    several = len(models.MODELS) > 1
    looks = {"label": "Model", "filterable": False, "elem_id": "model"}
    return gr.Dropdown(models.choices(), value=models.DEFAULT, visible=several, **looks)


def settings_boxes() -> list[gr.Slider | gr.Number]:
    """Temperature, top k, top p, seed and length."""
    usual = models.default_settings()
    few, likely = "only the k likeliest; 0 means all", "only the likeliest, up to this total"
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


def write_part(demo: gr.Blocks, first: str, done: writing.Run) -> gr.State:
    """What to ask for and the text, which is looked into; the run that wrote it is returned."""
    with gr.Row(elem_id="ask"):
        with gr.Column(scale=4, min_width=280):
            prompt = prompt_box()
        with gr.Column(scale=5, min_width=280):
            model = model_box()
        with gr.Column(scale=4, min_width=280), gr.Row():
            words = WRITE_LABEL.format(CHARACTERS)
            start = gr.Button(words, variant="primary", scale=3, min_width=100, elem_id="write")
            stop = gr.Button("Stop", min_width=60)
    with gr.Accordion("Settings, and a text of your own", open=False), gr.Row():
        with gr.Column(min_width=280):
            temperature, top_k, top_p, seed, length = settings_boxes()
        with gr.Column(min_width=280):
            gr.Examples(examples_of(first), prompt, label="Examples")
            own = gr.Textbox(label="A text to look into", lines=5, max_lines=5, max_length=LONGEST, elem_id="own")
            read = gr.Button("Look into it")
    run, drawn, link = gr.State(None), gr.Number(precision=0, visible=False, label="Seed"), gr.Textbox(visible=False)
    text = sheets.new_text(first, done, AROUND, reading.ANSWERS, elem_id="inside", label="Text")

    asked = [prompt, model, temperature, top_k, top_p]
    begin = {"fn": sheets.begin_text, "inputs": [prompt, model, seed, length, run], "outputs": [text, drawn, run]}
    blank = start.click(**begin, concurrency_limit=None, scroll_to_output=True, **HIDDEN)
    inputs = [*asked, drawn, length, run]
    written = blank.success(**endpoint(writing.generate), inputs=inputs, outputs=text, **WRITING)
    ended = written.then(sheets.end_text, [text, run], [text, link], queue=False, **HIDDEN)
    looked = ended.then(reading.read_written, [text, run], text, **READING)
    ended.then(None, link, js=SHOW_LINK, **HIDDEN)
    stop.click(lambda run: run.stop() if run else None, run, queue=False, cancels=[looked], **HIDDEN)
    length.change(lambda n: WRITE_LABEL.format(CHARACTERS if n is None else n), length, start, queue=False, **HIDDEN)
    opened = demo.load(lambda: reading.first_record(first, done), None, text, **READING)
    linked = demo.load(None, [*asked, seed, length], [*asked, seed, length], js=FROM_LINK, **HIDDEN)
    linked.then(None, js=WRITE_LINKED, **HIDDEN)
    demo.load(None, js=OPEN_API, **HIDDEN)
    gr.on([start.click, read.click], None, cancels=[opened, looked], **HIDDEN)
    read.click(reading.read_own, [own, model, run], [text, run], scroll_to_output=True, **READING)
    write_again(text, run, done, [*asked, length])
    return run


def write_again(text: gr.HTML, run: gr.State, done: writing.Run, fields: list) -> None:
    """What the text itself asks for: to go on otherwise from a letter, or to be written anew with a gate held."""

    def prepare(run: writing.Run | None, event: gr.EventData) -> list:
        before = (run if run and run.asked else done).asked
        try:
            held = {gate: value for gate, value in event.held.items() if value in (0, 1)}
        except (TypeError, AttributeError) as error:
            raise models.visible_error("No gates are named that are to be held.") from error
        return [*(before[name] for name in writing.FIELDS if name != "seed"), writing.Run(before["seed"], held)]

    forked = text.submit(None, None, fields[:2], js="() => window.forked", **HIDDEN)
    held = text.hold(prepare, run, [*fields, run], **HIDDEN)
    for asking in (forked, held):
        asking.success(None, js=f"() => {{ {WRITE} }}", **HIDDEN)


def pair_part(run: gr.State, done: writing.Run) -> None:
    """The text that stands above, written again from its seed by the two models of PAIR, beside each other."""
    start = gr.Button("Compare: the same seed after one book, and after many", elem_id="compare")
    with gr.Row(visible=False, equal_height=True, elem_id="pair") as row:
        two = sheets_beside(titles := {models.title_of(name): name for name in models.PAIR})

    def begin_pair(run: writing.Run | None) -> list:
        prompt = asked_for(run)["prompt"]  # a row that was not there has lost its headings
        blank = [sheets.blank_sheet(prompt, name) | words_on(words, name) for words, name in titles.items()]
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
            beside.append(sheets.new_sheet(words, **words_on(words, name)))
    return beside


def words_on(words: str, name: str) -> dict[str, str]:
    """What stands on a model's sheet: its name, its size and how well it predicts the part of the book held out."""
    figures = models.figures_of(name)
    said = f"{figures['parameters']:,} weights, {figures['nats_per_char']:.2f} nats per character"
    return {"heading": words, "figures": said}


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
            "# Five hundred characters, one at a time\n\nA small recurrent network writes. See what it copies from "
            "what it has read, and choose any letter to see how it came.",
            elem_id="title",
        )
        run = write_part(demo, *first)
        if models.is_packaged(models.DEFAULT) and set(models.PAIR) <= models.MODELS.keys():
            pair_part(run, first[1])
        if set(models.CELLS.values()) <= models.MODELS.keys():
            with gr.Accordion("More: three kinds of cells write", open=False):
                cells_part()
        gr.api(**endpoint(reading.inspect), concurrency_limit=1, concurrency_id="inspecting")
    return limits.queued(demo)


def main(demo: gr.Blocks) -> None:
    limits.share_heap()
    threading.Thread(target=models.cells_of, args=(models.DEFAULT,), daemon=True).start()  # importing torch is slow
    demo.launch(**LOOKS, **SERVING)


if __name__ == "__main__":
    demo = build()  # `gradio app.py` looks for this name whenever a file has changed
    main(demo)
