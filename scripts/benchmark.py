"""Measures the project against baselines in the same run; quotes nothing that it did not measure.

    python scripts/benchmark.py generation --json scripts/results/generation.json
    python scripts/benchmark.py tables

`generation`: 500 characters at a time, on one CPU thread, against the bare matrix products and the library's loop.
`tables`: writes the README's tables anew from the committed results.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

from char_lstm import load
from char_lstm.generation_char_lstm import CharLstmDecoder, as_decoder, generate_text, sample, sampling_settings

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "scripts" / "results"
PRETRAINED = ROOT / "modeling" / "pretrained"
CELLS = {"LSTM": "alice", "GRU": "alice_gru", "RNN": "alice_rnn"}
CHARACTERS = 500
BATCH = 64
IMPORTS = "import torch; from transformers import PreTrainedModel, GenerationMixin, PreTrainedTokenizerFast"
FIRST_CHARACTER = (
    "from char_lstm import generate_text, load; generate_text(*load('modeling/pretrained/alice'), max_new_tokens=1)"
)


def interleaved(repeats: int, **candidates: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each candidate, run in turn so that a drifting machine slows all alike."""
    seconds = {name: [] for name in candidates}
    for run in candidates.values():
        run()  # warm
    for _ in range(repeats):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def bare_products(decoder: CharLstmDecoder, batch: int) -> Callable[[], None]:
    """The floor: only the matrix products of `CHARACTERS` steps, with every buffer made before."""
    matrices = [layer.matrix for layer in decoder.layers] + [decoder.head]
    inputs = [np.ones((batch, matrix.shape[1]), np.float32) for matrix in matrices]
    outputs = [np.empty((batch, matrix.shape[0]), np.float32) for matrix in matrices]

    def run():
        for _ in range(CHARACTERS):
            for matrix, x, out in zip(matrices, inputs, outputs, strict=True):
                np.dot(x, matrix.T, out=out)

    return run


def measure_generation(repeats: int) -> dict:
    """Seconds and ratios of generation with the packaged models."""
    torch.set_num_threads(1)
    model, tokenizer = load(PRETRAINED / "alice")
    decoder = as_decoder(model)
    sampling = {"temperature": 0.8, "top_k": 20, "top_p": 0.95, "max_new_tokens": CHARACTERS}
    settings = sampling_settings(model.generation_config, **sampling)
    start = torch.tensor([[model.config.bos_token_id]])
    start_ids = [[model.config.bos_token_id]]

    one = interleaved(
        repeats,
        ours=lambda: generate_text(model, tokenizer, seed=0, **sampling),
        bare_products=bare_products(decoder, 1),
        library_loop=lambda: model.generate(start, attention_mask=torch.ones_like(start), do_sample=True, **sampling),
    )
    many = interleaved(
        repeats,
        ours=lambda: list(sample(decoder, start_ids * BATCH, settings, seed=0)),
        bare_products=bare_products(decoder, BATCH),
    )
    cold = interleaved(
        max(repeats // 2, 1),
        generate_script=lambda: _python("scripts/generate.py"),
        imports=lambda: _python("-c", IMPORTS),
        first_character=lambda: _python("-c", FIRST_CHARACTER),
    )
    return {
        "seconds": {"one_text": one, f"{BATCH}_texts": many, "cold_start": cold},
        "ratios": {
            "one text, to the bare products": one["ours"] / one["bare_products"],
            "one text, the library's loop to ours": one["library_loop"] / one["ours"],
            f"{BATCH} texts, to the bare products": many["ours"] / many["bare_products"],
            f"{BATCH} texts, characters a second to one text's": BATCH * one["ours"] / many["ours"],
            "generate.py from process start, to the imports": cold["generate_script"] / cold["imports"],
            "load and first character, to the imports": cold["first_character"] / cold["imports"],
        },
        "characters_a_second": _cells_speed(repeats, sampling),
    }


def _cells_speed(repeats: int, sampling: dict) -> dict[str, float]:
    loaded = {name: load(PRETRAINED / folder) for name, folder in CELLS.items() if (PRETRAINED / folder).exists()}
    runs = {name: lambda pair=pair: generate_text(*pair, seed=0, **sampling) for name, pair in loaded.items()}
    return {name: CHARACTERS / seconds for name, seconds in interleaved(repeats, **runs).items()}


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)


def machine() -> dict:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads used": 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


# README


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
    lines += [f"| {name} | {ratio:.2f} |" for name, ratio in results["ratios"].items()]
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


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    generation = verbs.add_parser("generation", help="500 characters against their floor and the library's loop")
    generation.add_argument("--json", type=Path, required=True, help="where the figures go")
    generation.add_argument("--repeats", type=int, default=9, help="runs of each candidate; medians are kept")
    verbs.add_parser("tables", help="make the README's tables from the committed results")
    args = parser.parse_args(argv)

    if args.verb == "tables":
        readme = ROOT / "README.md"
        readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")
        return
    results = {"machine": machine(), **measure_generation(args.repeats)}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for name, ratio in results["ratios"].items():
        print(f"{name:52} {ratio:7.2f}")


if __name__ == "__main__":
    main()
