"""One screen a function, one subject a file, one name a verb: what keeps the house readable."""

import ast
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "modeling" / "char_lstm"
PRODUCT = sorted(
    path
    for folder in (PACKAGE, ROOT / "scripts", ROOT / "space")
    for path in folder.rglob("*")
    if path.suffix in (".py", ".js", ".css", ".html") and path.is_file()
)
PYTHON = [path for path in PRODUCT if path.suffix == ".py"]
LONGEST_FILE, LONGEST_FUNCTION, LARGEST_PRODUCT = 350, 50, 12_300  # lines
PAGES = {ROOT / "README.md": 150} | dict.fromkeys(sorted((ROOT / "docs").glob("*.md")), 200)
SAME_PROMISE = {  # names that several functions share, as they promise the same of different things
    "main": "runs a verb, or the command",
    "nats_per_char": "what a text's characters cost on average, under n-gram models or an exported step",
    "score_carried": "what each character of a text costs, by a decoder or by a torch model",
    "score_reset": "the same of rows that each start afresh",
    "read_command": "the settings that a verb's command line asks for",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_of(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_no_file_is_longer_than_a_subject(path):
    assert lines_of(path) <= LONGEST_FILE


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_no_function_is_longer_than_a_screen(path):
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, functions)]
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in found}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_the_whole_product_can_be_read_in_a_day():
    assert sum(map(lines_of, PYTHON)) <= LARGEST_PRODUCT


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_page_is_short(path):
    assert lines_of(path) <= PAGES[path]


def test_the_code_in_a_pretrained_folder_is_links_in_the_repository_too():
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    listed = subprocess.run(
        ["git", "ls-files", "--stage", "modeling/pretrained/*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modes = {line.split("\t")[1]: line.split()[0] for line in listed.stdout.splitlines()}
    assert modes
    assert {name for name, mode in modes.items() if mode != "120000"} == set()


def test_a_verb_names_one_function():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1 and name not in SAME_PROMISE} == {}
    assert [name for name in SAME_PROMISE if len(places[name]) < 2] == []
