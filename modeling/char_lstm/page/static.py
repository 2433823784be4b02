"""A page that needs no server: the model writes and is looked into in the visitor's own browser."""

import base64
import html
import json
import math
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files import replaced_files, was_cut_off, write_file
from ..generation_char_lstm import NEUTRAL, generate_text, prepare_sampling
from ..inspection.telling import known_cells
from ..items import FILE as ITEMS
from ..loading import checkpoint_folder, load, weight_files
from ..novelty import FILE as NOVELTY
from ..novelty_books import FILE as BOOKS
from ..novelty_books import FORGET
from ..paths import PRETRAINED, local_model
from . import modules_of, part, script_of

MARK = '<meta name="generator" content="char-lstm page">'  # in each page, which may be made anew in its place
TITLES = {
    "alice": "Alice, one book: the assignment",
    "alice_best": "Alice, one book: taught by larger models",
    "alice_english": "Alice, after reading in 95 other books",
    "alice_gru": "Alice, one book: with a GRU",
    "alice_rnn": "Alice, one book: with a plain RNN",
    "english": "95 English books",
}
WORKERS = ("worker", "checking", "learning")
INDEXES = (ITEMS, NOVELTY, BOOKS)  # of what a model has read, where they were saved with it
SEED = 7  # of the text that stands there when the page opens
CONFIG = ("cell_type", "hidden_size", "num_hidden_layers", "vocab_size", "bos_token_id", "tie_word_embeddings")
POLICY = (  # what is typed goes nowhere; 'unsafe-eval' is for tools that drive a browser and wait for what a page does
    "default-src 'none'; style-src {0}; script-src {0} 'unsafe-eval'; worker-src {1}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)


def make_page(
    model_id: str | Path, output: Path, *, compare_model_ids: Sequence[str | Path] = (), single_file: bool = False
) -> None:
    """Writes the page of a language model: a folder with index.html, or index.html alone with all inside.

    Args:
        model_id: as for `load`, which raises its errors.
        output: a new or empty folder, or one that holds such a page; of a single file also its name, NAME.html.
        compare_model_ids: other models, whose memory of one letter the page compares with this one's, on the text that
            it opens with.

    Raises:
        UserError: `output` is something else, which stays as it is.
    """
    index = output if single_file and output.suffix == ".html" else output / "index.html"
    _check_place(output, index)
    page, texts, files = _parts_of(model_id, compare_model_ids)
    if single_file:
        write_file(index, _render(page, texts, _inside(texts, files)))
    else:
        written = {"index.html": _render(page, texts, _beside()), "page.css": _style(), ".nojekyll": ""}
        written |= {f"{name}.js": part(f"{name}.js") for name in modules_of("app", *WORKERS)} | {
            "tokenizer.json": texts["tokenizer.json"]
        }
        with replaced_files(output, "index.html") as unfinished:
            for name, text in written.items():
                write_file(unfinished / name, text)
            for file in files:
                write_file(unfinished / file.name, file.read_bytes())
    kilobytes = sum(file["bytes"] for file in page["files"]) / 1e3
    print(f"{index}: {page['title']}, with {kilobytes:,.0f} kB of weights")


def _check_place(output: Path, index: Path) -> None:
    """That no file of another kind is overwritten."""
    if index != output and output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file; name a folder for the page")
    if output.is_dir() and index == output:
        raise UserError(f"--output {output} is a folder; name a file, or a folder without .html")
    made_before = index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")
    others = index.exists() or (output.is_dir() and any(output.iterdir()) and not was_cut_off(output))
    if others and not made_before:
        raise UserError(f"--output {output} holds other files; name a new folder, or that of an older page")


def _parts_of(model_id: str | Path, compare_model_ids: Sequence[str | Path]) -> tuple[dict, dict, list[Path]]:
    """What index.html says to its scripts, the texts of the page by their names, and the files of weights and index."""
    from ..inspection.differences import compare_memories  # imports torch

    model, tokenizer = load(model_id)
    folder = checkpoint_folder(model_id, None)
    _, _, settings = prepare_sampling(model, tokenizer)
    weights, record = weight_files(folder), folder / "evaluation.json"
    indexes = [folder / name for name in INDEXES if (folder / name).exists()]
    nats = json.loads(record.read_text(encoding="utf-8")).get("nats_per_char") if record.exists() else None
    page = {
        "model": _name_of(model_id),
        "title": (title := _title_of(model_id)),
        "nats": nats,
        "config": {name: getattr(model.config, name) for name in CONFIG},
        "settings": {name: getattr(settings, name) for name in NEUTRAL},
        "suppress_tokens": settings.suppress_tokens,
        "ends": settings.eos_token_id,
        "cells": known_cells(model, tokenizer),
        "files": _sizes(weights),
        "indexes": _sizes(indexes),
        "forget": json.loads(FORGET.__getstate__()) if (folder / BOOKS).exists() else None,  # of the books
    }
    text = generate_text(model, tokenizer, seed=SEED)
    models = {_title_of(one): load(one) for one in compare_model_ids}
    page["differences"] = compare_memories({title: (model, tokenizer)} | models, text) if models else None
    letters = len(tokenizer) - 1  # without the pad
    figure = (
        f"{nats:.3f} nats of surprise a character on text that it has not read. A nat is the unit of surprise: "
        f"who guesses blindly among its {letters} characters is surprised by {math.log(letters):.2f}, who knows by 0."
        if nats
        else f"a model of {letters} characters; how well it predicts was not measured."
    )
    texts = {"tokenizer.json": (folder / "tokenizer.json").read_text(encoding="utf-8"), "text": text, "about": figure}
    return page, texts, weights + indexes


def _name_of(model_id: str | Path) -> str:
    return (local_model(model_id) or Path(model_id)).resolve().name


def _title_of(model_id: str | Path) -> str:
    """A model's name, in words if it is packaged."""
    packaged = checkpoint_folder(model_id, None).resolve().parent == PRETRAINED
    return TITLES.get(_name_of(model_id), _name_of(model_id)) if packaged else _name_of(model_id)


def _sizes(files: list[Path]) -> list[dict]:
    return [{"name": file.name, "bytes": file.stat().st_size} for file in files]


def _render(page: dict, texts: dict[str, str], ways: dict[str, str]) -> str:
    """index.html; `ways`: how its style and its scripts come."""
    escaped = {name: html.escape(text) for name, text in texts.items() if name in ("text", "about")}
    escaped |= {"title": html.escape(page["title"]), "page": _json_in_html(json.dumps(page))}
    status = f"It wrote this from seed {SEED} before you came. Write your own, or look inside this one below."
    text = f'class="text" id="text" data-state="idle">{escaped["text"]}</div>'
    inspector = part("inspector.html").replace('class="text"></div>', text)  # the text is the one to look into
    content = ways | {"inspector": inspector, "status": status} | escaped
    before, *pieces = part("index.html").split("{{ ")
    return before + "".join(content[name] + rest for name, _, rest in (piece.partition(" }}") for piece in pieces))


def _json_in_html(text: str) -> str:
    """JSON that closes no tag and opens no comment."""
    return text.replace("<", r"\u003c").replace("&", r"\u0026")


def _style() -> str:
    return f"{part('page.css')}#inspector {{\n{part('inspector.css')}}}\n"


def _beside() -> dict[str, str]:
    """Style and scripts as files of the folder."""
    return {
        "policy": POLICY.format("'self'", "'self'"),
        "style": '<link rel="stylesheet" href="page.css">',
        "script": '<script type="module" src="app.js"></script>',
    }


def _inside(texts: dict[str, str], files: list[Path]) -> dict[str, str]:
    """Style, scripts, tokenizer, weights and index as parts of index.html: a disk's pages may load no other file."""
    held = {file.name: base64.b64encode(file.read_bytes()).decode() for file in files}
    held |= {f"{name}.js": script_of(name) for name in WORKERS}
    held |= {"tokenizer.json": _json_in_html(texts["tokenizer.json"])}
    kept = [f'<script type="text/plain" id="{name}">{text}</script>\n' for name, text in held.items()]
    return {
        "policy": POLICY.format("'unsafe-inline'", "blob:"),
        "style": f"<style>\n{_style()}</style>",
        "script": "".join(kept) + f'<script type="module">\n{script_of("app")}</script>',
    }
