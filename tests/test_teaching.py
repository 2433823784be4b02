"""Teachers: what they write together is drawn from what they expect together, and a student learns from it."""

import numpy as np
import pytest

from char_lstm import load, load_decoder
from scripts import teaching, train
from scripts.build_corpus import build_corpus
from scripts.ngram import KneserNey
from tests.test_train import losses, newest, refused, run

TEACHERS = ["--sampled_characters", "4000", "--row_length", "60", "--num_train_epochs", "1"]


@pytest.fixture(scope="module")
def teacher(corpus, tmp_path_factory):
    return run(corpus, tmp_path_factory.mktemp("teacher"), "--num_train_epochs", "1")


@pytest.fixture
def counting(tokenizer, story):
    ids = tokenizer(story, add_special_tokens=False)["input_ids"]
    return KneserNey(np.array(ids), len(tokenizer), 5)


def test_the_text_is_drawn_from_what_counting_and_models_expect(teacher, counting, monkeypatch):
    monkeypatch.setattr(teaching, "LANES", 4)
    decoder, _ = load_decoder(teacher)
    newline = decoder.config.bos_token_id
    ids, expected = teaching.sample_text([decoder], counting, 4 * 300, seed=3)
    assert len(ids) == len(expected) <= 1200
    assert ids[-1] == newline
    assert decoder.config.pad_token_id not in ids

    state, before = decoder.read([[newline]]), np.full((5, 1), newline)
    for place, character in enumerate(ids[:60]):  # of the first lane
        logits = decoder.logits(state)[0]
        model = np.exp(logits) / np.exp(logits).sum()
        together = 0.4 * counting.next_probabilities(before)[0] + 0.6 * model
        assert expected[place] == pytest.approx(together, abs=2e-3)
        decoder.step(state, np.array([character]))
        before = np.concatenate([before[1:], [[character]]])


def test_the_next_probabilities_are_those_of_the_place(counting):
    ids = np.random.default_rng(0).integers(1, 20, 50)
    in_order = counting.probabilities(ids)
    before = np.stack([ids[place - 5 : place] for place in range(5, 50)], axis=1)  # (time, batch)
    assert counting.next_probabilities(before) == pytest.approx(in_order[5:])


def test_one_seed_writes_one_text(teacher, counting):
    decoder, _ = load_decoder(teacher)
    first, again, other = (teaching.sample_text([decoder], counting, 2000, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_student_reads_the_text_and_behind_it_what_its_teachers_write(teacher, corpus):
    recipe = train.parse(["--dataset", str(corpus), "--teachers", str(teacher), *TEACHERS])
    data, tokenizer, _ = train.start(recipe)
    text = "".join(data["train"]["text"])
    student_reads = train.training_set(recipe, data["train"], tokenizer)
    ids = student_reads.ids()
    assert tokenizer.decode(ids[1 : len(text) + 1]) == text
    assert len(ids) - 1 - len(text) > 500  # each of the texts side by side ends at its last newline
    assert len(student_reads.expected) == len(ids) - 1
    drawn = student_reads.expected[np.arange(len(text), len(ids) - 1), ids[len(text) + 1 :].numpy()]
    assert (drawn > 0).all()


def test_a_student_is_trained_by_one_command(teacher, corpus, tmp_path):
    output_dir = run(corpus, tmp_path, "--teachers", str(teacher), str(teacher), *TEACHERS)
    load(output_dir)
    assert losses(newest(output_dir), "eval_loss")


def test_teachers_of_another_alphabet_and_without_expectations_are_refused(teacher, corpus, tmp_path, capsys):
    build = ["--teachers", str(teacher), *TEACHERS, "--ngram_smoothing", "0"]
    assert "they need an --ngram_smoothing" in refused(capsys, corpus, tmp_path / "a", *build)
    (tmp_path / "text").write_text("a cab\n" * 200)
    build_corpus(tmp_path / "cab", text=str(tmp_path / "text"))
    said = refused(capsys, tmp_path / "cab", tmp_path / "b", "--teachers", str(teacher), *TEACHERS)
    assert "another alphabet than the corpus" in said
