"""Breaks the code in known ways and checks that the tests notice: `python tests/mutations/run.py`.

Each mutation is applied to a fresh copy of the tree, in which its tests must fail. Exit code 0 if all were noticed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("modeling", "scripts", "tests", "pyproject.toml")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
WORKERS = 2
PYTEST_PASSED, PYTEST_FAILED = 0, 1  # its other exit codes: no test found, not importable, wrong usage


def copy_tree(folder: Path):
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=NOT_COPIED)
        elif source.exists():
            shutil.copy(source, folder / name)


def mutated(mutation: Mutation) -> str:
    """The text of the broken file. Raises SystemExit where the mutation no longer fits the code."""
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    if (count := text.count(mutation.old)) != 1:
        raise SystemExit(f"{mutation.name}: its text stands {count} times in {mutation.file}, not once")
    text = text.replace(mutation.old, mutation.new)
    compile(text, mutation.file, "exec")  # a file that cannot run would fail every test
    return text


def run_tests(folder: Path, tests: list[str]) -> subprocess.CompletedProcess:
    """Runs tests in a copy of the tree, with that copy's package."""
    environment = os.environ | {"PYTHONPATH": str(folder / "modeling"), "OMP_NUM_THREADS": "1"}
    where = [sys.executable, "-c", "import char_lstm; print(char_lstm.__file__)"]
    package = subprocess.run(where, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    if not Path(package.strip()).is_relative_to(folder):
        raise SystemExit(f"the tests would import {package.strip()}, not the copy in {folder}")
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(pytest, cwd=folder, env=environment, capture_output=True, text=True)


def notices(mutation: Mutation) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        copy_tree(folder)
        (folder / mutation.file).write_text(mutated(mutation), encoding="utf-8")
        result = run_tests(folder, [mutation.tests])
    if result.returncode not in (PYTEST_PASSED, PYTEST_FAILED):
        raise SystemExit(f"{mutation.name}: its tests could not run\n{result.stdout}{result.stderr}")
    return result.returncode == PYTEST_FAILED


def main():
    for mutation in MUTATIONS:
        mutated(mutation)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        copy_tree(folder)
        whole = run_tests(folder, sorted({mutation.tests for mutation in MUTATIONS}))
    if whole.returncode != PYTEST_PASSED:
        raise SystemExit(f"the tests fail before anything is broken\n{whole.stdout}{whole.stderr}")

    survived = 0
    with ThreadPoolExecutor(WORKERS) as workers:
        for mutation, noticed in zip(MUTATIONS, workers.map(notices, MUTATIONS), strict=True):
            survived += not noticed
            print(f"{'noticed ' if noticed else 'SURVIVED'}  {mutation.name}", flush=True)
    print(f"{len(MUTATIONS) - survived} noticed, {survived} survived")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
