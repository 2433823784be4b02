"""The Space: write 500 characters, see which passages are copied from the book, and look inside the model that wrote.

    make space                               # or: python space/app.py
    MODEL_ID=runs/mine python space/app.py   # a folder, or an id on the Hub, instead of the packaged Alice
    gradio space/app.py                      # the page follows each change of a file
    GRADIO_MCP_SERVER=true make space        # also as a tool for agents; needs gradio[mcp]

Writing needs neither torch nor transformers, so the page is up as soon as gradio is; they are imported in the
background, for the inspector.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported: texts run side by side instead

import json
import threading
from inspect import getdoc

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces

    spaces.GPU(lambda: None)  # that hardware starts no app without such a function; everything here runs on the CPU

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

import models
import reading
import sheets
import writing
from char_lstm.inspection import page as inspector
from char_lstm.loading import CheckpointError
from char_lstm.paths import PRETRAINED
from theme import THEME
from writing import CHARACTERS

PLACES = 2  # texts that are written at the same time; the others wait in a queue
QUEUE = 100
SESSIONS = 2 * QUEUE  # that are remembered; each keeps what it sent last
LARGEST_REQUEST = 100_000  # bytes: the longest text, escaped, and what the page sends along
PROMPTS = ["Alice was", "“Off with her", "the white rabbit", "Why is a raven like", "once upon a midnight"]

HIDDEN = {"api_visibility": "private", "show_progress": "hidden"}
WRITING = {"concurrency_limit": PLACES, "concurrency_id": "writing", "show_progress": "hidden"}
READING = {"concurrency_limit": 1, "concurrency_id": "reading"}
LOOKS = {"theme": THEME, "css_paths": sheets.HERE / "page.css", "footer_links": []}
SERVING = {
    "ssr_mode": False,
    "show_error": True,  # gradio itself refuses values of a wrong type; without this, the visitor is not told why
    "state_session_capacity": SESSIONS,
    "app_kwargs": {"middleware": [Middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_REQUEST)]},
}
FROM_LINK = f"""(...values) => {{
  const link = new URLSearchParams(location.search);
  return {list(sheets.FIELDS)}.map((name, index) => {{
    const given = link.get(name), number = Number(given ?? NaN);
    if (name === "prompt") return given ?? values[index];
    if (name === "model") return {list(models.MODELS)}.includes(given) ? given : values[index];
    return !isNaN(number) ? number : name === "seed" ? Math.floor(Math.random() * 1e6) : values[index];
  }});
}}"""
WRITE = "document.getElementById('write').click();"
WRITE_LINKED = f"() => {{ if (new URLSearchParams(location.search).has('seed')) {WRITE} }}"
NEW_SEED = "() => Math.floor(Math.random() * 1e6)"


def endpoint(function) -> dict:
    """What an event says of a function that is also there over the API."""
    return {"fn": function, "api_name": function.__name__, "api_description": getdoc(function)}


def prompt_box() -> gr.Textbox:
    words = {"label": "Begin with", "info": "Capitals and punctuation are ignored."}
    return gr.Textbox("", **words, placeholder="anything, or nothing", lines=2, max_length=writing.LONGEST_PROMPT)


def seed_box() -> gr.Number:
    info = "The same seed gives the same text."
    return gr.Number(label="Seed", info=info, precision=0, minimum=0, maximum=2**32 - 1)


def temperature_slider() -> gr.Slider:
    usual = models.default_settings().temperature
    return gr.Slider(0, 2, usual, step=0.05, label="Temperature", info="0 is safest, 2 is wildest")


def model_radio() -> gr.Radio:
    names = list(models.MODELS)
    return gr.Radio(names, value=models.DEFAULT, label="Model", visible=len(names) > 1)


def settings_accordion() -> list[gr.Slider | gr.Number]:
    """Temperature, top k, top p and length, behind a heading that opens them."""
    usual = models.default_settings()
    few, likely = "only the k likeliest; 0 means all", "only the likeliest, up to this total"
    with gr.Accordion("Settings", open=False):
        return [
            temperature_slider(),
            gr.Slider(0, 100, usual.top_k, step=1, precision=0, label="Top k", info=few),
            gr.Slider(0.05, 1, usual.top_p, step=0.05, label="Top p", info=likely),
            gr.Number(CHARACTERS, label="Characters", precision=0, minimum=1, maximum=writing.MOST_CHARACTERS),
        ]


def write_tab(demo: gr.Blocks):
    """The first tab; returns the prompt of its text, the sheet, the model, the run and the button that asks to look
    inside."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            prompt = prompt_box()
            start = gr.Button(f"Write {CHARACTERS} characters", variant="primary", size="lg", elem_id="write")
            with gr.Row():
                again = gr.Button("New seed", min_width=80)
                stop = gr.Button("Stop", min_width=80)
            seed = seed_box()
            model = model_radio()
            temperature, top_k, top_p, length = settings_accordion()
            gr.Examples(PROMPTS, prompt, label="Examples")
        with gr.Column(scale=3, min_width=300):
            sheet = sheets.new_sheet("Text")
            inside = gr.Button("Look inside the model that wrote this")
            begun, run = gr.State(""), gr.State(None)

    fields = [prompt, model, temperature, top_k, top_p, seed, length]
    begin = {"fn": sheets.begin_text, "inputs": [*fields, run], "outputs": [sheet, begun, seed, run]}
    blank = start.click(**begin, queue=False, scroll_to_output=True, **HIDDEN)
    written = blank.success(**endpoint(writing.generate), inputs=[*fields, run], outputs=sheet, **WRITING)
    written.then(sheets.mark_copies_if_ended, [sheet, model, run], sheet, queue=False, **HIDDEN)
    stop.click(lambda run: run.stop() if run else None, run, queue=False, **HIDDEN)
    again.click(None, None, seed, js=NEW_SEED, **HIDDEN).then(None, js=f"() => {{ {WRITE} }}", **HIDDEN)
    demo.load(None, fields, fields, js=FROM_LINK, **HIDDEN).then(None, js=WRITE_LINKED, **HIDDEN)
    return begun, sheet, model, run, inside


