"""The Space: write 500 characters, see which of them stand in the book, and look inside the model that wrote them.

    make space                               # or: python space/app.py
    MODEL_ID=runs/mine python space/app.py   # a folder, or an id on the Hub, instead of the packaged Alice
    GRADIO_MCP_SERVER=true make space        # also as a tool for agents; needs gradio[mcp]

Writing needs neither torch nor transformers, so the page is there as soon as gradio is; they are imported behind it,
for the inspector.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported: texts run side by side instead

import json
import secrets
import threading
from collections.abc import Iterator
from functools import cache
from inspect import getdoc
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces

    spaces.GPU(lambda: None)  # that hardware starts no app without such a function; everything here runs on the CPU

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

import char_lstm
from char_lstm import NoveltyIndex, load, load_decoder, measure_novelty, normalise, stream_text
from char_lstm.generation_char_lstm import sampling_settings
from char_lstm.inspection import page as inspector
from char_lstm.loading import CheckpointError

HERE = Path(__file__).resolve().parent
PRETRAINED = Path(char_lstm.__file__).resolve().parent.parent / "pretrained"  # here and on the Hub beside the package
CHARACTERS = 500
MOST_CHARACTERS = 5000
LONGEST_PROMPT = 1000
AT_ONCE = 10  # characters an update: one at a time would be slower than the model
PLACES = 2  # texts that are written at the same time; the others wait in a queue
QUEUE = 100
SESSIONS = 2 * QUEUE  # that are remembered; each keeps what it sent last
LARGEST_REQUEST = 100_000  # bytes: the longest text, escaped, and what the page sends along
PATIENCE = 2  # seconds for a stopped text to end
CELLS = {"RNN": "alice_rnn", "GRU": "alice_gru", "LSTM": "alice"}
PROMPTS = ["Alice was", "“Off with her", "the white rabbit", "Why is a raven like", "once upon a midnight"]


def available_models() -> dict[str, str]:
    """Names and ids, the one to start with first: what MODEL_ID says, else Alice; then the packaged ones."""
    packaged = {path.parent.name: str(path.parent) for path in sorted(PRETRAINED.glob("alice*/config.json"))}
    first = os.environ.get("MODEL_ID") or str(PRETRAINED / "alice")
    return {Path(first).name: first} | {name: id for name, id in packaged.items() if name != Path(first).name}


MODELS = available_models()
DEFAULT = next(iter(MODELS))
IMPORTING = threading.Lock()  # of transformers: a thread that meets another's half-done import finds names missing


@cache
def writer(name: str):
    """Decoder and tokenizer of a model."""
    return load_decoder(MODELS[name])


@cache
def reader(name: str):
    """The torch model and tokenizer, for the inspector."""
    with IMPORTING:
        return load(MODELS[name])


@cache
def novelty_index(name: str) -> NoveltyIndex | None:
    """What the model was trained on, in hashes; None where the checkpoint does not carry it."""
    try:
        return NoveltyIndex.load(MODELS[name])
    except CheckpointError:
        return None


def check_model(name: str) -> None:
    if name not in list(MODELS):  # a list, because what comes over the API need not be hashable
        raise for_people(f"There is no model {name}; there are {', '.join(MODELS)}.")


def for_people(reason: object) -> gr.Error:
    """An error whose words reach whoever asked, on the page and over the API, and no log."""
    return gr.Error(str(reason), print_exception=False)


# Writing


class Run:
    """A text that is being written for the page: whether it was stopped, and whether it has ended."""

    def __init__(self):
        self.stopped, self.ended = threading.Event(), threading.Event()

    def end(self) -> None:
        """Stops it and waits until it has ended, so that nothing of it comes after what follows."""
        self.stopped.set()
        self.ended.wait(PATIENCE)


def write(model: str, prompt: str | None, **settings) -> Iterator[str]:
    """The text so far, after every few characters."""
    check_model(model)
    prompt = prompt or ""
    if len(prompt) > LONGEST_PROMPT:
        raise for_people(f"The prompt has {len(prompt)} characters; at most {LONGEST_PROMPT} can be read.")
    try:
        characters = stream_text(*writer(model), prompt, **settings)
    except (CheckpointError, ValueError) as error:
        raise for_people(error) from error
    text = ""
    while piece := "".join(islice(characters, AT_ONCE)):
        text += piece
        yield text


def generate(
    prompt: str = "",
    model: str = DEFAULT,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    max_new_tokens: int = CHARACTERS,
    run: Run | None = None,
) -> Iterator[str]:
    """Writes on from a prompt and streams the text: new characters alone, exactly as many as asked for.

    Args:
        prompt: the text to write on from, at most 1000 characters; may be empty. It is normalised as the book was.
        model: the model that writes.
        temperature: 0 to 2; below 1 safer, above 1 wilder, 0 always the likeliest character.
        top_k: choose among the k likeliest characters, 0 to 100; 0 means among all.
        top_p: choose among the likeliest characters that hold this much probability, 0.05 to 1.
        seed: 0 to 4294967295; the same seed writes the same text. None draws one.
        max_new_tokens: how many characters to write, 1 to 5000.
    """
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    run = run or Run()  # the page has one; gradio's own `cancels` would sometimes end the text after the one stopped
    try:
        for text in write(model, prompt, seed=seed, max_new_tokens=max_new_tokens, **sampling):
            if run.stopped.is_set():
                return
            yield text
    finally:
        run.ended.set()


def compare(prompt: str = "", temperature: float | None = None, seed: int | None = None) -> Iterator[list[str]]:
    """The same prompt and seed written on by a simple recurrent network, a GRU and an LSTM, 500 characters each.

    Args:
        prompt: the text to write on from, at most 1000 characters; may be empty.
        temperature: 0 to 2; below 1 safer, above 1 wilder, 0 always the likeliest character.
        seed: 0 to 4294967295; the three share it. None draws one.
    """
    settings = {"temperature": temperature, "seed": drawn(seed), "max_new_tokens": CHARACTERS}
    yield from map(list, zip(*(write(model, prompt, **settings) for model in CELLS.values()), strict=True))


def drawn(seed: int | None) -> int:
    return secrets.randbelow(1_000_000) if seed is None else seed


def empty_sheet(prompt: str, model: str, link: str | None = None) -> dict:
    """A sheet with nothing on it but the prompt, as the model reads it."""
    read = normalise(writer(model)[1], prompt)
    return gr.update(value="", prompt=read, changed=read != prompt, link=link, novelty=None)


FIELDS = ("prompt", "model", "temperature", "top_k", "top_p", "seed", "max_new_tokens")


def lay_out(
    prompt: str,
    model: str,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int | None,
    length: int,
    run: Run | None = None,
):
    """The sheet to write on, with a link to what will stand there, the prompt as it is read, the seed, and the new
    run; the one before, if it still goes on, is ended."""
    if run:
        run.end()
    values = (prompt, model, temperature, top_k, top_p, drawn(seed), length)
    link = urlencode(dict(zip(FIELDS, values, strict=True)))
    sheet = empty_sheet(prompt, model, "?" + link)
    return sheet, sheet["prompt"], values[5], Run()


def judge(text: str, model: str) -> dict:
    """The sheet with everything marked that stands verbatim in what the model was trained on."""
    index = novelty_index(model)
    return gr.update(novelty=vars(measure_novelty(text, index)) if index and text else None)


def judge_newest(text: str, model: str, run: Run | None) -> dict:
    """`judge`, unless another text has been begun in the meantime."""
    return judge(text, model) if run is None or run.ended.is_set() else gr.skip()


def usual_settings():
    """What the default model's generation_config says."""
    settings = dict.fromkeys(("max_new_tokens", "temperature", "top_k", "top_p"))
    return sampling_settings(writer(DEFAULT)[0].generation_config, **settings)


