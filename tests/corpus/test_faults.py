"""Texts that other character models were reported to fail on, each in small, and what becomes of it here."""

import gzip
import io
import os
import subprocess
import sys
import textwrap
import zipfile

import pytest
from datasets import load_from_disk

from char_lstm import cli
from char_lstm.corpus.build import build_corpus
from char_lstm.corpus.sources import read_documents, read_items
from char_lstm.corpus.text import clean
from char_lstm.errors import CorpusError
from tests.conftest import ROOT

PROSE = (
    "The keeper lit the lamp and went down to the shore. Nobody had come, and the boat lay where it had been left. "
    "He waited for a while; then he walked back up the stairs, and slept."
)
CODE = "".join(
    f"def area_{n}(first_side, second_side):\n    area_of_both = first_side * second_side + {n}\n" for n in range(30)
)
DATA = {
    "code": CODE,
    "molecules": "".join(f"c1ccccc1C{'C(=O)N' * 6}CC1CCNCC1{'F' * (n % 4)}\n" for n in range(30)),
    "levels": "".join("+" * n + "#" + "+" * (59 - n) + "\n" for n in range(30)),
    "sensor": "".join(f"000{n};2021-03-{n};station E; 2.{n}99; 41.{n};OK\n" for n in range(10, 40)),
    "verse": "Of all the ships that sailed upon the sea.\nThe last was hers, and never came to me.\n" * 9,
    "sentences": "Once there was an old man with a very old wife. The end.\n" * 20,
}
KEPT = {"keep_punctuation": True, "keep_case": True}


def rows_of(corpus) -> str:
    return "".join(row for split in corpus.values() for row in split["text"])


def text_of(source, **options) -> str:
    return "".join(line for document in read_documents(source, **options) for line in document.lines)


# Lines


@pytest.mark.parametrize("kind", DATA)
def test_data_code_and_verse_keep_their_lines_and_their_indentation(tmp_path, kind):
    (tmp_path / "text").write_text(DATA[kind])
    assert rows_of(build_corpus(tmp_path / "corpus", text=tmp_path / "text", **KEPT)) == DATA[kind]


def test_unwrapping_of_prose_is_said_and_can_be_chosen(tmp_path, caplog):
    wrapped = "\n\n".join([textwrap.fill(PROSE, 60)] * 9) + "\n"
    (tmp_path / "text").write_text(wrapped)
    joined = {}
    for unwrap in ("auto", "always", "never"):
        caplog.clear()
        corpus = build_corpus(tmp_path / "corpus", text=tmp_path / "text", unwrap=unwrap, **KEPT)
        joined[unwrap] = rows_of(corpus)
        assert ("at 18 line breaks; char-lstm build --unwrap never keeps them" in caplog.text) == (unwrap != "never")
    assert joined["auto"] == joined["always"] == "\n\n".join([PROSE] * 9) + "\n"
    assert joined["never"] == wrapped
    assert clean(CODE, "always").count("\n") == 1


def test_the_licence_of_each_of_several_books_is_cut_and_counted(tmp_path, caplog):
    book = "The Project Gutenberg eBook of {0}\n\n*** START OF THE PROJECT GUTENBERG EBOOK {0} ***\n\n{1} {0}.\n\n"
    book += "*** END OF THE PROJECT GUTENBERG EBOOK {0} ***\n\nThe licence of {0}.\n\n"
    text = "".join(book.format(name, PROSE) for name in ("One", "Two", "Three"))
    (tmp_path / "text").write_text(text)
    rows = rows_of(build_corpus(tmp_path / "corpus", text=tmp_path / "text", **KEPT))
    assert rows.split() == f"{PROSE} One. {PROSE} Two. {PROSE} Three.".split()
    counted = int(caplog.text.split("left out ")[1].split()[0].replace(",", ""))
    assert counted == pytest.approx(len(text) - len(rows), abs=12)  # white space at the ends of a book


# Encodings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café at Tom’s. He said “well… maybe” and left – quickly. It cost €5.\n" * 5, "cp1252"),
        ("Жили-были старик со старухой. Пошёл дед в лес за дровами. Вот и сказке конец.\n" * 5, "cp1251"),
        ("今天天气很好。我们去公园玩。\n" * 5, "gb18030"),
    ],
)
def test_an_encoding_is_guessed_and_said_and_can_be_overruled(tmp_path, caplog, text, encoding):
    (tmp_path / "text").write_bytes(text.encode(encoding))
    assert text_of(tmp_path / "text") == text
    assert f"text is not UTF-8; read as {encoding}".lower() in caplog.text.lower().replace("windows-", "cp")
    assert text_of(tmp_path / "text", encoding="latin-1") == text.encode(encoding).decode("latin-1")


