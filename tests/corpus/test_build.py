"""What a corpus promises of its text, whatever the text, and what bad input is told."""

import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from datasets import Dataset, load_from_disk
from transformers import AutoTokenizer

from char_lstm import cli, normalise
from char_lstm.corpus import build, sources
from char_lstm.corpus import text as cleaning
from char_lstm.corpus.build import build_corpus, split_rows
from char_lstm.corpus.sequences import FEATURES, cut_rows
from char_lstm.corpus.sources import read_documents
from char_lstm.corpus.text import Cleaning, clean, cut_blocks
from char_lstm.errors import CorpusError
from tests.conftest import ROOT, STORY

REAL = ROOT.parent / "shared" / "data"
SPLITS = ["train", "validation", "test"]
PROSE = "It was a very quiet evening, and nobody in the whole of the house had anything at all to say. So they slept."


@pytest.fixture(scope="module", params=["sentence", "packed"])
def built(request, tmp_path_factory):
    """A saved corpus of the story, in rows short enough to cut some sentences."""
    folder = tmp_path_factory.mktemp(request.param) / "corpus"
    build_corpus(folder, text=str(STORY), sequence=request.param, max_length=100)
    return folder


def texts(corpus) -> list[str]:
    return [text for name in SPLITS for text in corpus[name]["text"]]


def run(capsys, *arguments) -> str:
    cli.run("build", [str(argument) for argument in arguments])
    return capsys.readouterr().out


def refused(capsys, *arguments) -> str:
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as stop:
        cli.run("build", [str(argument) for argument in arguments])
    output = capsys.readouterr()
    assert stop.value.code == 2
    assert output.out == ""
    (line,) = [line for line in output.err.splitlines() if line.startswith("char-lstm build:")]
    assert output.err.endswith(line + "\n")
    return line


# Rows and splits


def test_the_rows_joined_are_the_normalised_text(built, story):
    tokenizer = AutoTokenizer.from_pretrained(built)
    assert "".join(texts(load_from_disk(built))) == normalise(tokenizer, clean(story))


def test_each_row_is_a_newline_and_its_text_then_masked_padding(built):
    tokenizer = AutoTokenizer.from_pretrained(built)
    for split in load_from_disk(built).values():
        for row in split:
            ids = tokenizer.convert_tokens_to_ids(["\n", *row["text"]])
            padding = 100 - len(ids)
            assert row["input_ids"] == ids + [0] * padding
            assert row["attention_mask"] == [1] * len(ids) + [0] * padding
            assert row["length"] == len(ids)


@pytest.fixture(scope="module")
def unpadded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpadded") / "corpus"
    build_corpus(folder, text=str(STORY), max_length=100, pad_to_max_length=False)
    return folder


def test_rows_without_padding_are_those_with_it_but_for_the_padding(unpadded, tmp_path):
    padded = build_corpus(tmp_path / "padded", text=str(STORY), max_length=100)
    for name, split in load_from_disk(unpadded).items():
        for row, whole in zip(split, padded[name], strict=True):
            assert (row["text"], row["length"]) == (whole["text"], whole["length"])
            assert row["input_ids"] == whole["input_ids"][: row["length"]]
            assert row["attention_mask"] == [1] * row["length"]


def test_a_corpus_without_padding_takes_at_most_eight_times_its_text(unpadded, tmp_path):
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in ("ann", "bo", "cleopatra") for _ in range(999)))
    build_corpus(tmp_path / "names", text=tmp_path / "names.txt", pad_to_max_length=False)
    for folder in (unpadded, tmp_path / "names"):
        corpus = load_from_disk(folder)
        stored = sum(path.stat().st_size for path in folder.rglob("*.arrow")) - 3 * 2000  # the schema of each split
        assert stored <= 8 * len("".join(texts(corpus)).encode())


