"""The commands that are tried: what they read, the older result in their place, and the new one."""

import contextlib
import io
import shutil
from pathlib import Path
from typing import NamedTuple

from char_lstm import cli

STORY = "".join(
    f"The {who} came to the {where}. It {did} and was {felt}.\n"
    for who in ("keeper", "sailor", "child")
    for where in ("lighthouse", "harbour")
    for did in ("waited there", "looked around")
    for felt in ("content", "cold")
)
PHRASINGS = "text,intent\n" + "".join(
    f"{text},{intent}\n"
    for text, intent in [
        *((text, "time") for text in ("what time is it", "tell me the time", "is it late", "what hour is it")),
        *((text, "greet") for text in ("hello", "good morning", "hello to you", "how are you")),
    ]
)
QUIET = ("--disable_tqdm", "true", "--use_cpu", "true", "--report_to", "none")
SMALL = ("--hidden_size", "8", "--per_device_train_batch_size", "16", *QUIET)


class Trial(NamedTuple):
    """A command, its older result (made by other arguments), and what of its results it writes."""

    verb: str
    argv: list[str]
    older: list[str] | None


def trials(inputs: Path, place: Path) -> dict[str, Trial]:
    """Every verb that writes; the results go into `place`."""
    corpus, run, other = f"{inputs}/corpus", f"{inputs}/run", f"{inputs}/other_run"

    def build(text: str) -> list[str]:
        return ["--text", f"{inputs}/{text}.txt", "--output_dir", f"{place}/corpus"]

    def package(run: str) -> list[str]:
        return ["--run", run, "--dataset", corpus, "--output_dir", f"{place}/packaged", "--weights_dtype", "float16"]

    def export(model: str) -> list[str]:
        return ["--model", model, "--output_dir", f"{place}/onnx", "--json", f"{place}/figures.json"]

    def page(model: str, *more: str) -> list[str]:
        return ["--model", model, "--output", f"{place}/page", *more]

    def classify(epochs: int) -> list[str]:
        files = ["--train_file", f"{inputs}/phrasings.csv", "--test_file", f"{inputs}/phrasings.csv"]
        results = ["--output_dir", f"{place}/classifier", "--json", f"{place}/figures.json"]
        return ["train", *files, *results, "--num_train_epochs", str(epochs), *SMALL[:-2]]

    train = ["--dataset", corpus, "--output_dir", f"{place}/run", "--num_train_epochs", "2", *SMALL]

    def publish(model: str) -> list[str]:
        sources = ["--model", f"{inputs}/{model}", "--dataset", f"{inputs}/corpus"]
        return [*sources, "--repo_id", "user/model", "--dataset_repo_id", "user/text", "--static_space_id", "user/page"]

    return {
        "build": Trial("build", build("story"), build("older")),
        "build of items": Trial("build", [*build("story"), "--sequence", "item"], build("older")),
        "train": Trial("train", train, None),
        "package": Trial("package", package(run), package(other)),
        "publish": Trial("publish", publish("packaged"), publish("other_packaged")),
        "export": Trial("export", export(run), export(other)),
        "page": Trial("page", page(run), page(other)),
        "first page": Trial("page", page(run), None),
        "page in one file": Trial("page", page(run, "--single_file"), page(other, "--single_file")),
        "classify": Trial("classify", classify(2), classify(1)),
        "evaluate": Trial("evaluate", ["--model", run, "--dataset", corpus, "--json", f"{place}/figures.json"], None),
    }


def make_inputs(inputs: Path) -> None:
    """What the commands read: a text, its corpus, two runs, a packaged model, phrasings."""
    (inputs / "story.txt").write_text(STORY)
    (inputs / "older.txt").write_text("One lamp. Two ships. Three rocks.")
    (inputs / "phrasings.csv").write_text(PHRASINGS)
    corpus = f"{inputs}/corpus"
    with contextlib.redirect_stdout(io.StringIO()):
        cli.run("build", ["--text", f"{inputs}/story.txt", "--output_dir", corpus])
        for name, epochs in (("run", "2"), ("other_run", "1")):
            folder = f"{inputs}/{name}"
            cli.run("train", ["--dataset", corpus, "--output_dir", folder, "--num_train_epochs", epochs, *SMALL])
            cli.run("evaluate", ["--model", folder, "--dataset", corpus, "--json", f"{folder}/evaluation.json"])
            packaged = f"{inputs}/{name.replace('run', 'packaged')}"
            cli.run("package", ["--run", folder, "--dataset", corpus, "--output_dir", packaged])
    for checkpoint in inputs.glob("*/checkpoint-*"):
        shutil.rmtree(checkpoint)
