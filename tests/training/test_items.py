"""Training on items: each a row from the newline to its end, which is scored once; what is left of the run."""

import json
import shlex
from itertools import chain

import pytest
import torch
from datasets import load_from_disk
from torch.nn.functional import cross_entropy

from char_lstm import cli, generate_items, load
from char_lstm.corpus.build import build_corpus
from char_lstm.items import hash_item
from char_lstm.training.readings.sentences import collate
from char_lstm.verbs.train import read_command

NAMES = [first + vowel + last + end for first in "bdklmn" for vowel in "aeo" for last in "ln" for end in "aio"]
TINY = shlex.split("""
    --num_hidden_layers 1 --hidden_size 16 --num_train_epochs 2 --learning_rate 1e-2 --report_to none
    --disable_tqdm true --use_cpu true --save_strategy no
""")


def run(corpus, output_dir, *arguments):
    cli.run("train", ["--dataset", str(corpus), "--output_dir", str(output_dir), *TINY, *arguments])
    return output_dir


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    (folder / "names.txt").write_text("\n".join(NAMES))
    build_corpus(folder / "corpus", text=folder / "names.txt", sequence="item")
    return folder / "corpus"


@pytest.fixture(scope="module")
def finished(names, tmp_path_factory):
    return run(names, tmp_path_factory.mktemp("finished"))


def test_a_row_of_a_batch_is_one_item_whose_end_is_its_last_target(names):
    recipe = read_command(["--dataset", str(names), "--ngram_smoothing", "0"])  # row_length 128 joins sentences
    reading = recipe.reading(recipe)
    batch = next(iter(reading.loader(None)))
    assert batch["labels"].tolist() == batch["input_ids"].tolist()  # all names are of one length
    texts = [reading.tokenizer.decode(row[1:-1]) for row in batch["input_ids"]]
    assert set(texts) <= set(NAMES)
    assert batch["input_ids"][:, [0, -1]].tolist() == [[1, 2]] * len(texts)
    assert sum(map(len, reading.loader(None).batch_sampler)) == len(reading.rows)


def test_soft_targets_are_those_of_the_items_and_their_ends(names):
    recipe = read_command(["--dataset", str(names)])
    reading = recipe.reading(recipe)
    row = collate([reading.rows[3, 4]])
    assert row["soft_targets"].shape[1] == row["input_ids"].shape[1] - 1 == 5
    assert row["soft_targets"][0, 4].argmax() == 2  # after four letters every name ends


def test_the_model_ends_its_texts_and_writes_items_that_it_was_not_trained_on(finished, names):
    model, tokenizer = load(finished)
    assert model.config.eos_token_id == model.generation_config.eos_token_id == 2
    trained_on = load_from_disk(names)["train"]["text"]
    assert model.known_items == {hash_item(text) for text in trained_on}
    assert not set(generate_items(model, tokenizer, 20, unique=True, seed=1)) & set(trained_on)
    samples = json.loads((finished / "samples.json").read_text())
    assert len(samples["001"].splitlines()) >= 10


def test_nats_are_per_character_with_the_end_and_per_item(finished, names, tmp_path, capsys):
    cli.run("evaluate", ["--model", str(finished), "--dataset", str(names), "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    model, tokenizer = load(finished)
    texts = load_from_disk(names)["test"]["text"]
    rows = torch.tensor([[*tokenizer(text).input_ids, 2] for text in texts])
    nats = cross_entropy(model(rows).logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten(), reduction="sum").item()
    assert figures["characters"] == sum(map(len, texts)) + len(texts)
    assert figures["nats_per_char"] == pytest.approx(nats / figures["characters"], abs=1e-5)
    assert figures["nats_per_item"] == pytest.approx(nats / len(texts), abs=1e-4)
    assert f"nats per item; the end of each of the {len(texts)} is a character" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--stateful", "true"], ["--window_length", "9"], ["--teachers", "x"]])
def test_what_only_running_text_has_is_refused(names, tmp_path, capsys, option):
    with pytest.raises(SystemExit):
        run(names, tmp_path, *option)
    assert f"{option[0]} is for running text, and this is a corpus of items" in capsys.readouterr().err


def test_a_run_that_starts_from_a_model_of_running_text_learns_where_items_end(names, corpus, tmp_path, caplog):
    base = run(corpus, tmp_path / "base", "--max_steps", "2")
    tuned = run(names, tmp_path / "tuned", "--init_from", str(base))
    model, tokenizer = load(tuned)
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id == 2
    assert len(list(generate_items(model, tokenizer, 3, seed=1))) == 3
    assert f"{len(set(chain(*NAMES))) + 2} keep their weights" in caplog.text  # and the newline, and the blank
