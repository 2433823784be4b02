"""A token that a user adds is one id, everywhere; a special token's name in a text is what it looks like."""

import json

import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from char_lstm import build_tokenizer, generate_text, inspect_text, load, load_decoder, normalise
from char_lstm.loading import CheckpointError

TEXT = "the lamp. <|poem|>The sea,<|poem|>\nsea <pad>"
WAYS = {
    "add_special_tokens": lambda tokenizer: tokenizer.add_special_tokens({"extra_special_tokens": ["<|poem|>"]}),
    "add_tokens_special": lambda tokenizer: tokenizer.add_tokens("<|poem|>", special_tokens=True),
    "add_tokens_not_normalized": lambda tokenizer: tokenizer.add_tokens(AddedToken("<|poem|>", normalized=False)),
}


@pytest.fixture(params=WAYS)
def extended(story, request):
    tokenizer = build_tokenizer([story])
    assert WAYS[request.param](tokenizer) == 1
    return tokenizer


def test_an_added_token_is_one_id_and_the_text_around_it_is_normalised(extended, tmp_path):
    extended.save_pretrained(tmp_path)
    for tokenizer in (
        extended,
        AutoTokenizer.from_pretrained(tmp_path),
        PreTrainedTokenizerFast.from_pretrained(tmp_path),
    ):
        ids = tokenizer(TEXT).input_ids
        assert len(tokenizer) == 30
        assert [index for index in ids if index >= 29] == [29, 29]
        assert tokenizer.decode(ids) == "the lamp\n<|poem|>the sea <|poem|>\nsea pad "
        assert tokenizer("a poem is a <|lamp|>").input_ids == tokenizer("a poem is a lamp ").input_ids


def test_what_the_tokenizer_reads_is_what_normalise_says(extended):
    normalised = normalise(extended, TEXT)
    assert normalised == "the lamp\n<|poem|>the sea <|poem|>\nsea pad "
    assert normalise(extended, normalised) == normalised
    assert extended(normalised).input_ids == extended(TEXT).input_ids


def test_a_model_learns_an_added_token_saves_it_and_writes_it(make_model, extended, tmp_path):
    model = make_model(embedding_size=0)
    model.resize_token_embeddings(len(extended))
    ids = extended("<|poem|>the sea<|poem|>the sea<|poem|>", return_tensors="pt").input_ids
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(tmp_path)
    extended.save_pretrained(tmp_path)
    for loaded in (load(tmp_path), load_decoder(tmp_path)):
        assert generate_text(*loaded, "<|poem|>The", temperature=0, max_new_tokens=5) == " sea<|poem|>"
    assert inspect_text(*load(tmp_path), "a <|poem|>").chars == ["a", " ", "<|poem|>"]


def test_a_token_that_the_normaliser_would_take_apart_is_refused_with_what_to_do(
    make_model, tokenizer, story, tmp_path
):
    extended = build_tokenizer([story])
    extended.add_tokens("<|poem|>")
    model = make_model()
    model.resize_token_embeddings(30)
    model.save_pretrained(tmp_path)
    extended.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="special_tokens=True"):
        load(tmp_path)


@pytest.mark.parametrize("mode", [{}, {"strip_punctuation": False}, {"unit": "word"}])
def test_the_usual_name_of_a_pad_is_its_characters(mode):
    tokenizer = build_tokenizer(["a<pad>b c"], **mode)
    ids = tokenizer("a<pad>b c").input_ids
    assert not {tokenizer.pad_token_id, tokenizer.unk_token_id} & set(ids)
    assert tokenizer.decode(ids, skip_special_tokens=True).split() == normalise(tokenizer, "a<pad>b c").split()


@pytest.mark.parametrize("mode", [{}, {"strip_punctuation": False}, {"unit": "word"}])
def test_the_pad_in_a_text_is_a_character_that_no_alphabet_has(mode):
    text = "a\uffffb c"
    tokenizer = build_tokenizer([text], **mode)
    assert "\uffff" not in normalise(tokenizer, text)
    assert 0 not in tokenizer(normalise(tokenizer, text)).input_ids


def as_it_was_saved(folder, tokenizer, pad="<pad>"):
    """The files of a tokenizer that was made when the pad had a name that a text can hold."""
    tokenizer.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        content = (folder / name).read_text(encoding="utf-8").replace(tokenizer.pad_token, pad)
        (folder / name).write_text(content, encoding="utf-8")
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"split_special_tokens": True}
    del config["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("mode", [{}, {"strip_punctuation": False}])
def test_a_tokenizer_saved_with_another_pad_reads_as_it_did(make_model, tmp_path, mode):
    tokenizer = build_tokenizer(["the <lamp> is lit and goes by"], **mode)
    model = make_model(vocab_size=len(tokenizer))
    model.save_pretrained(tmp_path)
    as_it_was_saved(tmp_path, tokenizer)
    (_, loaded), (_, backend) = load(tmp_path), load_decoder(tmp_path)
    assert (loaded.pad_token, loaded.pad_token_id, loaded.eos_token) == ("<pad>", 0, None)
    for text in ("the <pad> is", "<pad>"):
        ids = tokenizer(text).input_ids
        assert loaded(text).input_ids == ids
        assert normalise(loaded, text) == normalise(backend, text) == normalise(tokenizer, text)
        assert loaded.decode(ids, skip_special_tokens=True) == normalise(loaded, text)
        written = generate_text(model, tokenizer, text, seed=1)
        for way in (load(tmp_path), load_decoder(tmp_path)):
            assert generate_text(*way, text, seed=1) == written
