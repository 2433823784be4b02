"""The README's tables, from the committed results alone."""

import json
import re

from scripts.benchmarks.common import CELLS, PRETRAINED, RESULTS


def cells_table() -> str:
    """Three cells with the same parameters and epochs, from their evaluations and the generation benchmark."""
    speeds = json.loads((RESULTS / "generation.json").read_text(encoding="utf-8"))["characters_a_second"]
    lines = ["| cell | parameters | nats per character | bits | reset at each sentence | characters a second |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, speed in speeds.items():
        figures = json.loads((PRETRAINED / CELLS[name] / "evaluation.json").read_text(encoding="utf-8"))
        lines.append(
            f"| {name} | {figures['parameters']:,} | {figures['nats_per_char']:.3f} | {figures['bits_per_char']:.3f} "
            f"| {figures['nats_per_char_reset']:.3f} | {speed:,.0f} |"
        )
    return "\n".join(lines)


def generation_table() -> str:
    """The ratios of the generation benchmark and the machine they were measured on."""
    results = json.loads((RESULTS / "generation.json").read_text(encoding="utf-8"))
    lines = ["| generation | ratio |", "|---|---|"]
    lines += [f"| {name} | {ratio:.2f} |" for name, ratio in results["figures"].items()]
    milliseconds = 1000 * results["seconds"]["one_text"]["ours"]
    lines += ["", f"500 characters take {milliseconds:.0f} ms ({results['machine']['processor']}, one thread)."]
    return "\n".join(lines)


def intents_table() -> str:
    """The intent classifier beside counting words, on the test phrasings and on training phrasings held out."""
    files = {"test phrasings": "intents.json", "a quarter of the training phrasings": "intents_held_out.json"}
    scores = {name: json.loads((RESULTS / file).read_text(encoding="utf-8"))["scores"] for name, file in files.items()}
    methods = scores["test phrasings"]
    lines = ["| macro-F1 on | " + " | ".join(methods) + " |", "|---" * (1 + len(methods)) + "|"]
    for name, score in scores.items():
        lines.append(f"| {name} | " + " | ".join(f"{score[method]['macro_f1']:.3f}" for method in methods) + " |")
    return "\n".join(lines)


TABLES = {"cells": cells_table, "generation": generation_table, "intents": intents_table}


def with_tables(readme: str) -> str:
    """The README with what stands between each pair of table marks made anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->\n", "\n<!-- end -->"
        pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
        readme = pattern.sub(lambda _, table=table, begin=begin, end=end: begin + table() + end, readme)
    return readme
