"""A memory of the text read so far helps, and never by a character that is still to be scored."""

import json
import math

import numpy as np
import pytest
from datasets import Dataset

from char_lstm import build_tokenizer, cli
from char_lstm.training import adaptation
from char_lstm.training.adaptation import LONGEST, Memory
from char_lstm.training.evaluation import evaluate
from char_lstm.training.torch_scoring import score_carried

LETTERS = 20


def read(ids: list[int], letters: int = LETTERS) -> np.ndarray:
    """Nats of each character, (time,), in the memory of a model to which all characters are alike."""
    return Memory().read(ids, np.full(len(ids), math.log(letters)))


def test_the_text_from_a_character_on_changes_no_score_before_it(model):
    ids = 3 * np.random.default_rng(0).integers(1, 20, 300).tolist()
    before = Memory().read(ids, score_carried(model, ids))
    for place in (1, 50, 301, 640, 899):
        other = [*ids[:place], *(1 + character % 19 for character in ids[place:])]
        after = Memory().read(other, score_carried(model, other))
        np.testing.assert_array_equal(after[:place], before[:place])
        assert not np.array_equal(after[place:], before[place:])


def test_the_scores_of_all_that_may_follow_are_one_distribution():
    """Had a character been learnt before its score, its share would be larger, and all of them more than one."""
    text = 4 * [*"the lamp in the tower the lamp in the sea "]
    ids = [sorted(set(text)).index(character) for character in text]
    for place in (0, 5, 47, 100, 167):
        shares = [np.exp(-read([*ids[:place], character], letters=16)[place]) for character in range(16)]
        assert sum(shares) == pytest.approx(1)


def test_of_a_text_without_pattern_nothing_can_be_learnt():
    ids = np.random.default_rng(0).integers(0, LETTERS, 3000).tolist()
    assert read(ids).mean() > math.log(LETTERS) - 0.001


def test_what_is_read_twice_is_expected_the_second_time_and_a_turn_elsewhere_is_still_possible():
    ids = np.random.default_rng(0).integers(0, LETTERS, 200).tolist()
    nats = read([*ids, *ids])
    assert nats[:200].mean() == pytest.approx(math.log(LETTERS), abs=0.01)
    assert nats[200 + LONGEST :].mean() < 0.7
    turned = read([*ids, *ids[:100], (ids[100] + 1) % LETTERS])
    assert math.log(LETTERS) < turned[-1] < 2 * math.log(LETTERS)


def test_the_counts_are_those_of_kneser_and_ney():
    """The longest contexts count every time, shorter ones each different character to their left once."""
    memory = Memory()
    ids = [*range(14), *range(14), *(9, *range(5, 14))]
    memory.read(ids, np.ones(len(ids)))
    assert memory.followers[tuple(range(1, 13))] == {13: 2}
    assert memory.followers[tuple(range(5, 12))] == {12: 2}, "three times, but twice to the right of a 4"
    assert memory.followers[tuple(range(6, 12))] == {12: 1}, "three times to the right of a 5"


def test_a_memory_that_is_full_begins_anew(monkeypatch):
    monkeypatch.setattr(adaptation, "MOST", 50)
    memory = Memory()
    memory.read(np.random.default_rng(0).integers(0, LETTERS, 500).tolist(), np.ones(500))
    assert len(memory.followers) < 60


def test_evaluating_gives_the_adapted_figure_beside_the_others_and_leaves_those_as_they_are(
    saved, corpus, tmp_path, capsys
):
    command = ["--model", str(saved), "--dataset", str(corpus), "--json", str(tmp_path / "figures.json")]
    cli.run("evaluate", command)
    alone = json.loads((tmp_path / "figures.json").read_text())
    assert "remembers" not in capsys.readouterr().out
    cli.run("evaluate", [*command, "--adapt"])
    adapted = json.loads((tmp_path / "figures.json").read_text())
    nats = adapted.pop("nats_per_char_adapted")
    assert adapted == alone
    assert nats < alone["nats_per_char"]
    assert f"\n{nats:.4f} nats if it remembers" in capsys.readouterr().out


def test_items_are_remembered_across_their_ends(make_model):
    names = ["lighthouse keeper", "lighthouse lamp"]
    tokenizer = build_tokenizer(names, eos_token="\ufdd0")
    model = make_model(vocab_size=len(tokenizer), eos_token_id=2)
    figures = evaluate(model, tokenizer, Dataset.from_dict({"text": names}), adapt=True)
    twice = evaluate(model, tokenizer, Dataset.from_dict({"text": 2 * names}), adapt=True)
    assert figures["nats_per_char_adapted"] < figures["nats_per_char"]
    assert twice["nats_per_char_adapted"] < figures["nats_per_char_adapted"]
    assert twice["nats_per_char"] == pytest.approx(figures["nats_per_char"])