def test_a_large_text_is_stored_without_padding_unless_asked_for(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(build, "LARGEST_PADDED", 1000)
    for wanted, padded in ((None, False), (True, True)):
        row = build_corpus(tmp_path / "corpus", text=STORY, pad_to_max_length=wanted)["train"][0]
        assert (len(row["input_ids"]) == 512) == padded
        assert ("--pad_to_max_length true pads" in caplog.text) != padded
        caplog.clear()


def test_every_column_has_its_type(built):
    assert all(split.features == FEATURES for split in load_from_disk(built).values())


def test_the_splits_are_80_10_and_10_percent_of_the_characters(built):
    corpus = load_from_disk(built)
    sizes = [sum(map(len, corpus[name]["text"])) for name in SPLITS]
    assert list(corpus) == SPLITS
    assert [size / sum(sizes) for size in sizes] == pytest.approx([0.8, 0.1, 0.1], abs=100 / sum(sizes))


def test_a_sentence_is_a_row():
    assert cut_rows("one\ntwo and\nthree\n", 20) == ["one\n", "two and\n", "three\n"]


def test_packed_rows_hold_as_many_whole_sentences_as_fit():
    assert cut_rows("one\ntwo\nthree\nfour\nfive\n", 11, "packed") == ["one\ntwo\n", "three\n", "four\nfive\n"]


@pytest.mark.parametrize("sequence", ["sentence", "packed"])
def test_a_sentence_too_long_for_a_row_is_cut_at_a_word(sequence):
    rows = cut_rows("the owl and the pussycat went\n", 11, sequence)
    assert rows == ["the owl ", "and the ", "pussycat ", "went\n"]


def test_a_word_too_long_for_a_row_is_cut_where_the_row_ends():
    assert cut_rows("a pneumonia\n", 5) == ["a ", "pneu", "moni", "a\n"]


def test_blank_lines_that_are_kept_belong_to_the_line_before():
    assert cut_rows("ROMEO:\nAh me.\n\nJULIET:\nO!\n", 20) == ["ROMEO:\n", "Ah me.\n\n", "JULIET:\n", "O!\n"]


def test_three_rows_are_enough_for_three_splits():
    assert split_rows(Dataset.from_dict({"text": ["ann\n", "bob\n", "cléopâtre\n"]})) == {
        "train": range(1),
        "validation": range(1, 2),
        "test": range(2, 3),
    }


def test_two_corpora_are_never_taken_for_each_other(tmp_path, story):
    """`datasets` finds results that it has kept by a fingerprint."""
    (tmp_path / "other.txt").write_text(story.upper().replace("LAMP", "BELL"))
    one, same, other = (
        build_corpus(tmp_path / name, text=text)["train"]._fingerprint
        for name, text in (("one", STORY), ("same", STORY), ("other", tmp_path / "other.txt"))
    )
    assert one == same != other


class TestALongText:
    """It is worked on block by block, and nothing of the result may show where the blocks end."""

    @pytest.fixture(params=[300, 2000])
    def block(self, request, monkeypatch):
        monkeypatch.setattr(cleaning, "BLOCK", request.param)
        return request.param

    @pytest.mark.parametrize("kept", [False, True])
    def test_the_blocks_rows_are_those_of_the_whole_text(self, tmp_path, story, block, kept):
        text = tmp_path / "long.txt"
        text.write_text(f"{story}\n\n  “Quoted!”\n\n. . .\n\n“So,” they said.\n\n\n- The - End -\n\n\n{story}")
        blocks = list(cut_blocks(text.open()))
        assert "".join(blocks) == text.read_text()
        assert len(blocks) > 1
        corpus = build_corpus(tmp_path / "corpus", text=text, keep_punctuation=kept, keep_case=kept)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "corpus")
        assert "".join(texts(corpus)) == normalise(tokenizer, clean(text.read_text()))

    def test_no_block_is_much_longer_than_wanted_and_paragraphs_stay_whole(self, story, block):
        blocks = list(cut_blocks((story * 5).splitlines(keepends=True)))
        assert max(map(len, blocks)) < 2 * block + 1500
        assert block < 1000 or all(piece.endswith("\n\n") for piece in blocks[:-1])

    def test_one_newline_ends_it_where_the_footer_begins_a_block(self):
        blocks = ["One.\n\n\n", "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nLicence.\n"]
        assert "".join(Cleaning().clean_blocks(blocks)) == "One.\n"

    def test_indented_paragraphs_end_blocks_too(self, block):
        text = "\u3000" + "a" * 100 + "\n"
        blocks = list(cut_blocks([text] * 100))
        assert "".join(blocks) == text * 100
        assert max(map(len, blocks)) < 2 * block + 200

    def test_the_footer_ends_a_text_of_many_blocks(self, story, block):
        text = gutenberg("*** START OF THE PROJECT GUTENBERG EBOOK X ***", story, "*** END OF THE PROJECT GUTENBERG")
        blocks = cut_blocks((text + story).splitlines(keepends=True))
        assert "".join(Cleaning().clean_blocks(blocks)).split() == clean(story).split()


