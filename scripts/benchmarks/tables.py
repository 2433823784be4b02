"""The tables of the README and of docs/, from the committed results alone."""

import json
import re
from functools import partial

from char_lstm.paths import CHECKOUT, PRETRAINED, RESULTS

from .common import CELLS

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
MODELS = {
    "alice": "the assignment",
    "alice_best": "distilled from two teachers and an n-gram model",
    "alice_gru": "the assignment with a GRU",
    "alice_rnn": "the assignment with a plain RNN",
    "intents": "names the intent of a request, of 13",
}


def evaluation(name: str) -> dict:
    """The figures that lie beside a packaged model."""
    return json.loads((PRETRAINED / name / "evaluation.json").read_text(encoding="utf-8"))


def models_table() -> str:
    """Every packaged model: what it is and how well it does."""
    lines = ["| model | what it is | layers | parameters | measured |", "|---|---|---|---|---|"]
    for name, what in MODELS.items():
        figures, config = evaluation(name), json.loads((PRETRAINED / name / "config.json").read_text(encoding="utf-8"))
        layers = f"{config['num_hidden_layers']} x {config['hidden_size']} {config['cell_type'].upper()}"
        if "scores" in figures:
            score = figures["scores"]["lstm classifier"]
            measured = f"macro-F1 {score['macro_f1']:.3f} on {figures['test_phrasings']} test phrasings"
        else:
            measured = f"{figures['nats_per_char']:.3f} nats ({figures['bits_per_char']:.3f} bits) a character"
        lines.append(f"| `{name}` | {what} | {layers} | {figures['parameters']:,} | {measured} |")
    return "\n".join(lines)


def teachers_table() -> str:
    """A student beside those that it learnt from."""
    rows = [
        ("`alice`, the assignment", evaluation("alice"), "modeling/pretrained/alice/evaluation.json"),
        ("first teacher", read("teacher_1"), "scripts/results/teacher_1.json"),
        ("second teacher", read("teacher_2"), "scripts/results/teacher_2.json"),
        ("`alice_best`, the student", evaluation("alice_best"), "modeling/pretrained/alice_best/evaluation.json"),
    ]
    lines = ["| | parameters | nats per character | measured in |", "|---|---|---|---|"]
    for what, figures, path in rows:
        link = f"[`{path.rpartition('/')[2]}`](../{path})"
        lines.append(f"| {what} | {figures['parameters']:,} | {figures['nats_per_char']:.3f} | {link} |")
    return "\n".join(lines)


