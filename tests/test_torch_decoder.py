"""A model that was changed in whatever way writes what its own forward says; one as it was built, at full speed."""

import copy

import numpy as np
import peft
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import set_seed

from char_lstm import CharLstmForCausalLM, generate_text
from char_lstm.decoder_char_lstm import CharLstmDecoder
from char_lstm.torch_decoder_char_lstm import ModelDecoder, as_decoder, lay_out

PROMPT, STEPS = "the lamp", 12


def upside_down(function):
    """A method of a module, or of a class, that scores its output the other way round."""

    def turned(*args, **kwargs):
        output = function(*args, **kwargs)
        if hasattr(output, "logits"):
            output.logits = -output.logits
        return -output if isinstance(output, torch.Tensor) else output

    return turned


class Turned(CharLstmForCausalLM):
    forward = upside_down(CharLstmForCausalLM.forward)


class TurnedLinear(nn.Linear):
    forward = upside_down(nn.Linear.forward)


class Negative(nn.Module):
    def forward(self, x):
        return -x


class Backwards(nn.Parameter):
    """A weight whose products come out negative."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        output = super().__torch_function__(function, types, args, kwargs or {})
        return -output if function is nn.functional.linear else output


class TurnedFunctions(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        return -output if function is nn.functional.linear else output


class TurnedOperators(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        return -output if function is torch.ops.aten.addmm.default else output


def unlink_recurrent_weights(model):
    """The layer reads a list of weights that no state dict shows."""
    layer = model.model.layers[1]
    layer._flat_weights = [nn.Parameter(-weight.detach()) for weight in layer._flat_weights]


CHANGES = {
    "forward_of_the_instance": lambda model: setattr(model, "forward", upside_down(model.forward)),
    "forward_of_the_head": lambda model: setattr(model.lm_head, "forward", upside_down(model.lm_head.forward)),
    "helper_of_the_instance": lambda model: setattr(
        model.model, "_run_layers", lambda embedded, *rest: type(model.model)._run_layers(model.model, -embedded, *rest)
    ),
    "class_of_the_model": lambda model: setattr(model, "__class__", Turned),
    "class_of_the_head": lambda model: setattr(model.lm_head, "__class__", TurnedLinear),
    "layer_more": lambda model: setattr(model, "lm_head", nn.Sequential(model.lm_head, Negative())),
    "dropout_replaced": lambda model: setattr(model, "output_dropout", Negative()),
    "setting_of_a_layer": lambda model: setattr(model.model.embed_tokens, "max_norm", 0.1),
    "hook": lambda model: model.lm_head.register_forward_hook(lambda module, inputs, output: -output),
    "hook_before": lambda model: model.lm_head.register_forward_pre_hook(lambda module, inputs: -inputs[0]),
    "parametrisation": lambda model: nn.utils.parametrize.register_parametrization(model.lm_head, "weight", Negative()),
    "norm_of_weights": lambda model: nn.utils.parametrizations.weight_norm(model.lm_head),
    "weight_of_another_class": lambda model: setattr(model.lm_head, "weight", Backwards(model.lm_head.weight.detach())),
    "weights_unlinked": unlink_recurrent_weights,
    "no_bias": lambda model: setattr(model.lm_head, "bias", None),
}
CLASSES = {
    "forward_of_the_model": (CharLstmForCausalLM, "forward"),
    "forward_of_a_layer": (nn.Linear, "forward"),
    "call_of_every_module": (nn.Module, "__call__"),
}
SURROUNDINGS = {
    "hook_on_every_module": lambda: nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: -output if isinstance(module, nn.Linear) else None
    ),
    "mode_of_functions": TurnedFunctions,
    "mode_of_operators": TurnedOperators,
}


def scores_of(model, ids):
    """Scores of the next character after the whole text, (batch, vocab), the pad left out."""
    scores = model(ids).logits[:, -1]
    return scores.index_fill(-1, torch.tensor([0]), -torch.inf)


@torch.no_grad()
def assert_writes_what_forward_says(model, tokenizer):
    """In every way of writing, against each step from the whole text."""
    prompt = tokenizer(PROMPT, return_tensors="pt")
    greedy = drawn = prompt.input_ids
    set_seed(2)
    for _ in range(STEPS):
        greedy = torch.cat([greedy, scores_of(model, greedy).argmax(-1, keepdim=True)], dim=1)
        drawn = torch.cat([drawn, scores_of(model, drawn).softmax(-1).multinomial(1)], dim=1)
    assert torch.equal(model.generate(**prompt, do_sample=False, max_new_tokens=STEPS), greedy)
    set_seed(2)
    assert torch.equal(model.generate(**prompt, max_new_tokens=STEPS), drawn)
    beams = {"do_sample": False, "max_new_tokens": STEPS, "num_beams": 3}
    assert torch.equal(model.generate(**prompt, **beams), model.generate(**prompt, **beams, use_cache=False))
    ours = generate_text(model, tokenizer, PROMPT, temperature=0, max_new_tokens=STEPS)
    assert ours == tokenizer.decode(greedy[0, prompt.input_ids.shape[1] :])


@pytest.fixture
def written(model, tokenizer):
    """The model, which has written before it is changed."""
    model.generate(**tokenizer(PROMPT, return_tensors="pt"))
    assert isinstance(as_decoder(model), CharLstmDecoder)
    return model


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_writes_what_its_forward_says(written, tokenizer, change):
    CHANGES[change](written)
    assert isinstance(as_decoder(written), ModelDecoder)
    assert_writes_what_forward_says(written, tokenizer)


@pytest.mark.parametrize("change", CLASSES)
def test_a_model_whose_class_was_changed_writes_what_its_forward_says(written, tokenizer, monkeypatch, change):
    kind, name = CLASSES[change]
    monkeypatch.setattr(kind, name, upside_down(getattr(kind, name)))
    assert isinstance(as_decoder(written), ModelDecoder)
    assert_writes_what_forward_says(written, tokenizer)


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_what_steps_into_every_model_is_not_passed_over(written, tokenizer, surroundings):
    with SURROUNDINGS[surroundings]():
        assert isinstance(as_decoder(written), ModelDecoder)
        assert_writes_what_forward_says(written, tokenizer)
    assert isinstance(as_decoder(written), CharLstmDecoder)


def test_another_nonlinearity_is_another_computation(make_model, tokenizer):
    model = make_model(cell_type="rnn")
    model.model.layers[0].mode = "RNN_RELU"
    assert_writes_what_forward_says(model, tokenizer)


def test_a_model_under_an_adapter_writes_what_the_adapter_says(model, tokenizer):
    weights = ["layers.0.weight_hh_l0", "layers.1.weight_ih_l0"]
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["lm_head"], target_parameters=weights))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    adapted.eval()
    text = generate_text(adapted, tokenizer, PROMPT, temperature=0)
    assert_writes_what_forward_says(adapted, tokenizer)
    merged = adapted.merge_and_unload()
    assert isinstance(as_decoder(merged), CharLstmDecoder)
    assert_writes_what_forward_says(merged, tokenizer)
    assert generate_text(merged, tokenizer, PROMPT, temperature=0) == text


def test_layers_on_a_disk_write_as_they_did_in_memory(model, tokenizer, saved, tmp_path):
    places = {"model.embed_tokens": "cpu", "model.layers": "disk", "lm_head": "disk"}
    offloaded = CharLstmForCausalLM.from_pretrained(saved, device_map=places, offload_folder=tmp_path / "off")
    assert offloaded.lm_head.weight.is_meta
    assert_writes_what_forward_says(offloaded, tokenizer)
    written = (generate_text(each, tokenizer, PROMPT, seed=1) for each in (model, offloaded))
    assert len(set(written)) == 1


def test_a_dynamically_quantised_model_writes_what_its_forward_says(model, tokenizer):
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear, nn.LSTM}, dtype=torch.qint8)
    assert_writes_what_forward_says(quantised, tokenizer)


def test_a_model_quantised_by_torchao_writes_what_its_forward_says(model, tokenizer):
    quantization = pytest.importorskip("torchao.quantization")
    quantization.quantize_(model, quantization.Int8WeightOnlyConfig())
    assert_writes_what_forward_says(model, tokenizer)


class TestAsBuilt:
    """Speed is for every model that nobody changed."""

    @pytest.mark.parametrize(
        "graph",
        [
            {"embedding_size": 0},
            {"embedding_size": 16, "tie_word_embeddings": True},
            {"cell_type": "gru", "num_hidden_layers": 3},
            {"cell_type": "rnn", "num_hidden_layers": 1},
            {"output_dropout": 0.2, "locked_dropout": True, "hidden_dropout": 0},
        ],
        ids=str,
    )
    def test_every_graph_is_laid_out(self, make_model, tmp_path, graph):
        model = make_model(**graph)
        model.save_pretrained(tmp_path)
        for each in (model, copy.deepcopy(model), CharLstmForCausalLM.from_pretrained(tmp_path)):
            assert isinstance(as_decoder(each), CharLstmDecoder)

    def test_a_model_in_training_and_a_resized_one_are_laid_out(self, model):
        optimizer = torch.optim.AdamW(model.train().parameters())
        model(torch.ones(1, 3, dtype=torch.long), labels=torch.ones(1, 3, dtype=torch.long)).loss.backward()
        optimizer.step()
        assert isinstance(as_decoder(model), CharLstmDecoder)
        model.resize_token_embeddings(40)
        assert as_decoder(model).head.shape == (40, 16)

    def test_weights_swapped_past_the_layers_own_list_are_laid_out(self, written, tokenizer):
        layer = written.model.layers[1]
        layer._parameters["weight_hh_l0"] = nn.Parameter(-layer.weight_hh_l0.detach())
        assert isinstance(as_decoder(written), CharLstmDecoder)
        assert_writes_what_forward_says(written, tokenizer)

    def test_looking_draws_nothing_from_torch(self, make_model):
        model = make_model(hidden_size=19)  # no other test has looked at this graph
        state = torch.get_rng_state()
        assert isinstance(as_decoder(model), CharLstmDecoder)
        assert torch.equal(torch.get_rng_state(), state)

    def test_a_model_that_was_changed_back_is_laid_out_again(self, written):
        handle = written.lm_head.register_forward_hook(lambda *_: None)
        assert isinstance(as_decoder(written), ModelDecoder)
        handle.remove()
        assert isinstance(as_decoder(written), CharLstmDecoder)


@pytest.mark.parametrize("make", [lay_out, ModelDecoder])
def test_the_texts_that_go_on_keep_each_its_own_state(model, make):
    decoder = make(model)
    whole = decoder.logits(decoder.encode_prompts([[3, 4], [5], [6, 7]]))
    kept = decoder.select(decoder.encode_prompts([[3, 4], [5], [6, 7]]), np.array([1, 2]))
    np.testing.assert_allclose(decoder.logits(kept), whole[1:], atol=1e-6)
    decoder.step(kept, np.array([8, 9]))
    expected = decoder.logits(decoder.encode_prompts([[5, 8], [6, 7, 9]]))
    np.testing.assert_allclose(decoder.logits(kept), expected, atol=1e-5)