# Cleaning


def gutenberg(header: str, body: str, footer: str) -> str:
    return f"The Project Gutenberg EBook of Something\n\n{header}\n\n{body}\n\n{footer}\n\nMore licence, CHAPTER I.\n"


@pytest.mark.parametrize(
    ("header", "footer"),
    [
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK 11 ***\n\n[Illustration]",
            "*** END OF THE PROJECT GUTENBERG EBOOK 11 ***",
        ),
        (
            "***START OF THIS PROJECT GUTENBERG EBOOK ALICE'S ADVENTURES IN\nWONDERLAND***\n\n\n"
            "Produced by Some Body and the\nProofreaders",
            "End of Project Gutenberg's Something, by Some Body\n\n*** END OF THIS PROJECT GUTENBERG EBOOK 11 ***",
        ),
        ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*", "End of The Project Gutenberg Etext of S"),
    ],
)
def test_the_licence_and_the_credits_are_cut(header, footer):
    assert clean(gutenberg(header, PROSE, footer)) == PROSE + "\n"


def test_the_title_and_the_contents_are_cut():
    contents = "A Book\n\nby Nobody\n\nContents\n\n CHAPTER I.  Who Slept?\n CHAPTER II.  Who Woke?\n\n\n"
    body = f"CHAPTER I.\nWho Slept?\n\n{PROSE}\n\nCHAPTER II.\nWho Woke?\n\n{PROSE}"
    assert clean(contents + body) == body + "\n"


def test_a_second_part_that_begins_with_a_chapter_one_loses_no_first_part():
    body = f"CHAPTER I\n\n{PROSE}\n\nCHAPTER II\n\n{PROSE}\n\nPART TWO\n\nCHAPTER I\n\n{PROSE}\n"
    assert clean("PART ONE\n\n" + body) == body


@pytest.mark.parametrize(
    "text",
    [
        f"My life\n\nThis is my life.\n\n{PROSE}\n",
        f"{PROSE}\n\nCHAPTER I\n\nAfter the preface.\n",
        "\n".join(["Ann", "Bob", "Cleopatra", "Dionysos"] * 9) + "\n",
        "ROMEO:\nAh me.\n\nJULIET:\nO Romeo, Romeo! wherefore art thou Romeo?\n",
        "<ann> hello\n<bob> hello there, how have you been all this long time?\n<ann> fine, and you yourself?\n",
    ],
)
def test_a_text_without_front_matter_or_hard_wrapping_comes_through_unchanged(text):
    assert clean(text) == text


def test_illustrations_are_cut_with_their_captions():
    assert (
        clean("One [Illustration]two\n\n[Illustration: The\nRabbit]\n\nthree [sic].") == "One two\n\n\n\nthree [sic].\n"
    )


def test_hard_wrapped_lines_are_joined_and_paragraphs_stay_apart(story):
    body = story[story.index("CHAPTER ONE") :]
    assert clean(story) == "\n\n".join(paragraph.replace("\n", " ") for paragraph in body.split("\n\n"))[:-1] + "\n"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_line_breaks_of_any_system_and_a_byte_order_mark_change_nothing(story, line_break):
    assert clean(story.replace("\n", line_break)) == clean(story)
    assert clean(f"\ufeffone{line_break}two") == "one\ntwo\n"


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\n\n\n", "\n a \n"])
def test_a_cleaned_text_ends_in_one_newline(text):
    assert clean(text) == text.strip() + "\n"


# Reading


def read(path, data: bytes) -> str:
    path.write_bytes(data)
    return "".join(line for document in read_documents(path) for line in document.lines)


@pytest.mark.parametrize("block", [1, 7, 2**20])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_with_and_without_a_byte_order_mark(tmp_path, story, encoding, block, caplog, monkeypatch):
    monkeypatch.setattr(cleaning, "BLOCK", block)  # a character of several bytes may lie across two blocks
    assert read(tmp_path / "story.txt", f"é{story}“é”".encode(encoding)) == f"é{story}“é”"
    assert not caplog.records


