"""The tables of the README and of docs/, from the committed results alone."""

import json
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from char_lstm import generate_text, load_decoder
from char_lstm.paths import CHECKOUT, PRETRAINED, RESULTS

from .base import LONG
from .common import CELLS

PAGES = [CHECKOUT / "README.md", CHECKOUT / "SECURITY.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
MARKED = re.compile(r"(<!-- table: ([^\n]*) -->\n).*?(<!-- end -->)", re.DOTALL)  # a table in a page, and its name
FORMATS = {"parameters": ",", "steps": ",", "epochs": ".3g", "seconds": ".0f"}  # of figures other than nats and bits
FORMATS["processor_seconds"] = FORMATS["seconds"]
MODELS = {
    "alice": "the assignment",
    "alice_english": "`english`, tuned on *Alice*",
    "alice_best": "distilled from two teachers and an n-gram model",
    "alice_gru": "the assignment with a GRU",
    "alice_rnn": "the assignment with a plain RNN",
    "english": "a base to start from: it has read in 95 other books",
    "intents": "names the intent of a request, of 13",
}


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def results_of(name: str) -> dict:
    return read(RESULTS / f"{name}.json")


def evaluation_of(model: str) -> dict:
    """The figures that lie beside a packaged model."""
    return read(PRETRAINED / model / "evaluation.json")


def table(header: str, rows: Iterable[Iterable[object]], machine: dict | None = None) -> str:
    """A table in Markdown, and below it the machine that measured: its GPU if it has one."""
    lines = [f"| {header} |", "|---" * (header.count("|") + 1) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    if machine:
        processor = machine.get("gpu") or f"{machine['processor']}, {machine['cores']} cores"
        lines += ["", f"({processor}, torch {machine['torch']})"]
    return "\n".join(lines)


def formatted(figures: dict, *names: str) -> list[str]:
    """Some figures as every table shows them; one that a model does not have is left empty."""
    return [format(figures[name], FORMATS.get(name, ".3f")) if name in figures else "" for name in names]


def beginning(text: str, characters: int) -> str:
    return text[:characters].strip().replace("\n", " / ")


def models_table() -> str:
    """Every packaged model: what it is and how well it does."""
    rows = []
    for name, what in MODELS.items():
        figures, config = evaluation_of(name), read(PRETRAINED / name / "config.json")
        layers = f"{config['num_hidden_layers']} x {config['hidden_size']} {config['cell_type'].upper()}"
        if "scores" in figures:
            score = figures["scores"]["lstm classifier"]
            measured = f"macro-F1 {score['macro_f1']:.3f} on {figures['test_phrasings']} test phrasings"
        else:
            measured = "{} nats ({} bits) a character".format(*formatted(figures, "nats_per_char", "bits_per_char"))
        rows.append([f"`{name}`", what, layers, *formatted(figures, "parameters"), measured])
    return table("model | what it is | layers | parameters | measured", rows)


def teachers_table() -> str:
    """A student beside those that it learnt from."""
    files = {
        "`alice`, the assignment": "modeling/pretrained/alice/evaluation.json",
        "first teacher": "scripts/results/teacher_1.json",
        "second teacher": "scripts/results/teacher_2.json",
        "`alice_best`, the student": "modeling/pretrained/alice_best/evaluation.json",
    }
    rows = [
        [what, *formatted(read(CHECKOUT / file), "parameters", "nats_per_char"), f"[`{Path(file).name}`](../{file})"]
        for what, file in files.items()
    ]
    return table("| parameters | nats per character | measured in", rows)


def vanishing_table() -> str:
    """How far a gradient reaches in each cell, before and after training."""
    rows = []
    for model in results_of("vanishing")["models"]:
        rows.append([model["cell_type"].upper()])
        for at in (model["before"], model["after"]):
            rows[-1] += [f"{at['measured_per_step']:.2f}", f"{at['gradient'][-1]:.0e}"]
    header = "cell | fresh: factor a step | 200 characters back | trained: factor a step | 200 characters back"
    return table(header, rows)


def cells_table() -> str:
    """Three cells with the same parameters and epochs, from their evaluations and the generation benchmark."""
    shown = ("parameters", "nats_per_char", "bits_per_char", "nats_per_char_reset")
    speeds = results_of("generation")["characters_a_second"]
    rows = ([cell, *formatted(evaluation_of(CELLS[cell]), *shown), f"{speeds[cell]:,.0f}"] for cell in speeds)
    return table("cell | parameters | nats per character | bits | reset at each sentence | characters a second", rows)


def figures_table(name: str) -> str:
    """The figures of a benchmark and the machine they were measured on."""
    results = results_of(name)
    rows = ([what, f"{figure:.2f}"] for what, figure in results["figures"].items())
    return table(f"{name} | {results['unit']}", rows, results["machine"])


def generation_table() -> str:
    milliseconds = 1000 * results_of("generation")["seconds"]["one_text"]["ours"]
    return f"{figures_table('generation')}\n\n500 characters take {milliseconds:.0f} ms on one thread."


def abuse_table() -> str:
    """What malformed requests leave behind in the Space."""
    return f"{figures_table('abuse')}\n\nTraces in the log: {results_of('abuse')['traces']}."


def faults_table() -> str:
    """How many of the faults that each command's calls can have were tried, and what came of them."""
    shown = ("calls", "faults", "tried", "held", "refused", "survived", "killed")
    rows = [
        [f"`{name}`", *(counts.get(count, 0) for count in shown)]
        for name, counts in results_of("faults")["commands"].items()
    ]
    return table("command | calls | faults they can have | tried | all held | refused | survived | killed", rows)


def memory_table() -> str:
    """What a training step holds, by the size of the model and the length of its rows."""
    results, rows = results_of("memory"), []
    for size, by_length in results["steps"].items():
        for length, at in by_length.items():
            megabytes = [f"{at[how]['megabytes']:,.0f}" for how in ("whole", "segments")]
            slower = at["segments"]["seconds"] / at["whole"]["seconds"]
            rows.append([size, f"{at['rows']} x {length}", *megabytes, f"{slower:.2f}"])
    header = "layers x units | rows | MB | MB with `--gradient_checkpointing` | its time to the other's"
    return table(header, rows, results["machine"])


def quality_table() -> str:
    """What predicts the last tenth of the book, best first."""
    models = sorted(results_of("quality")["models"].items(), key=lambda item: item[1]["nats_per_char"])
    rows = ([name, *formatted(figures, "parameters", "nats_per_char", "bits_per_char")] for name, figures in models)
    return table("model | parameters | nats per character | bits", rows)


def adaptation_table() -> str:
    """What a memory of the text read so far is worth to each model."""
    rows = (
        [f"`{name}`", *formatted(figures, "nats_per_char", "nats_per_char_adapted")]
        for name, figures in results_of("adaptation")["models"].items()
    )
    return table("model | nats per character | with its memory of the split so far", rows)


def variants_table(name: str) -> str:
    """What each row of a table of variants changes, and what it predicts the last tenth of the book with."""
    rows = []
    for what, row in results_of(name)["rows"].items():
        settings = f"`{row['arguments']}`" if row["arguments"] else ""
        settings += "".join(f" (corpus: `--{option}`)" for option in row["corpus"])
        rows.append([what, settings, *formatted(row, "epochs", "steps", "nats_per_char")])
    return table("what | settings | epochs | steps | nats per character", rows)


def base_table() -> str:
    """A base model alone, tuned, and beside models from scratch, on each text, and how fast it writes."""
    results, models, rows = results_of("base"), ("never seen", "tuned", "from scratch"), []
    for name, row in results["rows"].items():
        nats = [cell for model in models for cell in formatted(row.get(model, {}), "nats_per_char")]
        rows.append([name, *nats, *formatted(row["tuned"], "epochs", "seconds")])
    header = " | ".join(["text", *models, "epochs of tuning", "seconds, both runs"])
    speeds = [
        f"500 characters of {what} take {seconds['ours']:.2f} s on one thread, "
        f"{seconds['ours'] / seconds['bare_products']:.2f} times their bare matrix products."
        for what, seconds in results["speed"].items()
    ]
    longer = [
        f"A model of the base's size, trained from scratch for {row[LONG]['minutes']:g} minutes on {name}: "
        f"{row[LONG]['nats_per_char']:.3f} nats."
        for name, row in results["rows"].items()
        if LONG in row
    ]
    return "\n\n".join([table(header, rows, results["machine"]), *longer, *speeds])


def pairs_table() -> str:
    """How many of the pairs each reader decided for the model that was tuned from the base."""
    results = results_of("pairs")
    rows = ([reader, f"{figure} of {len(results['pairs'])}"] for reader, figure in results["figures"].items())
    return table("| `alice_english` is preferred to `alice_best` in", rows)


def shakespeare_table() -> str:
    """How well and how soon another text is learnt."""
    shown = ("epochs", "seconds", "nats_per_char", "bits_per_char")
    rows = (formatted(row, *shown) for row in results_of("shakespeare")["rows"].values())
    return table("epochs | seconds | nats per character | bits", rows)


def names_table() -> str:
    """How well held-out names are predicted."""
    results, shown = results_of("names"), ("parameters", "nats_per_char", "processor_seconds")
    rows = [["makemore's transformer", *formatted(results["makemore's transformer"], *shown)]]
    for what, figures in results["names"].items():
        row = formatted({**results, **figures}, *shown)
        rows.append([f"the recipe `names`: {figures['rows']:,} {what}", *row])
    return table("model | parameters | nats per character | seconds", rows)


def languages_table() -> str:
    """Each language beside the best of the file compressors."""
    results, rows = results_of("languages"), []
    for name, row in zip(results["figures"], results["languages"].values(), strict=True):
        bits = row["compressed_bits_per_char"]
        best = min(bits, key=bits.get)
        rows.append([name, row["alphabet"], *formatted(row, "seconds", "bits_per_char"), f"{bits[best]:.3f} ({best})"])
    header = "language | alphabet | seconds | bits per character | the best of gzip, bz2 and xz"
    return table(header, rows, results["machine"])


def temperatures_table() -> str:
    """The beginning of what one seed writes at each temperature, and how much is new over all seeds."""
    rows = (
        [temperature, f"{row['share_new']:.0%}", f"{row['longest_copy']:.0f}", beginning(row["sample"], 80)]
        for temperature, row in results_of("temperatures")["sheet"].items()
    )
    return table("temperature | new | longest copy | the first 80 of 500 characters, seed 0", rows)


def seeds_table() -> str:
    """How many texts other arithmetic changes."""
    results = results_of("seeds")
    rows = ([where, f"{len(texts)} of {results['texts']}"] for where, texts in results["differ"].items())
    return table("beside one thread with AVX-512 | texts that differ", rows, results["machine"])


def side_by_side() -> str:
    """What one book's model writes from one seed, and what the model that had read others before does."""
    written = {name: generate_text(*load_decoder(PRETRAINED / name), seed=7) for name in ("alice", "alice_english")}
    return table("model | writes", ([f"`{name}`", beginning(text, 300)] for name, text in written.items()))


def watch_it_learn() -> str:
    """What the packaged Alice wrote from one seed after some epochs."""
    samples = read(PRETRAINED / "alice" / "samples.json")
    rows = ([epoch, beginning(samples[f"{epoch:03}"], 100)] for epoch in (1, 5, 20, 100))
    return table("after epoch | 100 of the 500 characters", rows)


def onnx_table() -> str:
    """Size and quality of the exported step."""
    results, names = results_of("onnx"), ("model.onnx", "model_int8.onnx")
    nats = {name: results["test"][name]["nats_per_char"] for name in names}
    rows = ([name, f"{results['bytes'][name]:,}", f"{nats[name]:.4f}"] for name in names)
    return table("| bytes | nats per character", rows)


def intents_table() -> str:
    """The intent classifier beside a bag of words, on the test phrasings and on training phrasings held out."""
    files = {"test phrasings": "intents", "a quarter of the training phrasings": "intents_held_out"}
    scores = {what: results_of(name)["scores"] for what, name in files.items()}
    rows = ([what, *(f"{score['macro_f1']:.3f}" for score in by_method.values())] for what, by_method in scores.items())
    return table(" | ".join(["macro-F1 on", *scores["test phrasings"]]), rows)


def works_with_table() -> str:
    """Each client with the newest and the oldest version tried, and what came of it."""
    newest, oldest = (results_of("works_with")[which] for which in ("newest", "oldest"))
    now, rows = {row["what"]: row["outcome"] for row in newest["rows"]}, []
    for row in sorted(oldest["rows"], key=lambda row: row["client"]):
        client, what, then = row["client"], row["what"], row["outcome"]
        versions = dict.fromkeys(tried["versions"][client] for tried in (newest, oldest))
        outcome = then if then == now[what] else f"newest {now[what]}; oldest {then}"
        rows.append([client, " and ".join(versions), what, outcome])
    return table("client | versions tried | what | outcome", rows)


def plan_table() -> str:
    """A corpus of a hundred gigabytes, computed from what was measured on small ones."""
    streamed, built, trained = (results_of(name) for name in ("streaming", "scale", "training"))
    megabytes = 100_000
    gigabyte = streamed["megabytes"]["1000"]
    characters = gigabyte["characters"] * megabytes / 1000
    read_rate = gigabyte["characters"] / gigabyte["seconds"]  # a second, by one reader
    train_rate = trained["characters_a_second"]["train.py"]
    build_seconds = built["megabytes"]["100"]["processor_seconds"] * megabytes / 100
    find_seconds = 10 * streamed["seconds_to_clean_100_megabytes"]
    weights = 4 * evaluation_of("alice")["parameters"] / 1e6  # megabytes
    computed = [
        ("characters after normalising, billions", characters / 1e9, "streaming"),
        ("reading them once, hours of one core", characters / read_rate / 3600, "streaming"),
        ("memory of a reader, gigabytes", gigabyte["resident_megabytes"] / 1000, "streaming"),
        ("resuming, seconds to find the place in a file of 1 GB, at most", find_seconds, "streaming"),
        ("building a stored corpus instead, hours of one core", build_seconds / 3600, "scale"),
        ("training once through on one core of a CPU, days", characters / train_rate / 86400, "training"),
        ("readers that training a million characters a second keeps busy", 1e6 / read_rate, "streaming"),
        ("gradients that processes exchange in a step, megabytes", weights, "alice's parameters"),
        ("a checkpoint (weights, their average, two moments of AdamW), megabytes", 4 * weights, "alice's parameters"),
    ]
    rows = ([what, f"{figure:,.3g}", source] for what, figure, source in computed)
    return table("a hundred gigabytes of text | | computed from", rows)


TABLES = {
    "models": models_table,
    "teachers": teachers_table,
    "vanishing": vanishing_table,
    "cells": cells_table,
    "generation": generation_table,
    "abuse": abuse_table,
    "faults": faults_table,
    "memory": memory_table,
    "quality": quality_table,
    "adaptation": adaptation_table,
    "pairs": pairs_table,
    "shakespeare": shakespeare_table,
    "names": names_table,
    "languages": languages_table,
    "temperatures": temperatures_table,
    "seeds": seeds_table,
    "side by side": side_by_side,
    "watch it learn": watch_it_learn,
    "onnx": onnx_table,
    "intents": intents_table,
    "plan": plan_table,
    "works with": works_with_table,
    **{name: partial(variants_table, name) for name in ("road", "ideas", "helped")},
    **{name: partial(figures_table, name) for name in ("training", "starts", "scale", "streaming", "serving")},
}


def with_tables(page: str) -> str:
    """A page with what stands between each pair of table marks made anew."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)
