"""No text is too strange: every function takes it, and a corpus of it is right or refused in a sentence."""

import os
import unicodedata
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from char_lstm import NoveltyIndex, build_tokenizer, generate_text, inspect_text, measure_novelty, normalise
from char_lstm.corpus import text as cleaning
from char_lstm.corpus.build import build_corpus
from char_lstm.corpus.sources import read_documents
from char_lstm.corpus.text import clean
from char_lstm.errors import CorpusError

# What a rule is about, or any characters with lone surrogates between them.
TRICKY = "aB .!?…'’\"”“—-_\n\r\t\u2028\x85\u0301ßİǅ𝔸ﬁ½²ʼ)]<>\0\ud800"
TEXT = st.text(st.sampled_from(TRICKY)) | st.lists(st.text() | st.characters(categories=["Cs"])).map("".join)
any_text = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=[{}, {"lowercase": False, "strip_punctuation": False}], ids=["folded", "kept"])
def reader(request, make_model, story):
    """A tiny model and its tokenizer, by each way to fold a text."""
    tokenizer = build_tokenizer([story], **request.param)
    return make_model(vocab_size=len(tokenizer)), tokenizer


@any_text
@given(text=TEXT)
def test_any_prompt_is_written_on_from(reader, text):
    assert len(generate_text(*reader, text, max_new_tokens=3)) == 3


@any_text
@given(text=TEXT)
def test_any_text_can_be_looked_into(reader, text):
    seen = inspect_text(*reader, text)
    assert "".join(seen.chars) == normalise(reader[1], text)
    assert np.isfinite(seen.surprisal).all()


@any_text
@given(text=TEXT, training_text=TEXT)
def test_the_novelty_of_any_text_is_a_share_and_places_in_it(text, training_text):
    novelty = measure_novelty(text, NoveltyIndex.build(training_text))
    assert 0 <= novelty.share_new <= 1
    assert all(0 <= start < end <= len(text) for start, end in novelty.spans)
    assert measure_novelty(text, NoveltyIndex.build(text)).longest_copy == (len(text) if len(text) >= 8 else 0)


# Corpora


def built(place, content: bytes, **options):
    """The text that a file holds, the rows that are made of it, joined, and their tokenizer."""
    (place / "text").write_bytes(content)
    corpus = build_corpus(place / "corpus", text=place / "text", **options)
    tokenizer = AutoTokenizer.from_pretrained(place / "corpus")
    rows = [row for split in corpus.values() for row in split]
    for row in rows:
        ids = row["input_ids"][: row["length"]]
        assert tokenizer.decode(ids) == "\n" + row["text"]
        assert tokenizer.pad_token_id not in ids
    read = "".join(line for document in read_documents(place / "text") for line in document.lines)
    return read, "".join(row["text"] for row in rows), tokenizer


@contextmanager
def refused_only_as_no_text():
    try:
        yield
    except CorpusError as error:
        if not any(reason in str(error) for reason in ("is binary", "its encoding is unclear", "of it are broken")):
            raise


