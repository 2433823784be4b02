"""Breaks the code in known ways and checks that the tests notice: `python tests/mutations/run.py [WORDS ...]`.

Each mutation is applied to a copy of the tree, in which its tests must fail. Exit code 0 if all were noticed. With
words, only those mutations that have one of them in their name, their place or their tests.
"""

import contextlib
import importlib
import io
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from mutation import ROOT, Mutation
from subjects import MUTATIONS

HEAVY_MODULES = ("torch", "transformers.pipelines", "transformers.generation.utils", "transformers.trainer", "datasets")
WORKERS = 2


def copy_tree(folder: Path):
    """Copies what belongs to the repository, committed or not, into an empty folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        if os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)


def run_tests(tests: list[str], mutation: Mutation | None) -> tuple[bool, str]:
    """Whether tests pass in a copy of the tree, with the mutation if there is one, and what pytest printed.

    Called in a process of its own, which has not imported our package yet.
    """
    multiprocessing.current_process()._config["daemon"] = False  # some tests start processes, and a daemon must not
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()) as output:
        folder = Path(name).resolve()
        copy_tree(folder)
        if mutation:
            (folder / mutation.file).write_text(mutation.broken(), encoding="utf-8")
        os.chdir(folder)
        os.environ["PYTHONPATH"] = str(folder / "modeling")  # for the processes that tests start
        outcome = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-o", "pythonpath=. modeling", *tests])
        os.chdir(ROOT)
    if outcome not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"{' '.join(tests)} could not run\n{output.getvalue()}")
    if "char_lstm" in sys.modules and not Path(sys.modules["char_lstm"].__file__).is_relative_to(folder):
        raise RuntimeError(f"{' '.join(tests)} imported {sys.modules['char_lstm'].__file__}, not the copy in {folder}")
    return outcome == pytest.ExitCode.OK, output.getvalue()


def main(words: list[str]):
    mutations = [one for one in MUTATIONS if not words or any(word in " ".join(one) for word in words)]
    for mutation in mutations:
        mutation.broken()
    for module in HEAVY_MODULES:  # imported once: the processes below are forks of this one
        importlib.import_module(module)

    survived = 0
    with multiprocessing.get_context("fork").Pool(WORKERS, maxtasksperchild=1) as pool:
        green, output = pool.apply(run_tests, [sorted({mutation.tests for mutation in mutations}), None])
        if not green:
            sys.exit(f"the tests fail before anything is broken\n{output}")
        results = [pool.apply_async(run_tests, ([mutation.tests], mutation)) for mutation in mutations]
        for mutation, result in zip(mutations, results, strict=True):
            passed, _ = result.get()
            survived += passed
            print(f"{'SURVIVED' if passed else 'noticed '}  {mutation.name}", flush=True)
    print(f"{len(mutations) - survived} noticed, {survived} survived")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