def test_utf_16_is_read_by_its_mark_and_without_one_by_its_name(tmp_path):
    (tmp_path / "marked").write_text("Zoë\nAnn\n", encoding="utf-16")
    (tmp_path / "bare").write_text("Zoë\nAnn\n", encoding="utf-16-le")
    assert text_of(tmp_path / "marked") == text_of(tmp_path / "bare", encoding="utf-16-le") == "Zoë\nAnn\n"


def test_a_bad_byte_costs_one_character_and_is_named_with_its_line(tmp_path, caplog):
    good = "Le café était fermé, déjà.\n" * 9
    (tmp_path / "text").write_bytes(good.encode() + b"L'\xfft\xe9 arrive.\n" + "A real \ufffd stays.\n".encode())
    assert text_of(tmp_path / "text") == good + "L't arrive.\nA real \ufffd stays.\n"
    assert "left out 2 characters of" in caplog.text
    assert "in line 10" in caplog.text


def zipped(*names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, "text")
    return archive.getvalue()


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (b"%PDF-1.7\n", "pdftotext "),
        (zipped("[Content_Types].xml", "word/document.xml"), "pandoc "),
        (zipped("mimetype", "META-INF/container.xml"), "pandoc "),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "soffice "),
        (b"{\\rtf1 Hello}", "pandoc "),
    ],
)
def test_a_document_of_another_program_is_refused_with_the_command_that_converts_it(tmp_path, content, command):
    (tmp_path / "letter").write_bytes(content)
    with pytest.raises(CorpusError, match=f"not text; convert it: {command}.*letter"):
        text_of(tmp_path / "letter")


# Sources


def test_each_file_of_a_folder_or_a_pattern_is_cleaned_by_itself(tmp_path):
    folder = tmp_path / "books"
    (folder / "more").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "more/c.txt", ".hidden"):
        text = f"Contents\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{PROSE} {name}\nOne.\nTwo.\nThree.\n"
        (folder / name).write_text(f"{text}*** END OF THE PROJECT GUTENBERG EBOOK X ***")
    (folder / "empty.txt").touch()
    expected = [f"{PROSE} {name}\nOne.\nTwo.\nThree.\n" for name in ("a.txt", "b.txt", "more/c.txt")]
    assert rows_of(build_corpus(tmp_path / "corpus", text=folder, **KEPT)) == "".join(expected)
    assert rows_of(build_corpus(tmp_path / "corpus", text=folder / "*.txt", **KEPT)) == "".join(expected[:2])
    assert rows_of(build_corpus(tmp_path / "corpus", text=folder / "**/[bc].txt", **KEPT)) == "".join(expected[1:])
    assert rows_of(build_corpus(tmp_path / "corpus", dataset_name=str(folder / "more"), **KEPT)) == expected[2]


def test_a_stray_table_among_texts_or_text_among_tables_is_left_out_and_named(tmp_path, caplog):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"From {name}\n")
    (folder / "INDEX.tsv").write_text("text\tpages\nFrom the index\t3\n")
    for source in (folder, folder / "*"):
        caplog.clear()
        assert list(read_items(text=source)) == ["From a.txt", "From b.txt"]
        assert caplog.messages == [f"reading 2 texts of {source}, each by itself; left out 1 tables: INDEX.tsv"]
    (folder / "more.csv.gz").write_bytes(gzip.compress(b"text\nFrom a zip\n"))
    with pytest.raises(CorpusError, match=r"holds as many texts as tables, 2; name one kind, as in 'poems/\*\.txt'"):
        list(read_items(text=folder))
    (folder / "rows.jsonl").write_text('{"text": "From a record"}\n')
    assert list(read_items(text=folder)) == ["From the index", "From a zip", "From a record"]
    assert caplog.messages[-1].endswith("left out 2 texts: a.txt, b.txt")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolons.csv", "jsonl", "parquet"])