# Looking inside


def read_inside(text: str | None, model: str) -> Iterator[dict]:
    """What `inspector_data` yields."""
    check_model(model)
    try:
        yield from inspector.inspector_data(*reader(model), str(text or ""), model)
    except (CheckpointError, ValueError) as error:
        raise for_people(error) from error


def inspect(text: str, model: str = DEFAULT) -> dict:
    """Everything a model does while it reads a text.

    Args:
        text: the text to read, 1 to 1000 characters after normalising.
        model: the model that reads it.

    Returns:
        chars, surprisal (nats), top (the likeliest next characters), connectivity to the characters before, means of
        each gate by layer, and a dozen cells with their state and gates at each character.
    """
    *_, whole = read_inside(text, model)
    return whole


def look(text: str, model: str) -> Iterator[str]:
    """The same for the page, which shows the first part while the slowest is computed."""
    yield from map(json.dumps, read_inside(text, model))


def new_sheet(label: str, heading: str | None = None) -> gr.HTML:
    """A sheet of paper, whose value is the text; its other properties come from `empty_sheet` and `judge`."""
    files = {kind: (HERE / f"sheet.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    return gr.HTML(
        "",
        label=label,
        html_template=files["html"],
        css_template=files["css"],
        js_on_load=files["js"],
        apply_default_css=False,
        heading=heading,
        prompt="",
        changed=False,
        link=None,
        novelty=None,
    )


# The page

COLOURS = {  # of paper and ink: light, dark
    "body_background_fill": ("#f6f4ef", "#121418"),
    "background_fill_primary": ("#fffefb", "#1a1d23"),
    "block_background_fill": ("#fffefb", "#1a1d23"),
    "input_background_fill": ("#f6f4ef", "#121418"),
    "border_color_primary": ("#ddd8cd", "#343943"),
    "body_text_color": ("#1e2127", "#f1eee7"),
    "body_text_color_subdued": ("#5f626b", "#a5a8b0"),
    "block_info_text_color": ("#5f626b", "#a5a8b0"),
    "block_label_text_color": ("#1e2127", "#f1eee7"),
    "block_title_text_color": ("#1e2127", "#f1eee7"),
    "input_placeholder_color": ("#6b6e76", "#a5a8b0"),
    "button_primary_background_fill": ("#5b3fa8", "#b79cff"),
    "button_primary_background_fill_hover": ("#4a3190", "#cbb8ff"),
    "button_primary_text_color": ("#ffffff", "#1a1d23"),
    "button_secondary_background_fill": ("transparent", "transparent"),
    "button_secondary_background_fill_hover": ("#ece8df", "#262a32"),
    "button_secondary_border_color": ("#b9b3a5", "#565c68"),
    "slider_color": ("#5b3fa8", "#b79cff"),
}
THEME = gr.themes.Base(
    primary_hue="violet", neutral_hue="stone", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    button_border_width="1px",
    color_accent="#5b3fa8",
    **{name: light for name, (light, _) in COLOURS.items()},
    **{f"{name}_dark": dark for name, (_, dark) in COLOURS.items()},
)
WRITING = {"concurrency_limit": PLACES, "concurrency_id": "writing"}
READING = {"concurrency_limit": 1, "concurrency_id": "reading"}
LOOKS = {"theme": THEME, "css_paths": HERE / "page.css", "footer_links": []}
SERVING = {
    "ssr_mode": False,
    "show_error": True,  # a value of a wrong type is refused by gradio, whose words would stay here
    "state_session_capacity": SESSIONS,
    "app_kwargs": {"middleware": [Middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_REQUEST)]},
}
FROM_LINK = f"""(...values) => {{
  const link = new URLSearchParams(location.search);
  return {list(FIELDS)}.map((name, index) => {{
    const given = link.get(name), number = Number(given ?? NaN);
    if (name === "prompt") return given ?? values[index];
    if (name === "model") return {list(MODELS)}.includes(given) ? given : values[index];
    return !isNaN(number) ? number : name === "seed" ? Math.floor(Math.random() * 1e6) : values[index];
  }});
}}"""
WRITE = "() => { document.getElementById('write').click(); }"
WRITE_LINKED = (
    "() => { if (new URLSearchParams(location.search).has('seed')) document.getElementById('write').click(); }"
)
NEW_SEED = "() => Math.floor(Math.random() * 1e6)"


