"""One page that shows how a model reads one text, with everything inside."""

import json
from pathlib import Path

from ..files import write_file
from ..inspection.page import inspector_data
from ..loading import load
from ..paths import local_model
from . import component, part


def write_page(model_id: str | Path, text: str, output: Path) -> None:
    """Inspects a text and writes a page that works offline. Raises ValueError if `output` is a folder; see also `load`
    and `inspector_data`."""
    if output.is_dir():
        raise ValueError(f"--output {output} is a folder; name the file to write, such as page.html")
    model, tokenizer = load(model_id)
    figures = (local_model(model_id) or Path(model_id)) / "evaluation.json"
    nats = json.loads(figures.read_text(encoding="utf-8")).get("nats_per_char") if figures.exists() else None
    *_, data = inspector_data(model, tokenizer, text, Path(model_id).resolve().name, nats=nats)
    page = render_page(data)
    write_file(output, page)
    print(f"{output}: {len(data['chars'])} characters, {len(page.encode()) / 1e3:.0f} kB")


def render_page(data: dict) -> str:
    """The page as HTML, safe for any text: without `<` and `&`, no tag or comment can open or close in the JSON."""
    escaped = json.dumps(data, separators=(",", ":")).replace("<", r"\u003c").replace("&", r"\u0026")
    page = part("offline.html")
    for name, content in (component("inspector") | {"inspection": escaped}).items():  # the text last: left alone
        page = page.replace("{{ " + name + " }}", content)
    return page