def test_a_column_of_a_table_is_read_and_every_row_is_a_document(tmp_path, kind, zipped, caplog):
    from datasets import Dataset

    poems = ['One, "two"\nthree\n', "null", "NA", "", "007", "Zoë"]
    table = Dataset.from_dict({"id": list(range(6)), "poem": poems, "sep;": ["x"] * 6})
    path = tmp_path / f"poems.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    elif kind == "jsonl":
        table.to_json(path)
    else:
        columns = ["id", "poem"]
        table.select_columns(columns).to_csv(path, sep={"c": ",", "t": "\t", "s": ";"}[kind[0]])
    if zipped:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_name(f"{path.name}.gz")
    assert list(read_items(text=path, text_column="poem")) == [poem for poem in poems if poem]
    assert "left out 1 rows of" in caplog.text
    with pytest.raises(CorpusError, match=r"has no text column 'text'; it has: .*poem.*Name one with --text_column"):
        list(read_items(text=path))


def test_what_a_table_lacks_or_has_too_much_of_is_said(tmp_path, caplog):
    (tmp_path / "tweets.csv").write_text("id,text\n1,Hello, you\n2\n3,Bye\n")
    assert list(read_items(text=tmp_path / "tweets.csv")) == ["Hello", "Bye"]
    assert "left out 1 rows of" in caplog.text
    assert "left out the last cells of 1 rows of" in caplog.text
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n[1,\n')
    with pytest.raises(CorpusError, match=r"broken\.jsonl is broken"):
        list(read_items(text=tmp_path / "broken.jsonl"))


def test_the_lines_of_a_text_are_items(tmp_path):
    (tmp_path / "names.txt").write_text("Ann\r\nBo\r\nCleopatra")
    assert list(read_items(text=tmp_path / "names.txt")) == ["Ann", "Bo", "Cleopatra"]


def test_standard_input_is_a_source_and_a_terminal_may_lack_its_letters(tmp_path):
    command = [sys.executable, "scripts/build_corpus.py", "--text", "-", "--output_dir", str(tmp_path / "corpus")]
    chat = "".join(f"Ann: see you at {n}! 😂\n" for n in range(30)).encode()
    done = subprocess.run(
        [*command, "--keep_punctuation", "true"],
        input=chat,
        cwd=ROOT,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    assert b"\\U0001f602" in done.stdout
    assert "😂" in rows_of(load_from_disk(tmp_path / "corpus"))


# What would be forgotten


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("code", {}, ["--keep_punctuation"]),
        ("molecules", {}, ["--keep_punctuation", "--keep_case"]),
        ("molecules", {"keep_case": True}, ["--keep_punctuation"]),
        ("molecules", KEPT, []),
        ("verse", {}, []),
    ],
)
def test_what_would_be_forgotten_of_a_notation_is_said(tmp_path, caplog, kind, options, said):
    (tmp_path / "text").write_text(DATA[kind])
    build_corpus(tmp_path / "corpus", text=tmp_path / "text", **options)
    for option in ("--keep_punctuation", "--keep_case"):
        assert (option in caplog.text) == (option in said)
    assert ("for every 100 characters" in caplog.text) == bool(said)


# Runs


def test_more_epochs_on_a_finished_run_are_refused_with_the_way_out(corpus, tmp_path, capsys):
    tiny = ["--hidden_size", "8", "--report_to", "none", "--disable_tqdm", "true", "--use_cpu", "true"]
    arguments = ["--dataset", str(corpus), "--output_dir", str(tmp_path / "run"), *tiny, "--num_train_epochs"]
    cli.run("train", [*arguments, "1"])
    with pytest.raises(SystemExit):
        cli.run("train", [*arguments, "2"])
    assert f"--init_from {tmp_path / 'run'}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail at alloc] DefaultCPUAllocator: can't allocate memory: you")]
)
def test_a_run_out_of_memory_is_one_sentence_with_what_to_lower(corpus, tmp_path, capsys, monkeypatch, error):
    def run_out(*_):
        raise error

    monkeypatch.setattr("char_lstm.training.run.make_model", run_out)
    with pytest.raises(SystemExit) as stop:
        cli.run("train", ["--dataset", str(corpus), "--output_dir", str(tmp_path / "run"), "--report_to", "none"])
    assert stop.value.code == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert "out of memory: lower --per_device_train_batch_size (now 8)" in complaint
    assert "--max_length" in complaint
