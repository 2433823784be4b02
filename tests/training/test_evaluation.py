"""What the figures of an evaluation mean."""

import json
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from char_lstm import cli, load
from char_lstm.loading import CheckpointError
from char_lstm.training import evaluation, torch_scoring


@pytest.fixture(scope="session")
def corpus(story, tmp_path_factory):
    from char_lstm.corpus.build import build_corpus

    folder = tmp_path_factory.mktemp("corpus")
    (folder / "story.txt").write_text(story, encoding="utf-8")
    build_corpus(folder / "built", text=str(folder / "story.txt"))
    return folder / "built"


@pytest.fixture
def figures(saved, corpus, tmp_path):
    cli.run("evaluate", ["--model", str(saved), "--dataset", str(corpus), "--json", str(tmp_path / "figures.json")])
    return json.loads((tmp_path / "figures.json").read_text())


def nats(model, ids):
    """Total nats of ids, given the newline before them, in one forward."""
    text = torch.tensor([[model.config.bos_token_id, *ids]])
    return cross_entropy(model(text[:, :-1]).logits[0], text[0, 1:], reduction="sum").item()


def test_nats_per_char_is_the_whole_split_read_in_one_go(figures, saved, corpus, monkeypatch):
    from datasets import load_from_disk

    model, tokenizer = load(saved)
    ids = tokenizer("".join(load_from_disk(corpus)["test"]["text"])).input_ids
    assert figures["characters"] == len(ids)
    assert figures["nats_per_char"] == pytest.approx(nats(model, ids) / len(ids), abs=1e-6)
    assert figures["bits_per_char"] == pytest.approx(figures["nats_per_char"] / math.log(2))


def test_nats_per_char_reset_reads_each_row_alone(figures, saved, corpus):
    from datasets import load_from_disk

    model, tokenizer = load(saved)
    rows = [tokenizer(text).input_ids for text in load_from_disk(corpus)["test"]["text"]]
    total = sum(nats(model, row) for row in rows)
    assert figures["nats_per_char_reset"] == pytest.approx(total / sum(map(len, rows)), abs=1e-6)


def test_the_figures_are_of_these_weights_and_this_tokenizer_and_no_others(figures, saved):
    (saved / "evaluation.json").write_text(json.dumps(figures))
    load(saved)
    (saved / "evaluation.json").write_text(json.dumps(figures | {"weights_sha256": "0"}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not the file that evaluation\.json"):
        load(saved)


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
def test_a_flag_lets_other_weights_than_the_measured_ones_write_and_be_measured_anew(saved, corpus, verb, capsys):
    record = saved / "evaluation.json"
    record.write_text('{"weights_sha256": "0"}')
    command = ["--model", str(saved)]
    command += ["--dataset", str(corpus), "--json", str(record)] if verb == "evaluate" else ["--seed", "1"]
    with pytest.raises(SystemExit):
        cli.run(verb, command)
    assert "--ignore_mismatched_hashes" in capsys.readouterr().err
    cli.run(verb, [*command, "--ignore_mismatched_hashes"])
    if verb == "evaluate":
        load(saved)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_chunk_size_changes_no_figure(model, chunk, monkeypatch):
    ids = torch.randint(1, 20, (65,)).tolist()
    monkeypatch.setattr(torch_scoring, "CHUNK", chunk)
    assert torch_scoring.score_carried(model, ids).sum() == pytest.approx(nats(model, ids), abs=1e-4)


@pytest.mark.parametrize("settings", [{"cell_type": "lstm", "embedding_size": 0}, {"cell_type": "gru"}])
def test_a_short_split_and_a_long_one_are_scored_alike_without_torch_and_with_it(
    make_model, tokenizer, corpus, tmp_path, monkeypatch, settings
):
    model = make_model(**settings)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    measured = {}
    for short in (0, 10**6):
        monkeypatch.setattr(evaluation, "SHORT", short)
        measured[short] = evaluation.evaluate_folder(str(tmp_path), str(corpus), adapt=True)
    assert measured[0] == pytest.approx(measured[10**6], abs=1e-6)
    assert measured[0]["parameters"] == model.num_parameters(only_trainable=True)


def test_an_unknown_split_is_one_clear_line_and_exit_code_2(saved, corpus, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run("evaluate", ["--model", str(saved), "--dataset", str(corpus), "--split", "dev"])
    assert stop.value.code == 2
    assert "has no split dev; it has train, validation, test" in capsys.readouterr().err
