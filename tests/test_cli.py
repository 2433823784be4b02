"""The command `char-lstm`: a table of verbs that imports nothing, help that opens at once, one way to end."""

import importlib
import json
import re
import subprocess
import sys

import pytest

from char_lstm import cli
from char_lstm.errors import PublishError
from char_lstm.verbs import VERBS
from tests.conftest import ROOT

HEAVY = {"torch", "transformers", "datasets", "numpy", "yaml", "matplotlib", "huggingface_hub"}
LIGHT_VERBS = [verb for verb in VERBS if verb not in ("generate", "benchmark")]  # the first runs without torch anyway


def run_and_list_imports(*command: str) -> tuple[str, set[str]]:
    """What a command line prints, and which heavy libraries it has imported by its end."""
    script = f"""
import atexit, json, sys
sys.argv = {["char-lstm", *command]!r}
atexit.register(lambda: print(json.dumps(sorted({HEAVY!r} & sys.modules.keys())), file=sys.stderr))
from char_lstm.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


def test_the_table_names_every_verb_and_imports_nothing():
    shown, imported = run_and_list_imports("--help")
    assert imported == set()
    for verb, summary in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(summary)}$", shown, re.MULTILINE)


@pytest.mark.parametrize("command", [*([verb] for verb in LIGHT_VERBS), ["classify", "train"]], ids=" ".join)
def test_the_help_of_a_verb_imports_nothing_heavy_and_keeps_the_lines_of_its_examples(command):
    shown, imported = run_and_list_imports(*command, "--help")
    assert imported == set()
    examples = re.findall(r"^    char-lstm .*$", importlib.import_module(f"char_lstm.verbs.{command[0]}").__doc__, re.M)
    assert examples
    assert all(f"{example}\n" in shown for example in examples)


def test_the_help_of_training_shows_our_settings_in_groups_with_their_defaults_and_names_the_rest():
    shown, _ = run_and_list_imports("train", "--help")
    titles = ["the text:", "the model:", "how the text is read", "what is learnt:", "the run:"]
    assert [shown.index(title) for title in titles] == sorted(shown.index(title) for title in titles)
    assert "(default: 256)" in shown
    assert "--help_all" in shown
    assert "--dataloader_num_workers" not in shown


def test_help_all_shows_the_librarys_fields_too(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run("train", ["--help_all"])
    assert stop.value.code == 0
    assert {"--dataloader_num_workers", "--hidden_size"} < set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (PublishError("try again", status=1), 1, "char-lstm generate: try again"),
        (ValueError("too many"), 2, "char-lstm generate: too many"),
        (OSError("no room"), 2, "char-lstm generate: no room"),
        (ModuleNotFoundError("No module", name="datasets"), 2, "char-lstm generate: datasets is not installed"),
        (ValueError("Caught ValueError in worker 0.\nTraceback ...\nValueError: odd"), 2, "char-lstm generate: odd"),
        (KeyboardInterrupt(), 130, "char-lstm generate: interrupted"),
    ],
)
def test_an_error_that_people_can_mend_ends_every_verb_in_one_sentence(monkeypatch, capsys, error, status, words):
    def fail(argv):
        raise error

    monkeypatch.setattr("char_lstm.verbs.generate.main", fail)
    with pytest.raises(SystemExit) as stop:
        cli.run("generate", [])
    assert stop.value.code == status
    assert capsys.readouterr().err.splitlines()[-1].startswith(words)


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("char_lstm.verbs.generate.main", lambda argv: [][1])
    with pytest.raises(IndexError):
        cli.run("generate", [])


def test_a_reader_that_has_enough_ends_it_in_silence(monkeypatch, capsys):
    def broken(argv):
        raise BrokenPipeError

    monkeypatch.setattr("char_lstm.verbs.generate.main", broken)
    monkeypatch.setattr("sys.stderr.close", lambda: None, raising=False)
    cli.run("generate", [])
    assert capsys.readouterr().err == ""
