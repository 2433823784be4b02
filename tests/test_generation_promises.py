"""What transformers' GenerationTesterMixin promises of `generate`, under its names, for every cell type.

The source distribution of transformers has its tests of models (`make upstream`), not those of generation.
"""

import pytest
import torch
from transformers import DynamicCache, set_seed

from char_lstm.cells import CELL_STEPS

NEW = 5
BEAMS = {"num_beams": 3, "num_return_sequences": 2}


@pytest.fixture(params=CELL_STEPS)
def model(request, make_model):
    return make_model(cell_type=request.param)


@pytest.fixture
def ids(tokenizer):
    return tokenizer(["the sea", "a light"], return_tensors="pt").input_ids


@pytest.fixture
def write(model, ids):
    """Calls `generate` for a given number of characters."""

    def call(inputs=ids, new=NEW, **settings):
        set_seed(0)
        return model.generate(inputs, **{"do_sample": False, "max_new_tokens": new} | settings)

    return call


def check_outputs(output, ids, model, *, rows=1, beams=1, use_cache=True):
    """What comes back beside the text, step by step, has the library's shapes."""
    batch, vocab, layers = len(ids), model.config.vocab_size, model.config.num_hidden_layers
    assert output.sequences.shape == (batch * rows, ids.shape[1] + NEW)
    assert [scores.shape for scores in output.scores] == [(batch * max(rows if beams == 1 else beams, 1), vocab)] * NEW
    assert len(output.hidden_states) == NEW
    for step, states in enumerate(output.hidden_states):
        read = ids.shape[1] + step if step == 0 or not use_cache else 1
        assert len(states) == layers + 1
        assert {(len(state), state.shape[1]) for state in states} == {(len(output.scores[0]), read)}
    if use_cache:
        assert output.past_key_values.get_seq_length() == ids.shape[1] + NEW - 1


EVERYTHING = {"return_dict_in_generate": True, "output_scores": True, "output_hidden_states": True}


def test_greedy_generate(write, ids):
    assert write().shape == (2, ids.shape[1] + NEW)


@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_generate_dict_outputs_use_cache(model, write, ids, use_cache):
    output = write(**EVERYTHING, use_cache=use_cache)
    check_outputs(output, ids, model, use_cache=use_cache)
    assert torch.equal(output.sequences, write())


def test_sample_generate(write):
    assert torch.equal(write(do_sample=True), write(do_sample=True, use_cache=False))


def test_sample_generate_dict_output(model, write, ids):
    output = write(**EVERYTHING, do_sample=True, num_return_sequences=2)
    check_outputs(output, ids, model, rows=2)
    assert torch.equal(output.sequences, write(do_sample=True, num_return_sequences=2))


@pytest.mark.parametrize("do_sample", [False, True], ids=["beam_search", "beam_sample"])
class TestBeams:
    def test_beam_generate(self, write, do_sample):
        assert torch.equal(write(**BEAMS, do_sample=do_sample), write(**BEAMS, do_sample=do_sample, use_cache=False))

    def test_beam_generate_dict_outputs_use_cache(self, model, write, ids, do_sample):
        output = write(**EVERYTHING, **BEAMS, do_sample=do_sample)
        check_outputs(output, ids, model, rows=2, beams=3)
        assert output.beam_indices.shape == (4, NEW)


def test_generate_without_input_ids(model):
    assert model.generate(do_sample=False, max_new_tokens=NEW).shape == (1, 1 + NEW)


@pytest.mark.parametrize("with_state", [True, False])
def test_generate_methods_with_logits_to_keep(write, with_state):
    assert torch.equal(write(logits_to_keep=0, use_cache=with_state), write(use_cache=with_state))


def test_left_padding_compatibility(write, ids):
    padded = torch.nn.functional.pad(ids, (4, 0))
    written = write(padded, attention_mask=(padded != 0).long())
    assert torch.equal(written[:, 4:], write())


@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_generate_from_inputs_embeds(model, write, ids, settings):
    embeds = model.get_input_embeddings()(ids)
    assert torch.equal(write(None, inputs_embeds=embeds, **settings), write(**settings)[:, ids.shape[1] :])
    assert torch.equal(write(ids, inputs_embeds=embeds, **settings), write(**settings))


def test_generate_continue_from_past_key_values(model, write):
    first = write(new=2, return_dict_in_generate=True)
    before = [part.clone() for layer in first.past_key_values.layers for part in (layer.keys, layer.values)]
    assert torch.equal(write(first.sequences, new=NEW - 2, past_key_values=first.past_key_values), write())
    after = [part for layer in first.past_key_values.layers for part in (layer.keys, layer.values)]
    assert all(map(torch.equal, before, after))


def test_generate_continue_from_inputs_embeds(model, write, ids):
    embed = model.get_input_embeddings()
    first = write(None, new=2, inputs_embeds=embed(ids), return_dict_in_generate=True)
    read = torch.cat([embed(ids), embed(first.sequences)], dim=1)
    second = write(None, new=NEW - 2, inputs_embeds=read, past_key_values=first.past_key_values)
    assert torch.equal(torch.cat([first.sequences, second], dim=1), write()[:, ids.shape[1] :])


def test_past_key_values_format(model, write, ids):
    state = write(return_dict_in_generate=True).past_key_values
    hidden = (len(ids), model.config.hidden_size)
    assert len(state) == model.config.num_hidden_layers
    assert {part.shape for layer in state.layers for part in (layer.keys, layer.values)} == {hidden}


def test_prepare_inputs_for_generation_kwargs_forwards(model, write, monkeypatch):
    given, forward = [], model.forward
    monkeypatch.setattr(model, "forward", lambda *args, **kwargs: given.append(kwargs) or forward(*args, **kwargs))
    write(output_hidden_states=True, return_dict_in_generate=True)
    assert all(kwargs["output_hidden_states"] for kwargs in given)


@pytest.mark.parametrize("kind", ["static", "dynamic", "offloaded"])
def test_generate_with_static_cache(write, kind):
    """The library says that it ignores the kind, and does."""
    assert torch.equal(write(cache_implementation=kind), write())


class TestRefusals:
    """A state cannot step back, and is no list of keys and values: what needs one or the other says so."""

    @pytest.mark.parametrize("settings", [{"assistant_model": ...}, {"prompt_lookup_num_tokens": 2}], ids=str)
    def test_assisted_decoding(self, model, write, settings):
        settings = {name: model if value is ... else value for name, value in settings.items()}
        with pytest.raises(ValueError, match="not supported with stateful models"):
            write(torch.ones(1, 3, dtype=torch.long), **settings)

    def test_a_cache_of_keys_and_values(self, write):
        keys_and_values = DynamicCache()
        keys_and_values.update(torch.zeros(2, 1, 1, 4), torch.zeros(2, 1, 1, 4), 0)
        with pytest.raises((TypeError, ValueError), match="no keys and values"):
            write(past_key_values=keys_and_values)

    def test_group_beam_search(self, write):
        with pytest.raises(ValueError, match="group"):
            write(num_beams=4, num_beam_groups=2)
