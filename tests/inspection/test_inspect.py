"""The inspector shows what the model computes, and nothing else."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from char_lstm import build_tokenizer, inspect_text, normalise
from char_lstm.scoring import nats_of_each
from char_lstm.tokenization_char_lstm import END_OF_ITEM

TEXT = "Nobody had told Tamsin that a lighthouse could be late."
CELLS = ["lstm", "gru", "rnn"]


@pytest.fixture(params=CELLS)
def model(request, make_model):
    return make_model(cell_type=request.param)


@pytest.fixture
def read(tokenizer):
    """The ids that the model reads and those it predicts, each (1, time)."""
    ids = torch.tensor([tokenizer.encode(normalise(tokenizer, TEXT), add_special_tokens=False)])
    return torch.cat([torch.tensor([[1]]), ids[:, :-1]], dim=1), ids


@pytest.fixture
def inspection(model, tokenizer):
    return inspect_text(model, tokenizer, TEXT)


def test_the_surprisal_is_the_models_own(model, read, inspection):
    inputs, expected = read
    with torch.no_grad():
        nats = cross_entropy(model(inputs).logits[0], expected[0], reduction="none")
    np.testing.assert_allclose(inspection.surprisal, nats, atol=1e-5)


def test_the_surprisal_sums_to_the_loss(model, read, inspection):
    inputs, expected = read
    text = torch.cat([inputs[:, :1], expected], dim=1)
    loss = model(text, labels=text).loss.item()
    assert inspection.surprisal.sum() == pytest.approx(loss * expected.shape[1], abs=1e-3)


def test_the_characters_are_the_normalised_text(tokenizer, inspection):
    assert "".join(inspection.chars) == normalise(tokenizer, TEXT)


def test_the_top_predictions_are_the_likeliest_characters_in_order(model, tokenizer, read, inspection):
    with torch.no_grad():
        probabilities = model(read[0]).logits[0].softmax(dim=1)
    for top, wanted in zip(inspection.top_predictions, probabilities, strict=True):
        assert len(top) == 5
        values, ids = wanted.sort(descending=True)
        assert [character for character, _ in top] == tokenizer.convert_ids_to_tokens(ids[:5].tolist())
        assert [probability for _, probability in top] == pytest.approx(values[:5].tolist(), abs=1e-5)


def test_the_cell_state_is_the_one_the_models_layers_compute(model, read, inspection):
    """Character by character through the library's layers, whose state is the model's own."""
    state, states = None, []
    with torch.no_grad():
        for character in read[0][0]:
            output = model(character.view(1, 1), past_key_values=state, use_cache=True)
            state = output.past_key_values
            states.append(torch.stack([c[0] for _, c in state.states]))  # (layers, hidden)
    assert inspection.cell_state.shape == (2, len(inspection.chars), 16)
    np.testing.assert_allclose(inspection.cell_state, torch.stack(states, dim=1), atol=1e-5)


def before(states):
    """The state that each step starts from, (layers, time, hidden): zero before the first."""
    return np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)


def test_an_lstm_keeps_what_it_does_not_forget_and_adds_what_it_lets_in(make_model, tokenizer):
    seen = inspect_text(make_model(cell_type="lstm"), tokenizer, TEXT)
    kept = seen.gates["forget"] * before(seen.cell_state)
    np.testing.assert_allclose(seen.cell_state, kept + seen.gates["input"] * seen.gates["candidate"], atol=1e-5)


def test_a_gru_mixes_its_past_and_its_candidate(make_model, tokenizer):
    seen = inspect_text(make_model(cell_type="gru"), tokenizer, TEXT)
    update = seen.gates["update"]
    mixed = update * before(seen.cell_state) + (1 - update) * seen.gates["candidate"]
    np.testing.assert_allclose(seen.cell_state, mixed, atol=1e-5)


def test_an_lstm_shows_what_its_output_gate_lets_out_of_its_state(make_model, tokenizer):
    seen = inspect_text(make_model(cell_type="lstm"), tokenizer, TEXT)
    np.testing.assert_allclose(seen.output, seen.gates["output"] * np.tanh(seen.cell_state), atol=1e-5)


def test_the_outputs_of_the_last_layer_make_the_odds(model, inspection):
    scores = model.lm_head(torch.from_numpy(inspection.output[-1]).float()).log_softmax(dim=1).detach()
    np.testing.assert_allclose(inspection.log_odds, scores[:, : inspection.log_odds.shape[1]], atol=1e-5)


def test_the_gates_are_those_of_the_layers_own_outputs(make_model, tokenizer, read):
    model = make_model(cell_type="lstm")
    seen = inspect_text(model, tokenizer, TEXT)
    with torch.no_grad():
        hidden_states = model.model(read[0], output_hidden_states=True).hidden_states  # 3 x (1, time, width)
    for layer, weights in enumerate(model.model.layers):
        x, h = hidden_states[layer : layer + 2]
        past = torch.cat([torch.zeros_like(h[:, :1]), h[:, :-1]], dim=1)
        blocks = x @ weights.weight_ih_l0.T + past @ weights.weight_hh_l0.T + weights.bias_ih_l0 + weights.bias_hh_l0
        input_, forget, candidate, show = blocks[0].detach().chunk(4, dim=1)  # torch's order
        wanted = {"input": input_.sigmoid(), "forget": forget.sigmoid(), "output": show.sigmoid()}
        for name, values in (wanted | {"candidate": candidate.tanh()}).items():
            np.testing.assert_allclose(seen.gates[name][layer], values, atol=1e-5)


def test_each_cell_shows_its_own_gates(make_model, tokenizer):
    names = {"lstm": {"input", "forget", "candidate", "output"}, "gru": {"reset", "update", "candidate"}, "rnn": set()}
    for cell_type, expected in names.items():
        seen = inspect_text(make_model(cell_type=cell_type), tokenizer, "lamp")
        assert set(seen.gates) == expected
        assert all(gate.shape == seen.cell_state.shape for gate in seen.gates.values())


def reference_connectivity(model, read, position):
    """The gradient through the library's layers and `inputs_embeds`; entry t is about the character at t."""
    inputs, expected = read
    vectors = model.get_input_embeddings()(inputs).detach().requires_grad_()
    scores = model(inputs_embeds=vectors).logits[0, position].log_softmax(dim=0)
    (gradient,) = torch.autograd.grad(scores[expected[0, position]], vectors)
    return np.append(gradient[0, 1:].norm(dim=1).numpy(), 0)  # the last character is not read


