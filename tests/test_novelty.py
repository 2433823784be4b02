"""Novelty: what stands verbatim in the training text, as a slow exact search finds it."""

import random

import numpy as np
import pytest
from safetensors.numpy import save_file

from char_lstm import NoveltyIndex, generate_text, load_decoder, measure_novelty
from char_lstm.loading import CheckpointError
from char_lstm.novelty import GRAM, SHORTEST, Novelty
from tests.conftest import ALICE


def slow_search(text: str, training_text: str) -> Novelty:
    """The same by looking every passage up in the training text itself."""
    lengths = []
    for start in range(len(text)):
        length = 0
        while start + length < len(text) and text[start : start + length + 1] in training_text:
            length += 1
        lengths.append(length)
    copies = [(start, start + length) for start, length in enumerate(lengths) if length >= SHORTEST]
    whole = [(s, e) for s, e in copies if not any((a, b) != (s, e) and a <= s and e <= b for a, b in copies)]
    copied = {place for start, end in whole for place in range(start, end)}
    longest = max((length for length in lengths if length >= GRAM), default=0)
    return Novelty(1 - len(copied) / len(text), longest, whole)


def collage(draw: random.Random, training_text: str) -> str:
    """Passages of the training text of 1 to 60 characters, some with random letters between them."""
    parts = []
    for _ in range(draw.randrange(1, 12)):
        start = draw.randrange(len(training_text))
        parts.append(training_text[start : start + draw.randrange(1, 60)])
        parts.append("".join(draw.choices("abc ", k=draw.choice([0, 0, 1, 5]))))
    return "".join(parts)


@pytest.mark.parametrize("alphabet", ["ab", "abcdefgh \n", "aé漢😀"])
def test_the_index_finds_what_a_slow_exact_search_finds(alphabet):
    draw = random.Random(alphabet)
    for _ in range(40):
        training_text = "".join(draw.choices(alphabet, k=draw.choice([5, 60, 900])))
        text = collage(draw, training_text)
        assert measure_novelty(text, NoveltyIndex.build(training_text)) == slow_search(text, training_text)


def test_the_index_agrees_with_a_slow_exact_search_on_prose(story):
    draw = random.Random(0)
    training_text = story[: len(story) * 3 // 4]
    index = NoveltyIndex.build(training_text)
    for text in [story[len(training_text) :][:3000], *(collage(draw, training_text) for _ in range(20))]:
        assert measure_novelty(text, index) == slow_search(text, training_text)


def test_a_copy_is_nothing_new_and_other_letters_are_all_new(story):
    index = NoveltyIndex.build(story)
    assert measure_novelty(story[100:700], index) == Novelty(0.0, 600, [(0, 600)])
    assert measure_novelty("zq" * 300, index) == Novelty(1.0, 0, [])
    assert measure_novelty("", index) == Novelty(1.0, 0, [])


def test_two_passages_side_by_side_are_two_copies_and_not_one():
    index = NoveltyIndex.build("the lamp was as tall as a wardrobe\nand nobody had lit it before")
    found = measure_novelty("the lamp was as tall as a nobody had lit it before", index)
    assert found.spans == [(0, 26), (25, 50)]  # both have the space before nobody
    assert (found.share_new, found.longest_copy) == (0.0, 26)


def test_a_saved_index_finds_the_same_and_holds_four_bytes_a_character(story, tmp_path):
    index = NoveltyIndex.build(story)
    index.save(tmp_path)
    text = story[50:90] + "zq" * 20
    assert measure_novelty(text, NoveltyIndex.load(tmp_path)) == measure_novelty(text, index)
    assert (tmp_path / "novelty.safetensors").stat().st_size < 4 * len(story) + 200


def test_the_hashes_are_the_same_on_every_machine():
    grams = NoveltyIndex.build("alice was beginning").grams
    assert (grams.dtype, grams[0], grams[-1]) == (np.uint32, 4079786545, 2323455615)


def test_a_missing_or_broken_index_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"novelty\.safetensors is missing"):
        NoveltyIndex.load(tmp_path)
    (tmp_path / "novelty.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"novelty\.safetensors is broken"):
        NoveltyIndex.load(tmp_path)


@pytest.mark.parametrize("folder", sorted(path.parent for path in ALICE.parent.glob("alice*/config.json")), ids=str)
def test_every_packaged_alice_carries_the_index_of_her_book(folder):
    index = NoveltyIndex.load(folder)
    assert len(index.grams) > 100_000
    likeliest = generate_text(*load_decoder(folder), temperature=0)
    assert 0 < measure_novelty(likeliest, index).longest_copy < 100


def test_a_copy_is_as_long_as_it_takes_to_hold_a_hundred_bits_and_never_longer_than_twenty_characters(story):
    draw = random.Random(0)
    chinese = "".join(draw.choices([chr(0x4E00 + number) for number in range(1000)], k=20_000))  # 10 bits a character
    index = NoveltyIndex.build(chinese)
    assert (index.shortest, NoveltyIndex.build(story).shortest, NoveltyIndex.build("abab" * 99).shortest) == (
        11,
        20,
        20,
    )
    found = measure_novelty(chinese[500:511] + "你" + chinese[900:910], index)
    assert (found.spans, found.shortest) == ([(0, 11)], 11)


def test_how_long_a_copy_is_is_saved_with_the_index_and_twenty_where_an_older_one_does_not_say(tmp_path):
    NoveltyIndex(NoveltyIndex.build("alice was beginning").grams, 12).save(tmp_path)
    assert NoveltyIndex.load(tmp_path).shortest == 12
    save_file({"grams": NoveltyIndex.build("alice was beginning").grams}, tmp_path / "novelty.safetensors")
    assert NoveltyIndex.load(tmp_path).shortest == 20
