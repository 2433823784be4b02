"""`resize_token_embeddings` of every graph: old scores stay, new ids differ, and only tokens are written."""

import json
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline

from char_lstm import CharLstmForCausalLM, CharLstmModel, build_tokenizer, generate_text, load, load_decoder
from char_lstm.loading import CheckpointError
from tests.conftest import ROOT

GRAPHS = {
    "one_hot": {"embedding_size": 0},
    "one_hot_gru": {"embedding_size": 0, "cell_type": "gru"},
    "one_hot_rnn": {"embedding_size": 0, "cell_type": "rnn"},
    "embedded": {"embedding_size": 6},
    "tied": {"embedding_size": 16, "tie_word_embeddings": True},
}


@pytest.fixture(params=GRAPHS)
def model(request, make_model):
    model = make_model(**GRAPHS[request.param])
    if model.config.embedding_size == 0:  # not random as the other weights are
        torch.nn.init.eye_(model.model.embed_tokens.weight)
    return model


@pytest.fixture
def ids(tokenizer):
    return tokenizer(["the lamp of the sea", "a b"], padding=True, return_tensors="pt")


def test_old_scores_stay_and_each_new_id_is_read_differently(model, ids):
    before = model(**ids).logits
    model.resize_token_embeddings(40)
    assert model.config.vocab_size == 40
    torch.testing.assert_close(model(**ids).logits[..., :29], before)
    each_alone = model(torch.arange(40).unsqueeze(1)).logits[:, 0]  # (vocab, vocab)
    assert torch.cdist(each_alone, each_alone).fill_diagonal_(1).min() > 1e-3


def test_smaller_again_is_the_model_that_it_was(model, ids):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.resize_token_embeddings(40)
    model.resize_token_embeddings(29)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_it_learns_new_ids_even_after_a_step_at_the_old_size_and_a_one_hot_stays_one(model, ids):
    model(**ids, labels=ids.input_ids).loss.backward()
    model.resize_token_embeddings(31)
    model.train()
    text = torch.tensor([[1, 29, 5, 30, 5, 29, 5, 30, 5]])
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(model(text, labels=text).loss)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    if model.config.embedding_size == 0:
        assert torch.equal(model.model.embed_tokens.weight, torch.eye(31))


def test_a_resized_model_saves_loads_and_never_writes_an_id_that_is_no_token(model, tokenizer, ids, tmp_path):
    with torch.no_grad():
        model.resize_token_embeddings(40)
        model.lm_head.bias[29:] = 50.0  # the surplus would be all that it writes
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    torch.testing.assert_close(CharLstmForCausalLM.from_pretrained(tmp_path)(**ids).logits, model(**ids).logits)
    written = generate_text(model, tokenizer, "the ", seed=1, max_new_tokens=30)
    assert len(written) == 30
    assert set(written) <= set(tokenizer.get_vocab())
    for loaded in (load(tmp_path), load_decoder(tmp_path)):
        assert generate_text(*loaded, "the ", seed=1, max_new_tokens=30) == written
    for options in ({}, {"num_beams": 2}):
        assert load(tmp_path)[0].generate(**ids, max_new_tokens=20, **options).max() < 29


def test_ids_that_fill_up_a_multiple_are_never_written_by_the_library_either(model, tokenizer, tmp_path):
    with torch.no_grad():
        model.resize_token_embeddings(pad_to_multiple_of=8)
        model.lm_head.bias[29:] = 50.0
    assert model.config.vocab_size == 32
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.generate(torch.tensor([[5, 6]]), max_new_tokens=20).max() < 29
    write = pipeline("text-generation", model=again, tokenizer=tokenizer)
    assert len(write("the ", max_new_tokens=20, return_full_text=False)[0]["generated_text"]) == 20


def test_an_id_is_written_again_once_it_is_asked_for(make_model):
    model = make_model()
    model.resize_token_embeddings(29, pad_to_multiple_of=16)
    assert model.generation_config.suppress_tokens == [0, 29, 30, 31]
    model.resize_token_embeddings(30, pad_to_multiple_of=16)
    assert model.generation_config.suppress_tokens == [0, 30, 31]
    model.resize_token_embeddings(20)
    assert model.generation_config.suppress_tokens == [0]


def test_nothing_asked_for_changes_nothing(model):
    weights = list(model.parameters())
    for asked in (None, 29):
        assert model.resize_token_embeddings(asked) is model.get_input_embeddings()
    assert all(one is other for one, other in zip(model.parameters(), weights, strict=True))
    assert model.generation_config.suppress_tokens == [0]


def test_the_base_model_resizes_too(make_model):
    base = CharLstmModel(make_model(embedding_size=0).config)
    base.resize_token_embeddings(33)
    assert base(torch.tensor([[32]])).last_hidden_state.shape == (1, 1, 16)


def test_the_command_takes_a_resized_model(make_model, tokenizer, tmp_path):
    model = make_model(embedding_size=0)
    model.resize_token_embeddings(40)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    command = [sys.executable, ROOT / "scripts" / "generate.py", "--model", tmp_path, "--max_new_tokens", "200"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 201
    assert set(done.stdout) <= set(tokenizer.get_vocab())


def test_a_smaller_alphabet_than_the_model_ever_had_is_refused_of_a_resized_model_too(make_model, tmp_path):
    model = make_model()
    model.resize_token_embeddings(40)
    model.save_pretrained(tmp_path)
    build_tokenizer(["the sea"]).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="belongs to another model"):
        load(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["alphabet_size"] == 29
