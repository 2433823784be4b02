"""Breaks the code in known ways and checks that the tests notice: `python tests/mutations/run.py`.

Each mutation is applied to a copy of the tree, in which its tests must fail. Exit code 0 if all were noticed.
"""

import contextlib
import importlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("modeling", "scripts", "space", "tests", "pyproject.toml")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
HEAVY_MODULES = ("torch", "transformers.pipelines", "transformers.generation.utils", "transformers.trainer", "datasets")
WORKERS = 2


def copy_tree(folder: Path):
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=NOT_COPIED)
        else:
            shutil.copy(ROOT / name, folder / name)


def mutated(mutation: Mutation) -> str:
    """The text of the broken file. Raises ValueError where the mutation no longer fits the code."""
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    if (count := text.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.name}: its old text stands {count} times in {mutation.file}, not once")
    text = text.replace(mutation.old, mutation.new)
    if mutation.file.endswith(".py"):
        compile(text, mutation.file, "exec")  # a file that cannot run would fail every test
    return text


def run_tests(tests: list[str], mutation: Mutation | None) -> tuple[bool, str]:
    """Whether tests pass in a copy of the tree, with the mutation if there is one, and what pytest printed.

    Called in a process of its own, which has not imported our package yet.
    """
    multiprocessing.current_process()._config["daemon"] = False  # some tests start processes, and a daemon must not
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()) as output:
        folder = Path(name).resolve()
        copy_tree(folder)
        if mutation:
            (folder / mutation.file).write_text(mutated(mutation), encoding="utf-8")
        os.chdir(folder)
        sys.path[:0] = [str(folder), str(folder / "modeling")]
        os.environ["PYTHONPATH"] = str(folder / "modeling")  # for the processes that tests start
        package = importlib.import_module("char_lstm").__file__
        if not Path(package).is_relative_to(folder):
            raise RuntimeError(f"the tests would import {package}, not the copy in {folder}")
        outcome = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
        os.chdir(ROOT)
    if outcome not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"{' '.join(tests)} could not run\n{output.getvalue()}")
    return outcome == pytest.ExitCode.OK, output.getvalue()


def main():
    for mutation in MUTATIONS:
        mutated(mutation)
    for module in HEAVY_MODULES:  # imported once: the processes below are forks of this one
        importlib.import_module(module)

    survived = 0
    with multiprocessing.get_context("fork").Pool(WORKERS, maxtasksperchild=1) as pool:
        green, output = pool.apply(run_tests, [sorted({mutation.tests for mutation in MUTATIONS}), None])
        if not green:
            sys.exit(f"the tests fail before anything is broken\n{output}")
        results = [pool.apply_async(run_tests, ([mutation.tests], mutation)) for mutation in MUTATIONS]
        for mutation, result in zip(MUTATIONS, results, strict=True):
            passed, _ = result.get()
            survived += passed
            print(f"{'SURVIVED' if passed else 'noticed '}  {mutation.name}", flush=True)
    print(f"{len(MUTATIONS) - survived} noticed, {survived} survived")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