def test_latin_1_is_read_with_a_warning(tmp_path, caplog):
    assert read(tmp_path / "cafe.txt", "Café".encode("latin-1")) == "Café"
    assert "cafe.txt is not UTF-8" in caplog.text


@pytest.mark.parametrize("block", [5, 2**20])
def test_a_character_cut_off_at_the_end_makes_no_utf8(tmp_path, caplog, monkeypatch, block):
    monkeypatch.setattr(cleaning, "BLOCK", block)  # of just the size of the text, or more
    assert read(tmp_path / "cut.txt", "Cafeé".encode()[:-1]) == "CafeÃ"
    assert "cut.txt is not UTF-8" in caplog.text


@pytest.mark.parametrize("data", [b"text\0text", "text".encode("utf-16-le"), b"\x89PNG\r\n\x1a\n\x01\x02\xff"])
def test_binary_data_are_no_text(tmp_path, data):
    with pytest.raises(CorpusError, match="is binary"):
        read(tmp_path / "cat.png", data)


class Site(SimpleHTTPRequestHandler):
    """Serves the test data."""

    def log_message(self, *args):
        pass


def test_a_url_is_downloaded_once_and_then_needs_no_network(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=STORY.parent)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(sources, "ALICE", f"http://127.0.0.1:{server.server_port}/{STORY.name}")
        first = build_corpus(tmp_path / "first")
        server.shutdown()
    assert texts(build_corpus(tmp_path / "second")) == texts(first) == texts(build_corpus(tmp_path / "x", text=STORY))
    missing = refused(capsys, "--text", sources.ALICE + ".gz", "--output_dir", tmp_path / "third")
    assert "cannot download" in missing
    assert "--text FILE" in missing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "home", "second", "x"]


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/dev/null")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=STORY.parent)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{STORY.name}"
        message = refused(capsys, "--text", url, "--output_dir", tmp_path / "built")
        server.shutdown()
    assert f"cannot keep {url} in /dev/null/.cache/char_lstm (Not a directory): set HOME" in message
    assert not (tmp_path / "built").exists()


def test_a_dataset_is_read_by_its_text_column(tmp_path, capsys):
    rows = [{"poem": f"The {name} ran. It fell!", "stars": 5} for name in ["owl", "cat", "hen"]] + [{"poem": None}]
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ["--dataset_name", tmp_path / "poems", "--output_dir", tmp_path / "corpus"]
    assert "has no text column 'text'; it has: poem" in refused(capsys, *arguments)
    assert "has no text column 'stars'; it has: poem" in refused(capsys, *arguments, "--text_column", "stars")
    run(capsys, *arguments, "--text_column", "poem")
    joined = "".join(texts(load_from_disk(tmp_path / "corpus")))
    assert joined == "the owl ran\nit fell\nthe cat ran\nit fell\nthe hen ran\nit fell\n"


# The command


def test_the_table_shows_characters_alphabet_rows_longest_row_and_padding(tmp_path, capsys):
    (tmp_path / "text").write_text("Aa b. Cc. Dd.")
    table = run(capsys, "--text", tmp_path / "text", "--output_dir", tmp_path / "corpus", "--max_length", 10)
    header, train, validation, test, alphabet = table.splitlines()
    assert header.split() == ["split", "characters", "rows", "longest", "row", "padding"]
    assert train.split() == ["train", "5", "1", "5", "40.0%"]
    assert validation.split() == ["validation", "3", "1", "3", "60.0%"]
    assert test.split() == ["test", "3", "1", "3", "60.0%"]
    assert alphabet == r"alphabet: 6 characters: '\n abcd'"


def test_marks_and_case_are_kept_on_demand(tmp_path, capsys):
    arguments = ["--text", STORY, "--output_dir", tmp_path / "corpus", "--keep_punctuation", "--keep_case"]
    run(capsys, *arguments)
    assert "".join(texts(load_from_disk(tmp_path / "corpus"))) == clean(STORY.read_text(encoding="utf-8"))


