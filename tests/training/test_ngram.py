"""Counting: the tables give what the definition gives."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from char_lstm.training.ngram import DISCOUNT, KneserNey, cross_fitted, nats_per_char


def slow(text, vocab_size, order, context, character):
    """The definition, by dictionaries of strings."""
    if order == 0:
        return 1 / vocab_size
    context = context[len(context) - order + 1 :] if order > 1 else ()
    lower = slow(text, vocab_size, order - 1, context, character)
    grams = [text[i : i + order] for i in range(len(text) - order + 1)]
    counts = Counter(grams)
    if slow.highest != order:
        left = defaultdict(set)
        for i, gram in enumerate(grams):
            left[gram].add(text[i - 1] if i else "start")
        counts = Counter({gram: max(1, len(before - {"start"})) for gram, before in left.items()})
    after = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == context}
    if not after:
        return lower
    total = sum(after.values())
    return max(after.get(character, 0) - DISCOUNT, 0) / total + DISCOUNT * len(after) / total * lower


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_tables_give_what_the_definition_gives(order):
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 3, 60), rng.integers(0, 4, 25)  # a character that training never saw
    slow.highest = order
    given = KneserNey(train, 4, order).probabilities(test)
    for place in range(len(test)):
        context = tuple(test[max(0, place - order + 1) : place].tolist())
        wanted = [slow(tuple(train.tolist()), 4, min(order, len(context) + 1), context, c) for c in range(4)]
        assert given[place] == pytest.approx(wanted)
    assert given.sum(axis=1) == pytest.approx(1)


def test_pieces_change_nothing(monkeypatch):
    ids = np.random.default_rng(1).integers(0, 5, 200)
    model = KneserNey(ids[:100], 5, 4)
    whole = model.probabilities(ids, 37)
    monkeypatch.setattr("char_lstm.training.ngram.AT_ONCE", 13)
    assert np.array_equal(model.probabilities(ids, 37), whole)


def test_nats_are_those_of_the_characters_that_came():
    ids = np.random.default_rng(2).integers(0, 5, 200)
    model = KneserNey(ids[:100], 5, 3)
    probabilities = model.probabilities(ids)
    expected = -np.mean([np.log(probabilities[place, ids[place]]) for place in range(100, 200)])
    assert nats_per_char(model, ids, 100) == pytest.approx(expected)


def test_no_place_is_expected_by_counts_that_saw_it(story):
    characters = sorted(set(story))
    ids = np.array([characters.index(character) for character in story])
    expected = cross_fitted(ids, len(characters), 6, 10).astype(float)
    assert expected.shape == (len(ids), len(characters))
    assert expected.sum(axis=1) == pytest.approx(1, abs=1e-2)
    nats = -np.log(expected[np.arange(len(ids)), ids]).mean()
    seen = nats_per_char(KneserNey(ids, len(characters), 6), ids, 0)
    held_out = nats_per_char(KneserNey(ids[: len(ids) * 9 // 10], len(characters), 6), ids, len(ids) * 9 // 10)
    assert seen < 0.6 * nats
    assert nats == pytest.approx(held_out, rel=0.1)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_text_shorter_than_the_order_is_counted_too(length):
    assert KneserNey(np.arange(length), 6, 4).probabilities(np.arange(6)).sum(axis=1) == pytest.approx(1)


def test_a_large_alphabet_is_counted_with_shorter_n_grams():
    ids = np.resize(np.arange(5000), 20_000)  # every character foretells the next
    model = KneserNey(ids, 5000, 9)
    assert model.probabilities(ids[:50], 10)[np.arange(40), ids[10:50]].min() > 0.7


def test_a_text_shorter_than_its_folds_is_cross_fitted_too():
    assert cross_fitted(np.arange(5), 6, 4, 40).astype(float).sum(axis=1) == pytest.approx(1, abs=1e-2)