def vanishing_table() -> str:
    """How far a gradient reaches in each cell, before and after training."""
    lines = [
        "| cell | fresh: factor a step | 200 characters back | trained: factor a step | 200 characters back |",
        "|---|---|---|---|---|",
    ]
    for model in read("vanishing")["models"]:
        cells = [model["cell_type"].upper()]
        for when in ("before", "after"):
            cells += [f"{model[when]['measured_per_step']:.2f}", f"{model[when]['gradient'][-1]:.0e}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cells_table() -> str:
    """Three cells with the same parameters and epochs, from their evaluations and the generation benchmark."""
    speeds = read("generation")["characters_a_second"]
    lines = ["| cell | parameters | nats per character | bits | reset at each sentence | characters a second |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, speed in speeds.items():
        figures = evaluation(CELLS[name])
        lines.append(
            f"| {name} | {figures['parameters']:,} | {figures['nats_per_char']:.3f} | {figures['bits_per_char']:.3f} "
            f"| {figures['nats_per_char_reset']:.3f} | {speed:,.0f} |"
        )
    return "\n".join(lines)


def read(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def figures_table(name: str) -> str:
    """The figures of a benchmark and the machine they were measured on."""
    results = read(name)
    lines = [f"| {name} | {results['unit']} |", "|---|---|"]
    lines += [f"| {what} | {figure:.2f} |" for what, figure in results["figures"].items()]
    return "\n".join([*lines, "", machine_line(results["machine"])])


def machine_line(machine: dict) -> str:
    """What measured; the GPU only if there was one."""
    processor = machine.get("gpu") or f"{machine['processor']}, {machine['cores']} cores"
    return f"({processor}, torch {machine['torch']})"


def memory_table() -> str:
    """What a training step holds, by the size of the model and the length of its rows."""
    results = read("memory")
    lines = ["| layers x units | rows | MB | MB with `--gradient_checkpointing` | its time to the other's |"]
    lines += ["|---|---|---|---|---|"]
    for name, by_length in results["steps"].items():
        for length, at in by_length.items():
            whole, segments = at["whole"], at["segments"]
            lines.append(
                f"| {name} | {at['rows']} x {length} | {whole['megabytes']:,.0f} | {segments['megabytes']:,.0f} "
                f"| {segments['seconds'] / whole['seconds']:.2f} |"
            )
    return "\n".join([*lines, "", machine_line(results["machine"])])


def generation_table() -> str:
    milliseconds = 1000 * read("generation")["seconds"]["one_text"]["ours"]
    return f"{figures_table('generation')}\n\n500 characters take {milliseconds:.0f} ms on one thread."


def quality_table() -> str:
    """What predicts the last tenth of the book, best first."""
    models = read("quality")["models"]
    lines = ["| model | parameters | nats per character | bits |", "|---|---|---|---|"]
    for name, result in sorted(models.items(), key=lambda item: item[1]["nats_per_char"]):
        parameters = f"{result['parameters']:,}" if "parameters" in result else ""
        lines.append(f"| {name} | {parameters} | {result['nats_per_char']:.3f} | {result['bits_per_char']:.3f} |")
    return "\n".join(lines)


def variants_table(name: str) -> str:
    """What each row of a table of variants changes, and what it predicts the last tenth of the book with."""
    lines = ["| what | settings | epochs | steps | nats per character |", "|---|---|---|---|---|"]
    for what, row in read(name)["rows"].items():
        corpus = "".join(f" (corpus: `--{option}`)" for option in row["corpus"])
        settings = f"`{row['arguments']}`" if row["arguments"] else ""
        lines.append(
            f"| {what} | {settings}{corpus} | {row['epochs']:.3g} | {row['steps']:,} | {row['nats_per_char']:.3f} |"
        )
    return "\n".join(lines)


def shakespeare_table() -> str:
    """How well and how soon another text is learnt."""
    (row,) = read("shakespeare")["rows"].values()
    return (
        "| epochs | seconds | nats per character | bits |\n|---|---|---|---|\n"
        f"| {row['epochs']:.3g} | {row['seconds']:.0f} | {row['nats_per_char']:.3f} | {row['bits_per_char']:.3f} |"
    )


def temperatures_table() -> str:
    """The beginning of what one seed writes at each temperature, and how much is new over all seeds."""
    results = read("temperatures")
    lines = ["| temperature | new | longest copy | the first 80 of 500 characters, seed 0 |", "|---|---|---|---|"]
    for temperature, row in results["sheet"].items():
        sample = row["sample"][:80].strip().replace("\n", " / ")
        lines.append(f"| {temperature} | {row['share_new']:.0%} | {row['longest_copy']:.0f} | {sample} |")
    return "\n".join(lines)


def onnx_table() -> str:
    """Size and quality of the exported step."""
    results = read("onnx")
    lines = ["| | bytes | nats per character |", "|---|---|---|"]
    for name in ("model.onnx", "model_int8.onnx"):
        lines.append(f"| {name} | {results['bytes'][name]:,} | {results['test'][name]['nats_per_char']:.4f} |")
    return "\n".join(lines)


def plan_table() -> str:
    """A corpus of a hundred gigabytes, computed from what was measured on small ones."""
    streamed, built, trained = (read(name) for name in ("streaming", "scale", "training"))
    megabytes = 100_000
    gigabyte = streamed["megabytes"]["1000"]
    characters = gigabyte["characters"] * megabytes / 1000
    read_rate = gigabyte["characters"] / gigabyte["seconds"]  # a second, by one reader
    train_rate = trained["characters_a_second"]["train.py"]
    parameters = evaluation("alice")["parameters"]
    rows = [
        ("characters after normalising, billions", characters / 1e9, "streaming"),
        ("reading them once, hours of one core", characters / read_rate / 3600, "streaming"),
        ("memory of a reader, gigabytes", gigabyte["resident_megabytes"] / 1000, "streaming"),
        (
            "resuming, seconds to find the place in a file of 1 GB, at most",
            10 * streamed["seconds_to_clean_100_megabytes"],
            "streaming",
        ),
        (
            "building a stored corpus instead, hours of one core",
            built["megabytes"]["100"]["processor_seconds"] * megabytes / 100 / 3600,
            "scale",
        ),
        ("training once through on one core of a CPU, days", characters / train_rate / 86400, "training"),
        ("readers that training a million characters a second keeps busy", 1e6 / read_rate, "streaming"),
        ("gradients that processes exchange in a step, megabytes", 4 * parameters / 1e6, "alice's parameters"),
        (
            "a checkpoint (weights, their average, two moments of AdamW), megabytes",
            16 * parameters / 1e6,
            "alice's parameters",
        ),
    ]
    lines = ["| a hundred gigabytes of text | | computed from |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {figure:,.3g} | {source} |" for what, figure, source in rows)])


def watch_it_learn() -> str:
    """What the packaged Alice wrote from one seed after some epochs."""
    samples = json.loads((PRETRAINED / "alice" / "samples.json").read_text(encoding="utf-8"))
    lines = ["| after epoch | 100 of the 500 characters |", "|---|---|"]
    lines += [f"| {epoch} | {samples[f'{epoch:03}'][:100].strip()} |".replace("\n", " / ") for epoch in (1, 5, 20, 100)]
    return "\n".join(lines)


def intents_table() -> str:
    """The intent classifier beside a bag of words, on the test phrasings and on training phrasings held out."""
    files = {"test phrasings": "intents", "a quarter of the training phrasings": "intents_held_out"}
    scores = {name: read(file)["scores"] for name, file in files.items()}
    methods = scores["test phrasings"]
    lines = ["| macro-F1 on | " + " | ".join(methods) + " |", "|---" * (1 + len(methods)) + "|"]
    for name, score in scores.items():
        lines.append(f"| {name} | " + " | ".join(f"{score[method]['macro_f1']:.3f}" for method in methods) + " |")
    return "\n".join(lines)


TABLES = {
    "models": models_table,
    "teachers": teachers_table,
    "vanishing": vanishing_table,
    "quality": quality_table,
    "watch it learn": watch_it_learn,
    "temperatures": temperatures_table,
    "shakespeare": shakespeare_table,
    "road": partial(variants_table, "road"),
    "ideas": partial(variants_table, "ideas"),
    "helped": partial(variants_table, "helped"),
    "cells": cells_table,
    "generation": generation_table,
    "training": partial(figures_table, "training"),
    "memory": memory_table,
    "scale": partial(figures_table, "scale"),
    "streaming": partial(figures_table, "streaming"),
    "plan": plan_table,
    "serving": partial(figures_table, "serving"),
    "onnx": onnx_table,
    "intents": intents_table,
}


def with_tables(page: str) -> str:
    """A page with what stands between each pair of table marks made anew."""
    for name, table in TABLES.items():
        begin, end = mark(name), "<!-- end -->"
        pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
        page = pattern.sub(lambda _, table=table, begin=begin, end=end: begin + table() + "\n" + end, page)
    return page


def mark(name: str) -> str:
    """The line above a table in the source of a page."""
    return f"<!-- table: {name} -->\n"
