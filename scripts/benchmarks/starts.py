"""How soon each verb begins, beside the bare import of what it needs: seconds of the processor, in fresh processes.

A verb whose smallest job is small does it: one character, one request, a split of some sentences. Any other is given
what is not there: what counts is the way to the refusal, when all that the job needs is loaded.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from char_lstm.corpus.build import build_corpus
from char_lstm.paths import CHECKOUT

from .common import in_turn

LIGHT = "import argparse, json, logging, pathlib, numpy, safetensors, tokenizers"
HASHED = f"{LIGHT}, hashlib"
WRITING = f"{HASHED}, numpy.random"
CORPUS = f"{HASHED}, datasets"
BUILDING = f"{CORPUS}; from transformers import HfArgumentParser, PreTrainedTokenizerFast"
HUB = f"{HASHED}; from huggingface_hub import ModelCard"
TORCH = f"{HASHED}, torch; from transformers import GenerationMixin, PreTrainedModel, PreTrainedTokenizerFast"
TRAINER = f"{TORCH}, HfArgumentParser, Trainer, TrainingArguments; import datasets"
STARTS = {  # name: its arguments, and what it needs
    "generate": ("generate --max_new_tokens 1", WRITING),
    "classify predict": ("classify predict time", LIGHT),
    "evaluate": ("evaluate --model alice --dataset {place}/corpus", CORPUS),
    "build": ("build --text {place}/text.txt --output_dir {place}/built", BUILDING),
    "verify": ("verify nowhere", HUB),
    "inspect": ("inspect --text a --model nowhere --output {place}/page.html", TORCH),
    "page": ("page --model nowhere --output {place}/page", TORCH),
    "export": ("export --model nowhere --output_dir {place}/onnx", f"{TORCH}; import onnx, onnxruntime.quantization"),
    "vanishing": ("vanishing --text nowhere", TORCH),
    "train": ("train --config nowhere", TRAINER),
    "classify train": ("classify train --output_dir {place} --train_file nowhere", f"{TRAINER}, sklearn.linear_model"),
    "package": ("package --run nowhere --output_dir {place}/packaged", TRAINER),
    "publish": ("publish --model nowhere --repo_id user/name --dry_run", f"{TORCH}; import datasets"),
}
SOON = ("generate", "classify predict")  # measured ten times as often, for they take a fiftieth of the others' time
TEXT = "The keeper lit the lamp. The sea was dark and the wind was cold. Nobody came. " * 20


def processor_seconds(*arguments: str) -> float:
    """Of a Python that is started with these arguments, with its bytecode there as where a package is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        env=environment | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode != (2 if "nowhere" in arguments else 0):
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-500:]}")
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(repeats: int) -> dict:
    """Seconds of the processor of each verb's start and of its imports, and their ratio."""
    seconds = {}
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "text.txt"
        text.write_text(TEXT, encoding="utf-8")
        build_corpus(Path(place) / "corpus", text=text)
        for name, (arguments, needs) in STARTS.items():
            command = ["-c", "from char_lstm.cli import main; main()", *arguments.format(place=place).split()]
            start = partial(processor_seconds, *command)
            imports = partial(processor_seconds, "-c", needs)
            start(), imports()  # bytecode and the disk's pages are there from now on
            seconds[name] = in_turn(10 * repeats if name in SOON else repeats, start=start, imports=imports)
    figures = {name: taken["start"] / taken["imports"] for name, taken in seconds.items()}
    return {"processor_seconds": seconds, "unit": "ratio", "figures": figures}
