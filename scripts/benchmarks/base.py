"""What a base model is worth: alone, tuned on a text, and beside a model trained from scratch as long.

The four books are not among those that the base has read; of each the first 10, 30, 100 and 300 KB are taken, and the
last tenth of what was taken is the test. All models train in bfloat16 where the processor is faster in it.
"""

import json
import tempfile
from functools import partial
from pathlib import Path

import torch
from datasets import load_from_disk

from char_lstm import load
from char_lstm.errors import UserError
from char_lstm.files import write_json
from char_lstm.generation_char_lstm import generate_text, sample, sampling_settings
from char_lstm.loading import checkpoint_folder, hash_files, weight_files
from char_lstm.torch_decoder_char_lstm import as_decoder
from char_lstm.training.evaluation import evaluate
from char_lstm.training.precision import bfloat16_helps

from .common import interleaved
from .generation import BATCH, SAMPLING, bare_products
from .variants import run

AS_IT_IS = {"keep_case": True, "keep_punctuation": True}
TEXTS = {  # name: file, KB of it or None for all, how its corpus is built
    "Alice": ("alice_utf8", None, {}),
    "Alice, case and punctuation kept": ("alice_utf8", None, AS_IT_IS),
    "tiny-shakespeare, case and punctuation kept": ("tinyshakespeare", None, AS_IT_IS),
}
BOOKS = {
    "Treasure Island": "robert-louis-stevenson_treasure-island",
    "Five Children and It": "e-nesbit_five-children-and-it",
    "The Warden": "anthony-trollope_the-warden",
    "Dracula": "bram-stoker_dracula",
}
KILOBYTES = (10, 30, 100, 300)
TEXTS |= {f"{book}, {size} KB": (file, size, {}) for book, file in BOOKS.items() for size in KILOBYTES}
TUNED, SCRATCH = {"config": "tune.yaml"}, {"config": "alice.yaml"}
TRIAL = 50  # steps that are timed to know how many fit
REPEATS = 9
MODELS = ("never seen", "tuned", "from scratch")
LONG = "of the base's size, from scratch, longer"


def train_from_scratch(text: str, settings: dict, seconds: float, place: Path) -> dict:
    """The figures of the default recipe, its schedule fitted to so many seconds."""
    trial = run({**SCRATCH, **settings, "max_steps": TRIAL}, text, place / "trial")
    steps = max(1, round(TRIAL * seconds / trial["training_seconds"]))
    return run({**SCRATCH, **settings, "max_steps": steps}, text, place / "scratch")


def measure_text(base: str, file: Path, size: int | None, corpus: dict, minutes: float | None, row: dict) -> None:
    """Adds to the row of a text, or of its first `size` KB, the figures of each model on its last tenth."""
    settings = {"corpus": corpus, "bf16": bfloat16_helps()}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        text = place / "text.txt"
        text.write_bytes(file.read_bytes()[: size and 1000 * size])
        if not row:
            tuned = run({**TUNED, "init_from": base, **settings}, str(text), place)
            unseen = evaluate(*load(base), load_from_disk(place / "corpus")["test"])
            row |= {"never seen": unseen, "tuned": tuned}
            if size:
                row["from scratch"] = train_from_scratch(str(text), settings, tuned["seconds"], place)
        if minutes:
            config = load(base)[0].config
            settings |= {name: getattr(config, name) for name in ("hidden_size", "num_hidden_layers")}
            row[LONG] = {"minutes": minutes, **train_from_scratch(str(text), settings, 60 * minutes, place / "long")}


def measure_speed(base: str) -> dict:
    """Seconds of 500 characters of one text and of several at once, on one thread, and of their bare products."""
    torch.set_num_threads(1)
    model, tokenizer = load(base)
    decoder, settings = as_decoder(model), sampling_settings(model.generation_config, **SAMPLING)
    starts = [[model.config.bos_token_id]] * BATCH
    one = partial(generate_text, model, tokenizer, seed=0, **SAMPLING)
    many = lambda: list(sample(decoder, starts, settings, seed=0))  # noqa: E731
    return {
        "one text": interleaved(REPEATS, ours=one, bare_products=bare_products(decoder, 1)),
        f"{BATCH} texts": interleaved(REPEATS, ours=many, bare_products=bare_products(decoder, BATCH)),
    }


def measure(base: str, text: str, json_path: Path, rows: list[str] | None, minutes: float | None) -> dict:
    """The texts whose names contain one of `rows`, or all, and the speed; what stands in the file already is kept.

    Args:
        text: a folder that holds the texts, in whatever folders within.
        minutes: how long a model of the base's size is trained from scratch beside these, if at all.

    Raises:
        UserError: the file holds the figures of another base.
    """
    folder = checkpoint_folder(base, None)
    weights = hash_files(weight_files(folder))
    fresh = {"base": folder.name, "weights_sha256": weights, "rows": {}}
    known = json.loads(json_path.read_text(encoding="utf-8")) if json_path.exists() else fresh
    if known["weights_sha256"] != weights:
        raise UserError(f"{json_path} holds the figures of another base: choose another --json")
    for name, (file, *how) in TEXTS.items():
        row = known["rows"].get(name, {})
        missing = LONG not in row if minutes else not row
        if missing and any(part in name for part in rows or [""]):
            measure_text(base, next(Path(text).rglob(f"{file}.txt")), *how, minutes, row)
            known["rows"][name] = row
            write_json(json_path, known)
    if "speed" not in known:
        known["speed"] = measure_speed(base)
    figures = {
        f"{name}: {model}": row["nats_per_char"] for name in TEXTS for model, row in known["rows"].get(name, {}).items()
    }
    return {
        **{key: known[key] for key in (*fresh, "speed")},
        "unit": "nats per character, last tenth",
        "figures": figures,
    }


def curve_of(rows: dict, book: str, model: str) -> dict[int, float]:
    """Nats per character by the KB of a book that a model had, of those that were measured."""
    measured = {size: rows.get(f"{book}, {size} KB") for size in KILOBYTES}
    return {size: row[model]["nats_per_char"] for size, row in measured.items() if row}


def plot(results: dict, path: Path) -> None:
    """Nats per character by the length of the text: each book thin, and the mean of the four where all are measured."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for model, color in zip(MODELS, ("#999999", "#4477aa", "#cc6677"), strict=True):
        curves = [curve_of(results["rows"], book, model) for book in BOOKS]
        for curve in curves:
            axes.plot(list(curve), list(curve.values()), color=color, linewidth=0.7, alpha=0.6)
        sizes = [size for size in KILOBYTES if all(size in curve for curve in curves)]
        means = [sum(curve[size] for curve in curves) / len(curves) for size in sizes]
        axes.plot(sizes, means, "o-", color=color, label=model)
    axes.set(xscale="log", xlabel="KB of text", ylabel="nats per character, last tenth")
    axes.set_xticks(KILOBYTES, list(map(str, KILOBYTES)))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
