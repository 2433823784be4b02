"""What the pages promise: they are short, what they point to exists, and the newcomer knows every block."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from char_lstm.tokenization_char_lstm import fold
from tests import newcomer
from tests.conftest import ROOT

README, DOCS = ROOT / "README.md", sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *DOCS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]
HOOKS, WORKFLOW = ROOT / ".pre-commit-config.yaml", ROOT / ".github" / "workflows" / "ci.yml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMED = [*(ROOT / "docs").glob("packaging*.md"), ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]  # they name tests
OF_THE_REPOSITORY = r"(?:modeling|scripts|space|tests|docs|\.github|\.ci)/[\w./-]+"
OF_A_READER = ("modeling/pretrained/mine",)  # paths that a reader makes

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return newcomer.FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_one_page_and_every_other_two_at_most():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150
    for page in DOCS:
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 200, page.name


@by_name
def test_no_line_but_a_tables_row_is_wider_than_120_columns(page):
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    assert not [number for number, line in lines if len(line) > 120 and not line.startswith("|")]


@by_name
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_path_of_the_repository_that_is_named_exists(page):
    """The changelog tells of what has gone too."""
    named = re.findall(rf"`({OF_THE_REPOSITORY})`", prose(page))
    commands = "\n".join(block.text for block in newcomer.blocks(page.read_text(encoding="utf-8")))
    if page.name != "CONTRIBUTING.md":  # its sketches name files to be written
        named += re.findall(rf"(?<![\w/.]){OF_THE_REPOSITORY}", commands)
    for path in named:
        if "NAME" not in path and not path.startswith(OF_A_READER):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", NAMED, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page):
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    there = set(re.findall(r"def (test_\w+)\(", sources))
    named = set(re.findall(r"`(test_\w+)`", prose(page)))
    assert named or page.name == "CONTRIBUTING.md"
    assert not named - there


def test_every_page_of_the_docs_is_linked_from_the_readme_and_read_by_the_newcomer():
    linked = re.findall(r"\]\((docs/[\w-]+\.md)", prose(README))
    pages = {f"docs/{page.name}" for page in DOCS}
    assert set(linked) == pages
    assert set(newcomer.PAGES) == {"README.md"} | pages
    assert len(newcomer.PAGES) == len(set(newcomer.PAGES))


@by_name
def test_the_newcomer_knows_every_blocks_language_and_every_mark(page):
    text = page.read_text(encoding="utf-8")
    found = list(newcomer.blocks(text))
    assert {block.language for block in found} <= {*newcomer.RUN, *newcomer.SHOWN}
    assert 2 * len(found) == len(re.findall(r"^ *```", text, re.MULTILINE)), "a block that is not closed"
    marked = [block for block in found if block.needs or block.short or block.fresh]
    assert len(marked) == len(re.findall(r"^<!-- (?:needs|short|in)\b", text, re.MULTILINE)), "a mark above no block"
    for block in marked:
        if block.short:
            assert any(block.shortened(command) != command for command in block.commands()), block.short


def test_a_mark_leaves_out_or_shortens_the_block_below_it_alone():
    page = (
        "<!-- needs: a GPU -->\n```bash\none\n```\n\n```bash\ntwo a \\\n    b  # why\n```\n"
        "<!-- short two b: --less 1 -->\n```bash\ntwo b\nthree\n```\n"
    )
    first, second, third = newcomer.blocks(page)
    assert (first.needs, second.needs, third.needs) == ("a GPU", None, None)
    assert second.commands() == ["two a      b"]
    assert [third.shortened(command) for command in third.commands()] == ["two b --less 1", "three"]


def test_the_examples_of_what_is_normalised_away_are_what_the_normaliser_does():
    page = (ROOT / "docs" / "languages.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| (`[^|]*?) \|", page, re.MULTILINE)
    assert len(rows) >= 10
    for written, read in rows:
        text = " ".join(re.findall(r"`([^`]+)`", written))
        expected = " ".join(re.findall(r"`([^`]+)`|newline", read.replace("newline", "`\n`"))).replace(" \n", "\n")
        assert fold(text).lstrip(" ") == expected.replace("\n ", "\n"), written


def test_the_citation_is_of_this_version_and_these_authors():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= citation.keys()
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert all(author["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8") for author in citation["authors"])


def test_the_changelog_begins_with_what_is_unreleased_and_this_version():
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[:2] == ["Unreleased", PROJECT["version"]]


@by_name
def test_a_wheel_that_is_named_is_that_of_this_version(page):
    for version in re.findall(r"char_lstm-([\d.]+)-py3-none-any\.whl", page.read_text(encoding="utf-8")):
        assert version == PROJECT["version"]


def test_every_target_that_a_page_calls_is_the_makefiles():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    texts = [prose(page) for page in PAGES] + [path.read_text(encoding="utf-8") for path in (HOOKS, WORKFLOW)]
    commands = [c for page in PAGES for b in newcomer.blocks(page.read_text(encoding="utf-8")) for c in b.commands()]
    called = {name for text in texts for name in re.findall(r"(?:`|run: |entry: )make ([a-z]+)", text)}
    called |= {name for command in commands for name in re.findall(r"^make ([a-z]+)", command)}
    assert {"generate", "test", "lint", "train"} <= called <= targets


def test_hooks_and_workflow_call_the_makefile_alone():
    hooks = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    entries += [step["run"] for step in steps if "run" in step]
    assert entries
    assert all(re.fullmatch(r"make [a-z]+", entry) for entry in entries)
    assert all(re.search(r"@v\d", step["uses"]) for step in steps if "uses" in step)