KEPT = {"keep_punctuation": True, "keep_case": True}
JAMO = unicodedata.normalize("NFKD", "한국\n")
CORPORA = {
    "empty": (b"", {}, "nothing is left"),
    "one_character": (b"a", {}, "too short"),
    "white_space": (b" \n\t\r\n \x0c ", {}, "nothing is left"),
    "only_punctuation": (b"... !!! ???\n-- ;;;\n", {}, "nothing is left"),
    "only_emoji": ("🫖 🫖\n🫖".encode(), {}, "nothing is left"),
    "nul": (b"One. Two.\0 Three.", {}, "is binary"),
    "utf_16": ("One. Two. Three.".encode("utf-16"), {}, "one\ntwo\nthree\n"),
    "utf_16_without_a_mark": ("One. Two. Three.".encode("utf-16-le"), {}, "say --encoding utf-16-le"),
    "utf_16_that_begins_as_utf_32": ("\0One. Two. Three.".encode("utf-16"), {}, "is not utf-32: .* say its --encoding"),
    "utf_32": ("One. Two. Three.".encode("utf-32"), {}, "one\ntwo\nthree\n"),
    "one_sentence": ("你好。再见。".encode(), {}, "too short"),
    "three_letters": (b"a. b. c.", {}, "a\nb\nc\n"),
    "lf": (b"One lamp.\nTwo\nThree", {}, "one lamp\ntwo\nthree\n"),
    "crlf": (b"One lamp.\r\nTwo\r\nThree", {}, "one lamp\ntwo\nthree\n"),
    "cr": (b"One lamp.\rTwo\rThree", {}, "one lamp\ntwo\nthree\n"),
    "byte_order_mark": ("\ufeffOne. Two. Three.".encode(), {}, "one\ntwo\nthree\n"),
    "latin_1": ("Café. Two. Three.".encode("latin-1"), {}, "café\ntwo\nthree\n"),
    "mixed_encodings": ("Café. ".encode() + "Café. Three.".encode("latin-1"), {}, "cafã\ncafé\nthree\n"),
    "lone_surrogate": ("A\ud800b. Two. Three.".encode("utf-8", "surrogatepass"), {}, "its encoding is unclear"),
    "right_to_left": ("שלום עולם! מה שלומך?\nطيّب.".encode(), {}, "שלום עולם\nמה שלומך\nطيّب\n"),
    "chinese": ("你好，世界\n再见。\n谢谢！".encode(), {}, "你好 世界\n再见\n谢谢\n"),
    "korean_and_japanese": (
        "한국\nガラス\nおわり".encode(),
        {},
        "한국\nガラス\nおわり\n",
    ),
    "special_tokens": (b"<pad> <s>. [UNK]! <|endoftext|>.", {}, " pad s\nunk\nendoftext\n"),
    "special_tokens_kept": (b"<pad>\n</s>\n[MASK]", KEPT, "<pad>\n</s>\n[MASK]\n"),
    "punctuation_kept": (b"...\n!!!\n???", KEPT, "...\n!!!\n???\n"),
    "emoji_kept": ("🫖\n🫖🫖\n🫖".encode(), KEPT, "🫖\n🫖🫖\n🫖\n"),
    "one_long_line": (b"the lamp is lit " * 2000, {}, "the lamp is lit " * 1999 + "the lamp is lit\n"),
    "one_long_word": (b"a" * 20_000, {}, "a" * 20_000 + "\n"),
}


@pytest.mark.parametrize("what", CORPORA)
def test_a_corpus_of_it_is_right_or_refused(tmp_path, what):
    content, options, expected = CORPORA[what]
    if expected.endswith("\n"):
        _, rows, _ = built(tmp_path, content, **options)
        assert rows == expected
    else:
        with pytest.raises(CorpusError, match=expected):
            built(tmp_path, content, **options)
        assert not (tmp_path / "corpus").exists()


@pytest.mark.slow
def test_a_corpus_of_one_line_of_ten_megabytes_is_right(tmp_path):
    (tmp_path / "text").write_bytes(b"the lamp is lit " * 655_360)
    corpus = build_corpus(tmp_path / "corpus", text=tmp_path / "text", sequence="packed")
    rows = [text for split in corpus.values() for text in split["text"]]
    assert "".join(rows) == "the lamp is lit " * 655_359 + "the lamp is lit\n"
    assert max(map(len, rows)) <= 511


@pytest.mark.slow
@settings(any_text, max_examples=settings().max_examples // 2)
@example(text="\0", encoding="utf-16", sequence="sentence", kept=False)  # begins as UTF-32 does
@example(text="\ud800" * 7, encoding="utf-8-sig", sequence="sentence", kept=False)  # marked, and mostly broken
@given(
    text=st.lists(TEXT, max_size=5).map("\n".join),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16"]),
    sequence=st.sampled_from(["sentence", "packed"]),
    kept=st.booleans(),
)
def test_the_rows_of_any_file_are_its_normalised_text_or_it_is_refused(
    tmp_path_factory, monkeypatch, text, encoding, sequence, kept
):
    monkeypatch.setattr(cleaning, "BLOCK", 1)  # each line a block
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    text += "\nOne. Two.\nThree."
    content = text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    place, options = tmp_path_factory.mktemp("any"), {"max_length": 8, "sequence": sequence, **(KEPT if kept else {})}
    with refused_only_as_no_text():
        read, rows, tokenizer = built(place, content, **options)
        assert rows == normalise(tokenizer, clean(read))