@pytest.mark.parametrize("position", [0, 1, 20, 54])
def test_the_connectivity_is_the_gradient_through_the_models_layers(model, read, inspection, position):
    connectivity = inspection.connectivity(position)
    assert connectivity.shape == inspection.surprisal.shape
    np.testing.assert_allclose(connectivity, reference_connectivity(model, read, position), atol=1e-5, rtol=1e-3)


def test_a_prediction_depends_on_earlier_characters_alone(inspection):
    connectivity = inspection.connectivity(20)
    assert (connectivity[:20] > 0).all()
    assert not connectivity[20:].any()


def test_several_predictions_at_once_are_each_its_own(inspection):
    positions = [7, 3, 40]
    alone = np.stack([inspection.connectivity(position) for position in positions])
    np.testing.assert_allclose(inspection.connectivity(positions), alone, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("position", [-1, 55, 1000])
def test_a_position_outside_the_text_is_an_error_that_names_it(inspection, position):
    assert len(inspection.chars) == 55
    with pytest.raises(IndexError, match=f"position {position} .* 55 characters"):
        inspection.connectivity(position)


@pytest.mark.parametrize("text", ["", "\ud800", "漢字", "\n", "x", "... !!! ..."])
def test_any_text_can_be_read(model, tokenizer, text):
    seen = inspect_text(model, tokenizer, text)
    time = len(normalise(tokenizer, text))
    assert seen.surprisal.shape == (time,)
    assert len(seen.chars) == len(seen.top_predictions) == time
    assert seen.cell_state.shape == (2, time, 16)
    assert all(gate.shape == (2, time, 16) for gate in seen.gates.values())


def test_the_end_of_an_item_is_predicted_like_any_character_and_read_with_its_cost(make_model):
    tokenizer = build_tokenizer(["emma"], eos_token=END_OF_ITEM)
    model = make_model(vocab_size=len(tokenizer), eos_token_id=2)
    model.generation_config.eos_token_id = 2
    seen = inspect_text(model, tokenizer, "Emma")
    assert seen.chars == [*"emma", END_OF_ITEM]
    assert END_OF_ITEM in [character for character, _ in seen.top_predictions[-1]]
    assert seen.surprisal.sum() == pytest.approx(nats_of_each(model, tokenizer, ["emma"])[0], abs=1e-4)


def test_one_hot_models_of_one_layer_can_be_read_and_are_left_as_they_were(make_model, tokenizer):
    model = make_model(embedding_size=0, num_hidden_layers=1)
    with torch.no_grad():
        seen = inspect_text(model, tokenizer, TEXT)
    assert (seen.connectivity(9)[:9] > 0).all()
    assert seen.cell_state.shape[0] == 1
    assert all(parameter.grad is None for parameter in model.parameters())
