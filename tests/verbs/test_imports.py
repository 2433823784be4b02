"""What a verb imports before it begins: only what it truly needs."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

WATCHED = ("torch", "transformers", "datasets", "sklearn", "accelerate", "matplotlib")
RUN = (
    "import sys; from char_lstm import cli; verb, *argv = sys.argv[1:]; cli.run(verb, argv);"
    f"print(*sorted(set({WATCHED}) & set(sys.modules)), file=sys.stderr)"
)


@pytest.mark.parametrize(
    ("verb", "needs"),
    [
        ("generate --model {model}", ""),
        ("generate --model {model} --num_return_sequences 3 --json", ""),
        ("evaluate --model {model} --dataset {corpus}", "datasets"),
        ("evaluate --model {model} --dataset {corpus} --adapt", "datasets"),
        ("classify predict what", ""),
        ("classify predict what --trace", ""),
        ("build --text {story} --output_dir {output}", "datasets transformers"),
    ],
)
def test_a_verb_imports_no_more_than_it_needs(verb, needs, saved, corpus, tmp_path):
    story = ROOT / "tests" / "data" / "lighthouse.txt"
    words = verb.format(model=saved, corpus=corpus, story=story, output=tmp_path / "output").split()
    done = subprocess.run([sys.executable, "-c", RUN, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == needs
