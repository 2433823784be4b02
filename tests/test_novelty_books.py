"""Novelty against a library: a long copy is always found, one that is none hardly ever, and the file stays small."""

import random
from string import ascii_lowercase

import numpy as np
import pytest

from char_lstm import NoveltyIndex, measure_novelty
from char_lstm.loading import CheckpointError
from char_lstm.novelty_books import FILE, FORGET, LARGEST, BookIndex

ERROR_RATE = 2**-16  # as the card says


def random_text(characters: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(ascii_lowercase + " ", k=characters))


@pytest.fixture(scope="module")
def books(story) -> BookIndex:
    """Every twelfth place or so of a story, which is cut into pieces within its words."""
    return BookIndex.build([story[:3001], story[3001:3002], story[3002:]], largest=3500)


def test_a_copy_of_the_sure_length_is_found_wherever_it_stands(books, story):
    assert books.stride > 5
    forgotten = FORGET.normalize_str(story).replace("\n", " ")
    for start in range(len(forgotten) - books.surely_found):
        copy = forgotten[start : start + books.surely_found]
        assert any(books.longest_matches(f"q{copy}q" if copy[0] + copy[-1] != "  " else copy)), copy


def test_one_character_less_is_found_at_most_places_and_a_passage_that_is_too_short_nowhere(books, story):
    forgotten = FORGET.normalize_str(story).replace("\n", " ")

    def share_found(length: int) -> float:
        starts = range(0, len(forgotten) - length, 7)
        return sum(any(books.longest_matches(forgotten[start : start + length])) for start in starts) / len(starts)

    assert 0.5 < share_found(books.surely_found - 1) < 1
    assert share_found(books.shortest - 1) == 0


@pytest.mark.parametrize(
    "change",
    [str.upper, str.lower, lambda text: text.replace(" ", "\r\n   "), lambda text: text.replace(",", " -- ")],
)
def test_a_copy_is_found_in_any_form_and_marked_where_it_stands(books, story, change):
    for start in range(0, 6000, 611):
        passage = change(story[start : start + 400])
        text = "12345 (67!) " + passage + " 8.9.0"
        (found_from, *_), (*_, found_to) = zip(
            *measure_novelty(text, NoveltyIndex(NONE, books=books)).book_spans, strict=True
        )
        assert len("12345 (67!)") <= found_from < 80, "from the space before it on, up to the sampled places"
        assert len(text) - 80 < found_to <= len(text) - len("8.9.0")


NONE = np.empty(0, np.uint32)


def test_of_a_text_that_stands_in_no_book_hardly_a_place_is_taken_for_a_copy():
    books = BookIndex.build([random_text(150_000, seed=1)])
    assert books.stride == 1
    found = sum(map(bool, books.longest_matches(random_text(400_000, seed=2))))
    assert 0 < found < 3 * ERROR_RATE * 400_000, "six expected"


@pytest.mark.parametrize(("characters", "largest"), [(10, 6000), (1000, 6000), (30_000, 6000), (30_000, 40_000)])
def test_the_file_is_never_larger_than_it_may_be_and_a_small_library_is_indexed_at_every_place(
    characters, largest, tmp_path
):
    books = BookIndex.build([random_text(characters, seed=3)], largest)
    books.save(tmp_path)
    assert (tmp_path / FILE).stat().st_size <= largest
    assert (books.stride == 1) == (2.25 * characters < largest - 1000)
    assert LARGEST <= 6_000_000


def test_a_saved_index_finds_the_same(books, story, tmp_path):
    books.save(tmp_path)
    text = "Not in it. " + story[700:900] + " Nor this."
    assert BookIndex.load(tmp_path / FILE).longest_matches(text) == books.longest_matches(text) != [0] * len(text)


def test_the_hashes_are_the_same_on_every_machine():
    books = BookIndex.build(["alice was beginning to get very tired"])
    assert (len(books.low), books.low[:2].tolist(), books.surely_found) == (10, [36177, 55947], 28)


def test_what_is_copied_from_the_text_and_from_the_books_is_told_apart_and_both_are_not_new(books, story):
    mine = "my own diary says that it rained on every single day"
    index = NoveltyIndex(NoveltyIndex.build(mine).grams, books=books)
    text = mine + " xqzj " + story[1000:1100].lower()
    found = measure_novelty(text, index)
    assert found.spans == [(0, len(mine))]
    assert all(start > len(mine) for start, _ in found.book_spans)
    assert found.book_spans
    copied = {place for start, end in found.spans + found.book_spans for place in range(start, end)}
    assert found.share_new == pytest.approx(1 - len(copied) / len(text))
    assert found.longest_copy == max(end - start for start, end in found.spans + found.book_spans)


def test_a_folder_may_hold_either_index_or_both_and_one_of_before_has_no_books(books, story, tmp_path):
    NoveltyIndex.build(story).save(tmp_path)
    assert NoveltyIndex.load(tmp_path).books is None
    books.save(tmp_path)
    both = NoveltyIndex.load(tmp_path)
    assert len(both.grams)
    assert both.books.stride == books.stride
    (tmp_path / "novelty.safetensors").unlink()
    base = measure_novelty(story[500:900], NoveltyIndex.load(tmp_path))
    assert base.spans == []
    assert base.book_spans
    assert base.share_new < 0.2
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"novelty_books\.safetensors is broken"):
        NoveltyIndex.load(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "!!!", "\u200b", "a", "\ud800 lone \udfff surrogates and some more words", "e\u0301" * 30]
)
def test_any_text_may_be_looked_up(books, text):
    assert books.longest_matches(text) == [0] * len(text)


def test_a_library_of_a_few_characters_holds_nothing(tmp_path):
    BookIndex.build(["too short"]).save(tmp_path)
    assert not any(BookIndex.load(tmp_path / FILE).longest_matches("nothing of this stands there"))
