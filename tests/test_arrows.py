"""Who may know whom: the house's arrows, read off the imports of every file."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CODE, ROOT

PACKAGE = ROOT / "modeling" / "char_lstm"
LIBRARIES = {"flat", "corpus", "training", "hub", "inspection", "page"}
MAY_KNOW = {  # each part of the house, and the parts that it may import
    "flat": {"flat"},
    "corpus": {"flat", "corpus"},
    "inspection": {"flat", "inspection"},
    "page": {"flat", "inspection", "page"},
    "training": {"flat", "corpus", "training"},
    "hub": LIBRARIES,
    "verbs": LIBRARIES | {"verbs"},
    "cli": {"flat", "verbs"},
    "scripts": {"cli", "verbs", "benchmarks"},
    "benchmarks": LIBRARIES | {"verbs", "benchmarks"},
    "space": {"flat", "inspection", "page", "space"},  # publishing puts no more of the package beside the app
}
FRAMEWORKS = {"torch", "transformers", "tokenizers", "safetensors", "numpy", "huggingface_hub", "filelock"}
HEAVY = {"datasets", "gradio", "yaml", "matplotlib"}  # imported where they are used
PATH_MADE_LONGER = re.compile(r"sys\.path(\.(insert|append|extend)\b|\[.*\]\s*=|\s*\+?=)")

FILES = sorted(path for folder in (PACKAGE, ROOT / "scripts", ROOT / "space") for path in folder.rglob("*.py"))
FLAT = sorted(path for path in PACKAGE.glob("*.py") if path.name != "cli.py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of(module: str) -> str | None:
    """The part of the house that a module belongs to; None for other people's."""
    first, second, *_ = [*module.split("."), "", ""]
    if (first, second) == ("scripts", "benchmarks"):
        return "benchmarks"
    if first != "char_lstm":
        return first if first in (*MAY_KNOW, "tests") else None
    return second if second in MAY_KNOW and (second == "cli" or (PACKAGE / second).is_dir()) else "flat"


def module_of(path: Path) -> str:
    base = PACKAGE.parent if path.is_relative_to(PACKAGE) else ROOT
    return ".".join(path.relative_to(base).with_suffix("").parts)


def imported(source: str, module: str) -> Iterator[str]:
    """Everything that a file imports, anywhere in it, by its whole name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = [*package, *filter(None, [node.module])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def forbidden(source: str, module: str) -> list[str]:
    """What a file imports and may not."""
    own, is_ours = part_of(module), module.startswith("char_lstm.")
    found = []
    for name in imported(source, module):
        part, first = part_of(name), name.split(".")[0]
        if part is None:
            is_strange = own == "flat" and first not in FRAMEWORKS | set(sys.stdlib_module_names)
            found += [name] if is_strange or (is_ours and first == "gradio") else []
        elif part not in MAY_KNOW[own]:
            found.append(name)
    return found


def strange_to_travel(source: str) -> list[str]:
    """Imports that the Hub, which brings a model's files alone, would not follow."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("char_lstm")):
            by_name = node.level == 1 and f"{node.module}.py" in CODE and node.names[0].name != "*"
            found += [] if by_name else [ast.unparse(node)]
        elif isinstance(node, ast.Import):
            found += [ast.unparse(node) for alias in node.names if alias.name.split(".")[0] == "char_lstm"]
    return found


def run(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("char_lstm.loading", "from .corpus.text import clean_blocks", ["char_lstm.corpus.text.clean_blocks"]),
        ("char_lstm.loading", "def f():\n    import datasets", ["datasets"]),
        ("char_lstm.loading", "import json\nimport torch\nfrom .novelty import GRAM", []),
        ("char_lstm.training.run", "from ..hub import publish", ["char_lstm.hub.publish"]),
        ("char_lstm.training.readings.base", "from ...corpus.build import load_corpus\nimport yaml", []),
        ("char_lstm.hub.checks", "from .. import cli\nimport gradio", ["char_lstm.cli", "gradio"]),
        (
            "char_lstm.corpus.build",
            "from scripts import train\nimport tests.conftest",
            ["scripts.train", "tests.conftest"],
        ),
        ("scripts.train", "from char_lstm.training.run import train", ["char_lstm.training.run.train"]),
        ("scripts.benchmarks.scale", "from .training import measure\nfrom char_lstm.training import run", []),
        ("space.app", "from scripts.benchmarks import serving\nimport gradio", ["scripts.benchmarks.serving"]),
        ("space.app", "from char_lstm.corpus.text import clean_blocks", ["char_lstm.corpus.text.clean_blocks"]),
    ],
)
def test_a_forbidden_import_is_recognised(module, source, found):
    assert forbidden(source, module) == found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_knows_those_alone_that_the_design_lets_it_know(path):
    assert forbidden(path.read_text(encoding="utf-8"), module_of(path)) == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_import_of_our_own_leads_to_a_file(path):
    """Inside a function too, where a wrong one would wait for whoever calls it."""
    names = {".".join(name.split(".")[:-1]) for name in imported(path.read_text(encoding="utf-8"), module_of(path))}
    ours = {name.replace(".", "/") for name in names if name.split(".")[0] in ("char_lstm", "scripts", "space")}
    roots = (PACKAGE.parent, ROOT)
    assert [
        name for name in ours if not any((root / f"{name}.py").exists() or (root / name).is_dir() for root in roots)
    ] == []


@pytest.mark.parametrize(
    "source",
    [
        "from . import novelty",
        "from .novelty import GRAM",
        "import char_lstm",
        "from char_lstm.state_char_lstm import x",
        "from .state_char_lstm import *",
        "def f():\n    from .corpus.text import x",
    ],
)
def test_an_import_that_cannot_travel_is_recognised(source):
    assert strange_to_travel(source)


@pytest.mark.parametrize("name", CODE)
def test_what_travels_imports_its_siblings_by_their_files_and_names(name):
    assert strange_to_travel((PACKAGE / name).read_text(encoding="utf-8")) == []


def test_importing_the_package_brings_nothing_heavy():
    assert run(f"import sys, char_lstm; print(*{HEAVY | FRAMEWORKS!r} & sys.modules.keys())") == ""


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "AutoModel", "Trainer"])
def test_the_library_is_imported_as_ever_after_the_package(name):
    assert run(f"import char_lstm; from transformers import {name}; print({name}.__name__)") == name


def test_importing_a_flat_file_brings_nothing_heavy_that_the_frameworks_did_not_bring():
    lines = ["import importlib, sys", f"heavy = {HEAVY!r}"]
    for path in FLAT:
        frameworks = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        ]
        lines += [ast.unparse(node) for node in frameworks] + ["before = heavy & sys.modules.keys()"]
        lines += [f"importlib.import_module({module_of(path)!r})"]
        lines += [f"print(*({path.name!r} + ': ' + name for name in (heavy & sys.modules.keys()) - before))"]
    assert run("\n".join(lines)) == ""


@pytest.mark.parametrize(
    "source", ["sys.path.insert(0, x)", "sys.path[:0] = [x]", "sys.path += x", "sys.path.append(x)"]
)
def test_a_longer_path_is_recognised(source):
    assert PATH_MADE_LONGER.search(source)


def test_no_file_makes_the_path_of_imports_longer():
    """A module is found because it is installed, or lies beside what is run; else PYTHONPATH says where."""
    paths = [*FILES, *(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))]
    assert [name_of(path) for path in paths if PATH_MADE_LONGER.search(path.read_text(encoding="utf-8"))] == []
