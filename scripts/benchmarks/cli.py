"""Measures the project against baselines in the same run; quotes nothing that it did not
measure, but makemore's transformer in `names`.

    python scripts/benchmark.py generation --json scripts/results/generation.json
    python scripts/benchmark.py starts --json scripts/results/starts.json
    python scripts/benchmark.py training --dataset data/alice --json scripts/results/training.json
    python scripts/benchmark.py bfloat16 --dataset data/english --json scripts/results/bfloat16.json
    python scripts/benchmark.py memory --json scripts/results/memory.json
    python scripts/benchmark.py scale --json scripts/results/scale.json
    python scripts/benchmark.py streaming --json scripts/results/streaming.json
    python scripts/benchmark.py quality --dataset data/alice --json scripts/results/quality.json
    python scripts/benchmark.py adaptation --dataset data/alice --json scripts/results/adaptation.json
    python scripts/benchmark.py names --text names.txt --json scripts/results/names.json
    python scripts/benchmark.py base --base english --text texts --json scripts/results/base.json
    python scripts/benchmark.py forms --text texts/english texts/english_extra --json scripts/results/forms.json
    python scripts/benchmark.py page
    python scripts/benchmark.py pairs
    python scripts/benchmark.py seeds
    python scripts/benchmark.py tables

Each writes a JSON with the machine it ran on, and a PNG beside it; `tables` makes the tables of README and docs
anew from the committed results.
"""

import argparse
from importlib import import_module
from pathlib import Path

from char_lstm.files import write_file, write_json
from char_lstm.paths import RESULTS

from . import tables
from .common import machine, plot

VERBS = {
    "generation": "500 characters against their floor and the library's loop",
    "starts": "how soon each verb begins, beside the import of what it needs",
    "training": "characters a second against a bare nn.LSTM loop, and the share of padding",
    "bfloat16": "training in half precision on a CPU: speed, and nats per character",
    "memory": "what a training step holds, by the length of its rows, with and without gradient checkpointing",
    "scale": "corpora of 1, 10 and 100 MB: seconds, memory, training speed",
    "streaming": "texts of 10 MB, 100 MB and 1 GB read as streams: memory and speed",
    "serving": "20 clients of the Space against one",
    "page": "500 characters in a browser's tab",
    "variants": "a table of recipes that differ in one thing, from variants.yaml",
    "languages": "ten languages of ten scripts, beside file compressors on the same text",
    "seeds": "hashes of what each packaged model writes, under other threads and vector instructions too",
    "temperatures": "what Alice writes at temperatures from 0.2 to 1.2, and how much of it is new",
    "base": "a base model alone, tuned on texts of 10 KB to 1 MB, and beside models from scratch",
    "forms": "one base for texts as they are and in the assignment's form, or two",
    "pairs": "pairs of texts by two models, mixed, and the count of readers' votes",
    "names": "makemore's held-out names by the recipe `names`",
    "adaptation": "nats per character of each model if it remembers what it has read of the test split so far",
    "quality": "nats per character on the test split, beside an n-gram model and a transformer of the same size",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, what in VERBS.items():
        verb = verbs.add_parser(name, help=what)
        verb.add_argument(
            "--json", type=Path, help="where the figures go, and a PNG beside it; default: scripts/results"
        )
        if name in ("generation", "starts", "training", "bfloat16", "serving", "page"):
            verb.add_argument("--repeats", type=int, default=9, help="runs of each candidate; medians are kept")
    for name in ("training", "bfloat16", "quality", "adaptation"):
        verbs.choices[name].add_argument("--dataset", required=True, help="a folder written by char-lstm build")
    verbs.choices["quality"].add_argument("--minutes", type=float, default=10, help="the transformer's training time")
    verbs.choices["variants"].add_argument("--text", required=True, help="the text that all of them learn")
    verbs.choices["languages"].add_argument("--text", required=True, help="a folder of texts: fr.txt, ru.txt ...")
    verbs.choices["pairs"].add_argument("--votes", nargs="+", help="of each reader: A or B for each pair")
    verbs.choices["names"].add_argument("--text", required=True, help="makemore's names.txt")
    verbs.choices["base"].add_argument("--base", required=True, help="the model to start from")
    verbs.choices["base"].add_argument("--text", required=True, help="the folder of the texts")
    verbs.choices["base"].add_argument("--rows", nargs="+", help="rows whose names contain one of these; default: all")
    verbs.choices["base"].add_argument("--minutes", type=float, help="of one more model from scratch, as large")
    verbs.choices["forms"].add_argument("--text", type=Path, nargs="+", required=True, help="the folders of the books")
    verbs.choices["variants"].add_argument("--table", required=True, help="which table of variants.yaml")
    verbs.add_parser("tables", help="make the tables of README and docs from the committed results")
    options = vars(parser.parse_args())

    if options["verb"] == "tables":
        for page in tables.PAGES:
            write_file(page, tables.with_tables(page.read_text(encoding="utf-8")))
        return
    verb = options.pop("verb")
    benchmark = import_module(f".{verb}", __package__)
    path = options.pop("json") or RESULTS / f"{options.get('table', verb)}.json"
    if {"text", "votes"} & options.keys():  # it reads what stands there already
        options["json_path"] = path
    results = benchmark.measure(**options)
    results = {"machine": machine(), **results}
    write_json(path, results)
    getattr(benchmark, "plot", plot)(results, path.with_suffix(".png"))
    for name, figure in results["figures"].items():
        print(f"{name:60} {figure:8.3f}")