def prompt_box() -> gr.Textbox:
    info = "Capitals and punctuation are forgotten."
    return gr.Textbox(
        "", label="Begin with", info=info, placeholder="anything, or nothing", lines=2, max_length=LONGEST_PROMPT
    )


def seed_box() -> gr.Number:
    return gr.Number(label="Seed", info="The same seed, the same text.", precision=0, minimum=0, maximum=2**32 - 1)


def temperature_slider() -> gr.Slider:
    return gr.Slider(0, 2, usual_settings().temperature, step=0.05, label="Temperature", info="0 safest, 2 wildest")


def model_radio() -> gr.Radio:
    return gr.Radio(list(MODELS), value=DEFAULT, label="Model", visible=len(MODELS) > 1)


def write_tab(demo: gr.Blocks):
    """The first tab; returns what it wrote on from, its sheet, its model and the button that asks to look inside."""
    usual = usual_settings()
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            prompt = prompt_box()
            start = gr.Button(f"Write {CHARACTERS} characters", variant="primary", size="lg", elem_id="write")
            with gr.Row():
                again = gr.Button("New seed", min_width=80)
                stop = gr.Button("Stop", min_width=80)
            seed = seed_box()
            model = model_radio()
            with gr.Accordion("Settings", open=False):
                temperature = temperature_slider()
                top_k = gr.Slider(
                    0, 100, usual.top_k, step=1, precision=0, label="Top k", info="the k likeliest alone; 0: all"
                )
                top_p = gr.Slider(
                    0.05, 1, usual.top_p, step=0.05, label="Top p", info="the likeliest that hold so much"
                )
                length = gr.Number(CHARACTERS, label="Characters", precision=0, minimum=1, maximum=MOST_CHARACTERS)
            gr.Examples(PROMPTS, prompt, label="For example")
        with gr.Column(scale=3, min_width=300):
            sheet = new_sheet("Text")
            inside = gr.Button("Look inside the model that wrote this")
            begun, run = gr.State(""), gr.State(None)

    fields = [prompt, model, temperature, top_k, top_p, seed, length]
    hidden = {"api_visibility": "private", "show_progress": "hidden"}
    laid_out = start.click(
        lay_out, [*fields, run], [sheet, begun, seed, run], queue=False, scroll_to_output=True, **hidden
    )
    written = laid_out.success(
        generate,
        [*fields, run],
        sheet,
        api_name="generate",
        api_description=getdoc(generate),
        show_progress="hidden",
        **WRITING,
    )
    written.then(judge_newest, [sheet, model, run], sheet, queue=False, **hidden)
    stop.click(lambda run: run.end() if run else None, run, queue=False, **hidden)
    again.click(None, None, seed, js=NEW_SEED, **hidden).then(None, js=WRITE, **hidden)
    demo.load(None, fields, fields, js=FROM_LINK, **hidden).then(None, js=WRITE_LINKED, **hidden)
    return begun, sheet, model, inside


