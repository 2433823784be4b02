"""Distillation: the teachers write what they and counting expect together, and a student learns from it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from char_lstm import build_tokenizer, cli, load_decoder
from char_lstm.corpus.build import load_corpus
from char_lstm.corpus.sequences import ids_of
from char_lstm.loading import CheckpointError
from char_lstm.torch_decoder_char_lstm import as_decoder
from char_lstm.training import distillation
from char_lstm.training.distillation import Mixture
from char_lstm.training.ngram import KneserNey
from char_lstm.training.targets import ngram_targets
from char_lstm.verbs.train import read_command
from tests.training.test_run import TINY

SETTINGS = {"ngram_order": 5, "counting_share": 0.3, "written_characters": 2000, "seed": 0}


def distil(teacher, rows, tokenizer, **settings):
    return distillation.distil(SimpleNamespace(teachers=[str(teacher)], **SETTINGS | settings), rows, tokenizer)


@pytest.fixture(autouse=True)
def kept_apart(tmp_path, monkeypatch):
    """Few texts at once, and a place of its own for what the library keeps."""
    monkeypatch.setattr(distillation, "TEXTS", 8)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "kept")


@pytest.fixture
def rows(corpus):
    return load_corpus(str(corpus))["train"]


def test_what_is_expected_is_the_average_of_models_and_counting(rows, tokenizer, make_model):
    models = [make_model(), make_model(cell_type="gru", hidden_size=9)]
    counts = KneserNey(ids_of(rows, tokenizer), len(tokenizer), 4)
    decoders = [as_decoder(model) for model in models]
    mixture = Mixture(decoders, counts, counting_share=0.3, first=1, never=0)
    texts = np.random.default_rng(0).integers(2, len(tokenizer), (8, 6))
    for ids in texts.T:
        mixture.step(ids)
    started = torch.tensor(np.insert(texts, 0, 1, axis=1))
    with torch.no_grad():
        by_models = sum(model(started).logits[:, -1].softmax(-1) for model in models).numpy() / 2
    by_counting = np.stack([counts.probabilities(np.array([1, *text, 0]))[-1] for text in texts])
    wanted = 0.7 * by_models + 0.3 * by_counting
    wanted[:, 0] = 0
    assert mixture.probabilities() == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True), abs=1e-5)


def test_written_rows_are_whole_sentences_each_with_what_was_expected(rows, tokenizer, saved):
    written, expected = distil(saved, rows, tokenizer)
    assert written.features == rows.features
    texts = written["text"][:]
    assert 1000 < len("".join(texts)) <= 2000
    assert texts[-1].endswith("\n")
    assert expected.shape == (len("".join(texts)), len(tokenizer))
    assert expected.astype(float).sum(axis=1) == pytest.approx(1, abs=1e-2)
    assert not expected[:, tokenizer.pad_token_id].any()
    decoder, _ = load_decoder(saved)
    counts = KneserNey(ids_of(rows, tokenizer), len(tokenizer), 5)
    mixture = Mixture([decoder], counts, 0.3, first=1, never=0)
    for place, character in enumerate(texts[0]):  # a lane begins anew
        assert expected[place] == pytest.approx(mixture.probabilities()[0], abs=1e-3)
        mixture.step(np.full(8, tokenizer.convert_tokens_to_ids(character)))


def test_however_little_is_written_there_are_rows(rows, tokenizer, saved):
    written, expected = distil(saved, rows, tokenizer, written_characters=10)
    assert len("".join(written["text"])) == len(expected) >= 8


def test_characters_come_as_often_as_they_are_expected(rows, tokenizer, saved):
    written, expected = distil(saved, rows, tokenizer, written_characters=20_000)
    ids = tokenizer.convert_tokens_to_ids(list("".join(written["text"])))
    came = np.bincount(ids, minlength=len(tokenizer)) / len(ids)
    assert came == pytest.approx(expected.astype(float).mean(axis=0), abs=0.015)


def test_the_same_teachers_write_once_and_others_anew(rows, tokenizer, make_model, saved, monkeypatch):
    first, expected = distil(saved, rows, tokenizer)
    with monkeypatch.context() as patch:
        patch.setattr(distillation, "sample_mixture", None)
        again, expected_again = distil(saved, rows, tokenizer)
    assert again["text"][:] == first["text"][:]
    assert np.array_equal(expected_again, expected)
    for settings in ({"seed": 1}, {"counting_share": 0.6}):
        other, _ = distil(saved, rows, tokenizer, **settings)
        assert other["text"][:] != first["text"][:]
    model = make_model()
    model.lm_head.bias.data += 1 + torch.arange(len(tokenizer))
    model.save_pretrained(saved)
    changed, _ = distil(saved, rows, tokenizer)
    assert changed["text"][:] != first["text"][:]


def test_a_teacher_of_another_alphabet_is_refused(rows, saved):
    with pytest.raises(CheckpointError, match=f"{saved} has a different alphabet"):
        distil(saved, rows, build_tokenizer(["abc"]))


def test_a_student_reads_the_text_and_then_what_its_teachers_wrote(corpus, saved, tmp_path):
    arguments = ["--teachers", str(saved), "--written_characters", "2000", "--counting_share", "0.5"]
    recipe = read_command(["--dataset", str(corpus), *TINY, *arguments])
    reading = recipe.reading(recipe)
    tokenizer, rows, sentences = reading.tokenizer, reading.training_rows(), reading.rows
    alone = ngram_targets(recipe, rows, tokenizer)
    written, expected = distillation.distil(recipe, rows, tokenizer)
    assert len(sentences) == len(rows) + len(written)
    assert np.array_equal(sentences.soft_targets, np.concatenate([alone, expected]))
    last = sentences[len(sentences) - 1, len(sentences)]
    assert "".join(tokenizer.convert_ids_to_tokens(last["input_ids"])) == "\n" + written["text"][-1]


def test_a_run_with_teachers_ends_in_a_model(corpus, saved, tmp_path):
    arguments = ["--teachers", str(saved), str(saved), "--written_characters", "2000"]
    cli.run("train", ["--dataset", str(corpus), "--output_dir", str(tmp_path / "run"), *TINY, *arguments])
    assert (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("--ngram_smoothing 0", "set --ngram_smoothing above 0"),
        ("--window_length 20", "--teachers teach every character: choose one"),
        ("--streaming true --max_steps 3 --tokenizer CORPUS", "--teachers teach a stored corpus: choose one"),
        ("--teachers nowhere", "nowhere: no such model folder"),
    ],
)
def test_what_does_not_go_with_teachers_is_refused(corpus, saved, tmp_path, capsys, setting, words):
    arguments = ["--teachers", str(saved), *setting.replace("CORPUS", str(corpus)).split()]
    with pytest.raises(SystemExit):
        cli.run("train", ["--dataset", str(corpus), "--output_dir", str(tmp_path / "run"), *TINY, *arguments])
    assert words in capsys.readouterr().err.splitlines()[-1]
