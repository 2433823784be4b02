"""A corpus of items: every line or record a row of its own, in random order, none twice, each with an end."""

import json

import pytest
from datasets import load_from_disk
from transformers import PreTrainedTokenizerFast

from char_lstm import cli
from char_lstm.corpus import items
from char_lstm.corpus.build import build_corpus
from char_lstm.tokenization_char_lstm import END_OF_ITEM, normalise

NAMES = [first + vowel + last + end for first in "BDKLMN" for vowel in "aeo" for last in "ln" for end in "aio"]


def build(folder, lines, **settings):
    (folder / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    return build_corpus(folder / "corpus", text=folder / "list.txt", sequence="item", **settings)


def rows_of(corpus) -> list[str]:
    return [text for split in corpus.values() for text in split["text"]]


def test_every_line_is_a_row_and_stands_in_one_split(tmp_path):
    corpus = build(tmp_path, NAMES)
    assert sorted(rows_of(corpus)) == sorted(name.lower() for name in NAMES)
    assert {name: len(split) for name, split in corpus.items()} == {"train": 87, "validation": 11, "test": 10}


def test_a_sorted_list_is_shuffled_the_same_each_time(tmp_path):
    rows = rows_of(build(tmp_path, NAMES))
    assert rows != sorted(rows)
    assert {name[0] for name in load_from_disk(tmp_path / "corpus")["test"]["text"]} > {"b", "n"}
    assert rows_of(build(tmp_path, NAMES)) == rows


def test_an_item_begins_with_the_newline_and_ends_with_an_id_of_its_own(tmp_path):
    corpus = build(tmp_path, NAMES)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "corpus")
    for row in corpus["test"]:
        ids = row["input_ids"][: row["length"]]
        assert ids == [1, *tokenizer.convert_tokens_to_ids(list(row["text"])), 2]
        assert sum(row["attention_mask"]) == row["length"] == len(row["text"]) + 2
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == (END_OF_ITEM, 2)
    assert len(corpus["test"][0]["input_ids"]) == 4 + 2  # no wider than the longest


@pytest.mark.parametrize("keep_punctuation", [False, True])
def test_the_end_is_no_character_of_any_text(tmp_path, keep_punctuation):
    corpus = build(tmp_path, [*NAMES, f"zo{END_OF_ITEM}e"], keep_punctuation=keep_punctuation)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "corpus")
    instead = "\ufffd" if keep_punctuation else " "
    assert f"zo{instead}e" in rows_of(corpus)
    assert normalise(tokenizer, f"zo{END_OF_ITEM}e") == f"zo{instead}e"


def test_items_that_become_one_are_counted_and_left_out(tmp_path, caplog):
    corpus = build(tmp_path, [*NAMES, *NAMES[:5], NAMES[0].upper(), f"{NAMES[1]}!", "", "  ", "???", "--"])
    assert len(rows_of(corpus)) == len(set(rows_of(corpus))) == len(NAMES)
    assert "7 items repeat another: left out" in caplog.text
    assert "2 items hold no letter or digit: left out" in caplog.text


def test_an_item_too_long_for_a_row_is_left_out_whole_and_said(tmp_path, caplog):
    corpus = build(tmp_path, [*NAMES, "m" * 30, "m" * 31], max_length=32)
    assert "m" * 30 in rows_of(corpus)
    assert len(rows_of(corpus)) == len(NAMES) + 1
    assert "1 items exceed --max_length 32: left out" in caplog.text


def test_a_long_list_holds_out_no_more_than_a_figure_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("char_lstm.corpus.build.MOST_HELD_OUT", 4)
    assert {name: len(split) for name, split in build(tmp_path, NAMES).items()} == {
        "train": len(NAMES) - 8,
        "validation": 4,
        "test": 4,
    }
    assert items.MOST_HELD_OUT == 1000


def test_a_record_of_a_dataset_is_an_item_with_its_newlines(tmp_path):
    poems = [f"Rain {name}\nfalls on the sea\n" for name in NAMES]
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems" / "poems.jsonl").write_text("\n".join(json.dumps({"poem": poem}) for poem in poems))
    settings = {"dataset_name": str(tmp_path / "poems"), "text_column": "poem", "sequence": "item"}
    corpus = build_corpus(tmp_path / "kept", **settings, keep_case=True, keep_punctuation=True)
    assert sorted(rows_of(corpus)) == sorted(poem.strip("\n") for poem in poems)


def test_marks_and_the_blanks_before_an_item_are_kept_on_demand(tmp_path):
    lines = ["  C1CCCCC1", "CC(=O)O", "c1ccccc1", "C#N"]
    assert sorted(rows_of(build(tmp_path, lines, keep_case=True, keep_punctuation=True))) == sorted(lines)


@pytest.mark.parametrize("lines", [[""], ["?", "!"]])
def test_a_list_of_nothing_is_one_clear_line(tmp_path, capsys, lines):
    (tmp_path / "list.txt").write_text("\n".join(lines))
    arguments = ["--text", str(tmp_path / "list.txt"), "--sequence", "item", "--output_dir", str(tmp_path / "corpus")]
    with pytest.raises(SystemExit):
        cli.run("build", arguments)
    assert "nothing is left of the items" in capsys.readouterr().err