def look_tab():
    """The second tab; returns the text it reads, the model, and the inspector that shows it."""
    with gr.Row(equal_height=True):
        text = gr.Textbox(
            label="Text to read", lines=3, max_lines=6, max_length=inspector.LONGEST, scale=4, elem_id="text-to-read"
        )
        with gr.Column(scale=1, min_width=220):
            model = model_radio()
            read = gr.Button("Read it", variant="primary")
    shown = gr.HTML(
        label="Inspection",
        html_template=inspector.HTML,
        css_template=inspector.CSS,
        js_on_load=inspector.JS,
        apply_default_css=False,
    )
    read.click(look, [text, model], shown, api_visibility="private", **READING)
    gr.api(inspect, api_name="inspect", api_description=getdoc(inspect), **READING)
    return text, model, shown


def cells_tab(demo: gr.Blocks):
    """The third tab: the three cells side by side."""
    with gr.Row(equal_height=True):
        boxes = []
        for box in (prompt_box, temperature_slider, seed_box):
            with gr.Column(min_width=240):
                boxes.append(box())
    prompt, temperature, seed = boxes
    start = gr.Button(f"Write {CHARACTERS} characters with each", variant="primary")
    with gr.Row():
        sheets = []
        for cell, name in CELLS.items():
            with gr.Column(min_width=280):
                sheets.append(new_sheet(cell, heading(cell, name)))
    hidden = {"api_visibility": "private", "show_progress": "hidden"}
    laid_out = start.click(
        lambda prompt, seed: [*(empty_sheet(prompt, model) for model in CELLS.values()), drawn(seed)],
        [prompt, seed],
        [*sheets, seed],
        queue=False,
        **hidden,
    )
    written = laid_out.success(
        compare,
        [prompt, temperature, seed],
        sheets,
        api_name="compare",
        api_description=getdoc(compare),
        show_progress="hidden",
        **WRITING,
    )
    demo.load(None, None, seed, js=NEW_SEED, **hidden)
    for sheet, model in zip(sheets, CELLS.values(), strict=True):
        written.then(lambda text, model=model: judge(text, model), sheet, sheet, queue=False, **hidden)


