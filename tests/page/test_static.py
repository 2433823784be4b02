"""The page that needs no server: what is written, and what is left alone. How it works is tested in tests/browser."""

import gzip
import json
import re
import tomllib
from fnmatch import fnmatch

import pytest

from char_lstm.cli import run
from char_lstm.files import write_file
from char_lstm.page import IMPORT, modules_of, part
from char_lstm.page.static import make_page
from tests.conftest import ROOT

PAGE = ROOT / "modeling" / "char_lstm" / "page"


@pytest.fixture
def checkpoint(saved):
    """A tiny model whose name would be a tag."""
    return saved.rename(saved.with_name("<u>tiny & co"))


def said_on(index) -> dict:
    """What index.html tells its scripts."""
    return json.loads(re.search(r'id="page">(.*?)</script>', index.read_text(encoding="utf-8"))[1])


def refusal(capsys, *argv) -> str:
    with pytest.raises(SystemExit) as ended:
        run("page", list(map(str, argv)))
    assert ended.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


def test_the_folder_holds_the_page_the_modules_and_the_models_own_files(checkpoint, tmp_path):
    run("page", ["--model", str(checkpoint), "--output", str(tmp_path / "page")])
    modules = {f"{name}.js" for name in modules_of("app", "worker", "checking", "learning")}
    files = {path.name for path in (tmp_path / "page").iterdir()}
    assert files == {"index.html", "page.css", ".nojekyll", "tokenizer.json", "model.safetensors"} | modules
    for name in ("tokenizer.json", "model.safetensors"):
        assert (tmp_path / "page" / name).read_bytes() == (checkpoint / name).read_bytes()
    for module in modules:
        imported = re.findall(r'from "\./([\w.]+)"', (tmp_path / "page" / module).read_text(encoding="utf-8"))
        assert set(imported) <= modules


def test_a_single_file_holds_everything_and_asks_for_nothing(checkpoint, tmp_path):
    make_page(checkpoint, tmp_path / "mine.html", single_file=True)
    make_page(checkpoint, tmp_path / "folder", single_file=True)
    page = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "folder" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<(?:script|link|img)[^>]* (?:src|href)=|^import |\bexport ", page, re.MULTILINE)
    inside = set(re.findall(r'<script type="text/plain" id="([\w.]+)"', page))
    assert inside == {"model.safetensors", "tokenizer.json", "worker.js", "checking.js", "learning.js"}


@pytest.mark.parametrize("single", [False, True])
def test_a_models_name_opens_no_tag(checkpoint, tmp_path, single):
    make_page(checkpoint, tmp_path / "page", single_file=single)
    assert "<u>" not in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert said_on(tmp_path / "page" / "index.html")["title"] == "<u>tiny & co"


def test_a_packaged_model_has_a_title_in_words_and_its_test_figure(tmp_path):
    make_page("alice_rnn", tmp_path / "page")
    said = said_on(tmp_path / "page" / "index.html")
    assert (said["title"], round(said["nats"], 3)) == ("Alice, one book: with a plain RNN", 1.283)
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "1.283 nats of surprise a character" in page
    assert "is surprised by 3.33" in page


def test_a_page_whose_writing_was_cut_off_is_written_again(checkpoint, tmp_path):
    cut_off = ["--model", str(checkpoint), "--output", str(tmp_path)]
    (tmp_path / ".nojekyll").write_text("")
    (tmp_path / ".unfinished" / "new").mkdir(parents=True)
    run("page", cut_off)
    assert (tmp_path / "index.html").exists()
    (tmp_path / "index.html").rename(tmp_path / "index.html.unfinished")
    run("page", [*cut_off, "--single_file"])
    assert (tmp_path / "index.html").exists()


def test_other_peoples_files_are_never_overwritten(checkpoint, tmp_path, capsys):
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<title>my site</title>")
    (tmp_path / "site.html").write_text("<title>my site</title>")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "letter.txt").write_text("dear")
    model = ("--model", checkpoint, "--output")
    assert "notes is a file" in refusal(capsys, *model, tmp_path / "notes")
    assert "site holds other files" in refusal(capsys, *model, tmp_path / "site")
    assert "papers holds other files" in refusal(capsys, *model, tmp_path / "papers")
    assert "site.html holds other files" in refusal(capsys, *model, tmp_path / "site.html", "--single_file")
    assert "folder.html is a folder" in refusal(capsys, *model, tmp_path / "folder.html", "--single_file")
    assert (tmp_path / "notes").read_text() == "mine"
    assert (tmp_path / "site" / "index.html").read_text() == "<title>my site</title>"


def test_an_older_page_is_made_anew_and_what_was_put_beside_it_stays(checkpoint, tmp_path):
    make_page(checkpoint, tmp_path / "page")
    (tmp_path / "page" / "app.js").write_text("old")
    (tmp_path / "page" / "CNAME").write_text("example.org")
    make_page(checkpoint, tmp_path / "page")
    assert (tmp_path / "page" / "app.js").read_text(encoding="utf-8") == (PAGE / "app.js").read_text(encoding="utf-8")
    assert (tmp_path / "page" / "CNAME").read_text() == "example.org"


def test_a_broken_model_ends_in_one_sentence_and_nothing_is_written(checkpoint, tmp_path, capsys):
    (checkpoint / "model.safetensors").write_bytes(b"broken")
    assert "model.safetensors is broken" in refusal(capsys, "--model", checkpoint, "--output", tmp_path / "page")
    assert "intents" in refusal(capsys, "--model", "intents", "--output", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_a_page_is_there_whole_or_the_older_one_stays(checkpoint, tmp_path, monkeypatch):
    make_page(checkpoint, tmp_path / "page")
    before = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    monkeypatch.setattr("char_lstm.page.static.SEED", 8)  # another text would stand there

    def write(path, content):
        if path.name == "tokenizer.json":
            raise OSError("the disk is full")
        write_file(path, content)

    monkeypatch.setattr("char_lstm.page.static.write_file", write)
    with pytest.raises(OSError, match="full"):
        make_page(checkpoint, tmp_path / "page")
    assert (tmp_path / "page" / "index.html").read_text(encoding="utf-8") == before
    assert not (tmp_path / "page" / ".unfinished").exists()


def test_the_first_load_of_our_own_code_is_at_most_40_kilobytes(checkpoint, tmp_path):
    make_page(checkpoint, tmp_path / "page")
    at_once = {"index.html", "page.css"} | first_modules("app") | first_modules("worker")
    assert not {"learner.js", "novelty.js", "watch.js", "differences.js"} & at_once
    assert sum(len(gzip.compress((tmp_path / "page" / name).read_bytes())) for name in at_once) <= 40_000


def first_modules(name: str) -> set[str]:
    """A module and all that the browser loads with it."""
    return {f"{name}.js"}.union(*(first_modules(needed) for _, needed in IMPORT.findall(part(f"{name}.js"))))


def test_the_wheel_holds_every_part_of_the_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = ["*.py", *project["tool"]["setuptools"]["package-data"]["*"]]
    parts = [path.name for path in PAGE.iterdir() if path.is_file()]
    assert {"index.html", "page.css", "model.js"} <= set(parts)
    assert [name for name in parts if not any(fnmatch(name, pattern) for pattern in patterns)] == []
