"""Whole items: from a newline to their end, as `generate` of transformers ends them too; known or new; none twice."""

import math

import pytest
import torch
from transformers import pipeline

from char_lstm import build_tokenizer, generate_items, generate_text, load, load_decoder
from char_lstm.errors import CheckpointError
from char_lstm.items import FILE, hash_item, save_items
from char_lstm.scoring import nats_of_each
from char_lstm.tokenization_char_lstm import END_OF_ITEM

NAMES = ["emma", "ava", "mia", "amelia", "maya"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(NAMES, eos_token=END_OF_ITEM)


@pytest.fixture
def model(make_model):
    model = make_model(eos_token_id=2)
    model.generation_config.update(eos_token_id=2, max_new_tokens=40)
    with torch.no_grad():
        model.lm_head.bias[2] += 2  # items of a few characters
    return model


@pytest.fixture
def saved(saved):
    save_items(NAMES, saved)
    return saved


def always(model, tokenizer, character):
    """Makes the model write one character, come what may."""
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.fill_(-100)
        model.lm_head.bias[tokenizer.convert_tokens_to_ids(character)] = 100


def test_so_many_whole_items_come_with_their_prefix(model, tokenizer):
    items = list(generate_items(model, tokenizer, 30, prefix="Ma", seed=1))
    assert len(items) == 30
    assert all(item.startswith("ma") and END_OF_ITEM not in item for item in items)
    assert len(set(map(len, items))) > 3


def test_the_text_of_a_model_of_items_stops_at_its_end(model, tokenizer):
    items = list(generate_items(model, tokenizer, 5, seed=7))
    texts = [generate_text(model, tokenizer, seed=seed) for seed in range(7, 40)]
    assert [text for text in texts if text][:5] == items
    assert max(map(len, texts)) < 40


def test_generate_and_the_pipeline_stop_there_too(model, tokenizer):
    texts: dict[str, str] = {}
    while not any(texts.values()):  # the end becomes less likely until some greedy text has a character before it
        with torch.no_grad():
            model.lm_head.bias[2] -= 0.1
        texts = {prompt: generate_text(model, tokenizer, prompt, temperature=0) for prompt in "aeilmvy"}
    prompt = max(texts, key=lambda prompt: 0 < len(texts[prompt]) < 40)
    assert 0 < len(texts[prompt]) < 40
    ids = model.generate(**tokenizer(prompt, return_tensors="pt"), do_sample=False)[0]
    assert tokenizer.decode(ids[2:], skip_special_tokens=True) == texts[prompt]
    assert ids[-1] == model.config.eos_token_id
    write = pipeline("text-generation", model=model, tokenizer=tokenizer)
    assert write(prompt, do_sample=False)[0]["generated_text"] == prompt + texts[prompt]


def test_a_prefix_is_read_as_in_training_after_a_newline(model, tokenizer):
    assert tokenizer("ma").input_ids == [1, *tokenizer("ma", add_special_tokens=False).input_ids]
    greedy = model.generate(torch.tensor([[1, *tokenizer("ma").input_ids[1:]]]), do_sample=False)[0, 3:-1]
    assert generate_text(model, tokenizer, "ma", temperature=0) == tokenizer.decode(greedy)


def test_a_model_that_decodes_itself_writes_the_same_items(model, tokenizer):
    items = list(generate_items(model, tokenizer, 20, prefix="a", seed=5))
    with model.register_forward_hook(lambda *_: None):
        assert list(generate_items(model, tokenizer, 20, prefix="a", seed=5)) == items


def test_a_decoder_writes_the_same_items(model, tokenizer, saved):
    arguments = {"prefix": "a", "unique": True, "seed": 5}
    assert list(generate_items(*load(saved), 20, **arguments)) == list(
        generate_items(*load_decoder(saved), 20, **arguments)
    )


def test_without_unique_an_item_may_come_again_and_with_it_none_does(model, tokenizer):
    again = list(generate_items(model, tokenizer, 200, seed=1))
    assert len(set(again)) < 200
    unique = list(generate_items(model, tokenizer, 50, seed=1, unique=True))
    assert len(set(unique)) == len(unique) == 50
    assert unique[:3] == list(dict.fromkeys(again))[:3]


def test_unique_items_stand_nowhere_in_the_training_set(model, tokenizer, saved):
    model, tokenizer = load(saved)
    written = list(generate_items(model, tokenizer, 30, seed=1))
    save_items(written[:10], saved)
    model, tokenizer = load(saved)
    assert not set(generate_items(model, tokenizer, 30, seed=1, unique=True)) & set(written[:10])


def test_without_hashes_of_the_training_set_that_is_said(model, tokenizer, caplog):
    assert len(list(generate_items(model, tokenizer, 3, unique=True, seed=1))) == 3
    assert "came without the hashes of its training items" in caplog.text


@pytest.mark.parametrize(("writes", "found"), [(END_OF_ITEM, []), ("a", [])])
def test_an_item_that_is_empty_or_has_no_end_is_none(model, tokenizer, caplog, writes, found):
    always(model, tokenizer, writes)
    assert list(generate_items(model, tokenizer, 5, seed=1)) == found
    assert "found 0 of 5 items: 1000 tries in a row brought no other" in caplog.text


def test_it_stops_with_what_it_found_where_there_is_no_more(model, tokenizer, caplog):
    always(model, tokenizer, END_OF_ITEM)
    assert list(generate_items(model, tokenizer, 5, prefix="mia", unique=True, seed=1)) == ["mia"]
    assert "found 1 of 5 items" in caplog.text


def test_a_model_of_running_text_writes_no_items(make_model, tokenizer):
    with pytest.raises(ValueError, match="running text"):
        next(generate_items(make_model(vocab_size=len(tokenizer)), tokenizer, 1))


def test_an_item_costs_what_the_model_says(model, tokenizer):
    ids = torch.tensor([[*tokenizer("maya").input_ids, 2]])
    expected = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="sum").item()
    assert nats_of_each(model, tokenizer, ["a", "maya"])[1] == pytest.approx(expected, abs=1e-4)
    certain = sum(math.exp(-nats) for nats in nats_of_each(model, tokenizer, ["", *"amelivy"]))
    assert 0 < certain < 1


def test_hashes_tell_items_apart_and_hold_no_text(tmp_path):
    save_items(NAMES, tmp_path)
    content = (tmp_path / FILE).read_bytes()
    assert not any(name.encode() in content for name in NAMES)
    assert len({hash_item(f"{number}") for number in range(10_000)}) == 10_000


def test_a_broken_file_of_hashes_is_named(saved):
    (saved / FILE).write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"items\.safetensors is broken"):
        load_decoder(saved)