def heading(cell: str, name: str) -> str:
    """A cell and, where it was measured, how well it predicts the part of the book that it never saw."""
    evaluation = PRETRAINED / name / "evaluation.json"
    if not evaluation.is_file():
        return cell
    figures = json.loads(evaluation.read_text(encoding="utf-8"))
    return f"{cell}: {figures['parameters']:,} weights, {figures['nats_per_char']:.2f} nats a character"


def broken_page(reason: str) -> gr.Blocks:
    """A page that says why there is nothing to write with."""
    with gr.Blocks(title="char-lstm", analytics_enabled=False) as demo:
        gr.Markdown(
            f"# This model cannot be read\n\n```text\n{reason}\n```\n\n"
            "Set `MODEL_ID` to a folder or a repository with a trained model, and restart."
        )
    return demo


def build() -> gr.Blocks:
    """The page; one that says what is wrong where the model is missing or broken."""
    try:
        writer(DEFAULT)
    except (CheckpointError, OSError) as error:
        return broken_page(str(error))
    with gr.Blocks(title="char-lstm: 500 characters", analytics_enabled=False) as demo:
        gr.Markdown(
            "# Five hundred characters, one at a time\n\nA small recurrent network learnt one book letter by letter. "
            "Let it write, see what it has by heart, and look inside while it reads.",
            elem_id="title",
        )
        with gr.Tabs() as tabs:
            with gr.Tab("Write", id="write"):
                begun, sheet, model, inside = write_tab(demo)
            with gr.Tab("Look inside", id="look"):
                text, reading_model, shown = look_tab()
            if set(CELLS.values()) <= MODELS.keys():
                with gr.Tab("Three cells", id="cells"):
                    cells_tab(demo)
        inside.click(
            lambda begun, text, model: (gr.Tabs(selected="look"), (begun + text)[: inspector.LONGEST], model),
            [begun, sheet, model],
            [tabs, text, reading_model],
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        ).then(look, [text, reading_model], shown, api_visibility="private", **READING)
    return demo.queue(max_size=QUEUE)


def main():
    threading.Thread(target=reader, args=(DEFAULT,), daemon=True).start()  # torch takes seconds to import
    build().launch(**LOOKS, **SERVING)


if __name__ == "__main__":
    main()
