"""The tables of README and docs, from the committed results alone."""

import json
import re
from functools import partial
from pathlib import Path

from char_lstm.paths import CHECKOUT, PRETRAINED, RESULTS

from .common import CELLS


def cells_table() -> str:
    """Three cells with the same parameters and epochs, from their evaluations and the generation benchmark."""
    speeds = read("generation")["characters_a_second"]
    lines = ["| cell | parameters | nats per character | bits | reset at each sentence | characters a second |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, speed in speeds.items():
        figures = json.loads((PRETRAINED / CELLS[name] / "evaluation.json").read_text(encoding="utf-8"))
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
    parameters = json.loads((PRETRAINED / "alice" / "evaluation.json").read_text(encoding="utf-8"))["parameters"]
    rows = [
        ("characters after normalising, billions", characters / 1e9, "streaming"),
        ("reading them once, hours of one core", characters / read_rate / 3600, "streaming"),
        ("memory of a reader, gigabytes", gigabyte["resident_megabytes"] / 1000, "streaming"),
        (
            "going on after a stop, seconds to find the place in a file of 1 GB, at most",
            10 * streamed["seconds_to_clean_100_megabytes"],
            "streaming",
        ),
        (
            "building it as a stored corpus instead, hours of one core",
            built["megabytes"]["100"]["processor_seconds"] * megabytes / 100 / 3600,
            "scale",
        ),
        ("training once through on one core of a CPU, days", characters / train_rate / 86400, "training"),
        ("what the processes exchange in a step, megabytes of gradients", 4 * parameters / 1e6, "alice's parameters"),
        (
            "a checkpoint (weights, their average, two of AdamW's), megabytes",
            16 * parameters / 1e6,
            "alice's parameters",
        ),
        (
            "GPU-hours once through, if a GPU trains on a million characters a second",
            characters / 1e6 / 3600,
            "streaming",
        ),
        ("readers for each million characters a second", 1e6 / read_rate, "streaming"),
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
    """The intent classifier beside counting words, on the test phrasings and on training phrasings held out."""
    files = {"test phrasings": "intents", "a quarter of the training phrasings": "intents_held_out"}
    scores = {name: read(file)["scores"] for name, file in files.items()}
    methods = scores["test phrasings"]
    lines = ["| macro-F1 on | " + " | ".join(methods) + " |", "|---" * (1 + len(methods)) + "|"]
    for name, score in scores.items():
        lines.append(f"| {name} | " + " | ".join(f"{score[method]['macro_f1']:.3f}" for method in methods) + " |")
    return "\n".join(lines)


TABLES = {
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


def pages() -> list[Path]:
    """README and docs, whose tables are made here."""
    return [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def with_tables(page: str) -> str:
    """A page with what stands between each pair of table marks made anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
        pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
        page = pattern.sub(lambda _, table=table, begin=begin, end=end: begin + table() + "\n" + end, page)
    return page