def look_tab():
    """The second tab; returns the text it reads, the model, and the inspector that shows it."""
    with gr.Row(equal_height=True):
        text = gr.Textbox(
            label="Text to read", lines=3, max_lines=6, max_length=inspector.LONGEST, scale=4, elem_id="text-to-read"
        )
        with gr.Column(scale=1, min_width=220):
            model = model_radio()
            read = gr.Button("Read it", variant="primary")
    shown = sheets.new_component("inspector", label="Inspection")
    read.click(reading.stream_inspection, [text, model], shown, api_visibility="private", **READING)
    gr.api(**endpoint(reading.inspect), **READING)
    return text, model, shown


def cells_tab(demo: gr.Blocks) -> None:
    """The third tab: the three cells side by side."""
    with gr.Row(equal_height=True):
        boxes = []
        for box in (prompt_box, temperature_slider, seed_box):
            with gr.Column(min_width=240):
                boxes.append(box())
    prompt, _, seed = boxes
    start = gr.Button(f"Write {CHARACTERS} characters with each", variant="primary")
    three = []
    with gr.Row():
        for cell, name in models.CELLS.items():
            with gr.Column(min_width=280):
                three.append(sheets.new_sheet(cell, heading(cell, name)))

    def begin_texts(prompt: str, seed: int | None) -> list:
        return [*(sheets.blank_sheet(prompt, model) for model in models.CELLS.values()), writing.seed_or_drawn(seed)]

    blank = start.click(begin_texts, [prompt, seed], [*three, seed], queue=False, **HIDDEN)
    written = blank.success(**endpoint(writing.compare), inputs=boxes, outputs=three, **WRITING)
    demo.load(None, None, seed, js=NEW_SEED, **HIDDEN)
    for sheet, model in zip(three, models.CELLS.values(), strict=True):
        written.then(lambda text, model=model: sheets.mark_copies(text, model), sheet, sheet, queue=False, **HIDDEN)


def heading(cell: str, name: str) -> str:
    """A cell, and how well it predicts the part of the book that was held out."""
    figures = json.loads((PRETRAINED / name / "evaluation.json").read_text(encoding="utf-8"))
    return f"{cell}: {figures['parameters']:,} weights, {figures['nats_per_char']:.2f} nats per character"


def broken_page(reason: str) -> gr.Blocks:
    """A page that says why there is no model to write with."""
    remedy = "Set `MODEL_ID` to a folder or a repository with a trained model, then restart."
    with gr.Blocks(title="char-lstm", analytics_enabled=False) as demo:
        gr.Markdown(f"# This model could not be loaded\n\n```text\n{reason}\n```\n\n{remedy}")
    return demo


def build() -> gr.Blocks:
    """The page, or one that says what is wrong if the model is missing or broken."""
    try:
        models.decoder_of(models.DEFAULT)
    except (CheckpointError, OSError) as error:
        return broken_page(str(error))
    with gr.Blocks(title="char-lstm: 500 characters", analytics_enabled=False) as demo:
        gr.Markdown(
            "# Five hundred characters, one at a time\n\nA small recurrent network has learnt a book letter by letter. "
            "Let it write, see what it has memorised, and look inside while it reads.",
            elem_id="title",
        )
        with gr.Tabs() as tabs:
            with gr.Tab("Write", id="write"):
                begun, sheet, model, run, inside = write_tab(demo)
            with gr.Tab("Look inside", id="look"):
                text, reading_model, shown = look_tab()
            if set(models.CELLS.values()) <= models.MODELS.keys():
                with gr.Tab("Three cells", id="cells"):
                    cells_tab(demo)
        inside.click(
            lambda begun, text, model, run: (gr.Tabs(selected="look"), reading.text_to_read(begun, text, run), model),
            [begun, sheet, model, run],
            [tabs, text, reading_model],
            queue=False,
            **HIDDEN,
        ).then(reading.stream_inspection, [text, reading_model], shown, api_visibility="private", **READING)
    return demo.queue(max_size=QUEUE)


def main(demo: gr.Blocks) -> None:
    threading.Thread(target=models.model_of, args=(models.DEFAULT,), daemon=True).start()  # importing torch is slow
    demo.launch(**LOOKS, **SERVING)


if __name__ == "__main__":
    demo = build()  # `gradio app.py` looks for this name whenever a file has changed
    main(demo)