def test_a_corpus_is_a_folder_without_pickles(built):
    suffixes = {path.suffix for path in built.rglob("*") if path.is_file()}
    assert suffixes == {".arrow", ".json"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "No such file"),
        (b"", "nothing is left"),
        (b"... !!! \xe2\x80\x94\n", "nothing is left"),
        (b"GIF89a\0\0", "is binary"),
        (b"One sentence.", "too short"),
        (b"shorter than one", "too short"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_no_folder(tmp_path, capsys, data, reason):
    if data is not None:
        (tmp_path / "input").write_bytes(data)
    before = sorted(tmp_path.iterdir())
    assert reason in refused(capsys, "--text", tmp_path / "input", "--output_dir", tmp_path / "corpus")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--text", ""], "--text is empty"),
        (["--text", "no/such/*.txt"], "found no file in no/such/*.txt"),
        (["--text", str(STORY), "--encoding", "klingon"], "--encoding klingon: no such encoding"),
        (["--text", "http://127.0.0.1:9/x.txt"], "--text FILE"),
        (["--dataset_name", "./no/such/dataset"], "cannot load the dataset"),
        (["--text", str(STORY), "--dataset_name", "x"], "not both"),
        (["--text", str(STORY), "--max_length", "1"], "at least 2"),
    ],
)
def test_bad_arguments_are_one_clear_line_and_leave_no_folder(tmp_path, capsys, arguments, reason):
    assert reason in refused(capsys, *arguments, "--output_dir", tmp_path / "corpus")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter").write_text("mine")
    for place in ["file", "file/corpus"]:
        assert "cannot write" in refused(capsys, "--text", STORY, "--output_dir", tmp_path / place)
    for place in [tmp_path / "folder", Path("/")]:
        assert "something other than a corpus" in refused(capsys, "--text", STORY, "--output_dir", place)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "letter").read_text() == "mine"


def interrupt(*_):
    raise KeyboardInterrupt


def test_an_older_corpus_stays_until_the_new_one_is_whole(tmp_path, capsys, monkeypatch):
    place = tmp_path / "corpus"
    (tmp_path / "text").write_text("Aa b. Cc. Dd.")
    build_corpus(place, text=str(tmp_path / "text"))
    with monkeypatch.context() as broken:
        broken.setattr("transformers.PreTrainedTokenizerFast.save_pretrained", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_corpus(place, text=str(STORY))
    assert texts(load_from_disk(place)) == ["aa b\n", "cc\n", "dd\n"]
    build_corpus(place, text=str(STORY))
    assert len(texts(load_from_disk(place))) > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "text"]


# Real texts


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="the real texts are not here")
@pytest.mark.parametrize(("name", "sentences"), [("alice_utf8.txt", 1682), ("alice_ascii_bom_crlf.txt", 1694)])
def test_both_editions_of_alice_are_letters_blanks_and_newlines_from_chapter_one_on(tmp_path, name, sentences):
    corpus = build_corpus(tmp_path / "alice", text=str(REAL / name))
    text = "".join(texts(corpus))
    assert text.startswith("chapter i\ndown the rabbit hole\nalice was beginning")
    assert text.endswith("the happy summer days\nthe end\n")
    assert set(text) == set("abcdefghijklmnopqrstuvwxyz \n")
    assert len(text) == pytest.approx(134_350, abs=20)
    assert text.count("\n") == sentences
    assert max(map(len, text.splitlines())) == 896
    for fused in ("rabbitonce", "veryremarkable", "illustration", "gutenberg"):
        assert fused not in text


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="the real texts are not here")
def test_verse_with_its_marks_comes_through_character_for_character(tmp_path):
    verse = REAL / "tinyshakespeare.txt"
    corpus = build_corpus(tmp_path / "verse", text=str(verse), keep_punctuation=True, keep_case=True)
    assert "".join(texts(corpus)) == verse.read_text(encoding="utf-8")


@pytest.mark.parametrize("sequence", ["sentence", "item"])
def test_what_only_stands_beside_letters_is_in_the_alphabet_too(tmp_path, sequence):
    """A joiner, and a mark that would meet another letter in a sorted alphabet."""
    lines = ["می\u200cروم", "n\u0304 \u0301 n", "نان"]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    corpus = build_corpus(tmp_path / "corpus", text=tmp_path / "text.txt", sequence=sequence)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "corpus")
    assert {"\u200c", "\u0304", "\u0301"} <= tokenizer.get_vocab().keys()
    for split in corpus.values():
        for row in split:
            assert tokenizer.pad_token_id not in row["input_ids"][: row["length"]]
