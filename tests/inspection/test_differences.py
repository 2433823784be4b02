"""How long a changed letter is remembered: the states of two readings, compared letter by letter."""

import numpy as np
import pytest
import torch

from char_lstm import build_tokenizer, normalise
from char_lstm.inspection.differences import REACH, changed_letter, compare_memories, difference_by_distance

TEXT = "a lamp was lit before the boat came home to the quiet rock again " * 3


def states_of(model, tokenizer, text: str) -> dict[str, np.ndarray]:
    """h and c of all layers side by side after each character, (1 + time, layers * hidden), by the model's layers."""
    ids, past, found = [1, *tokenizer(text, add_special_tokens=False)["input_ids"]], None, {"h": [], "c": []}
    with torch.no_grad():
        for one in ids:
            past = model(torch.tensor([[one]]), past_key_values=past, use_cache=True).past_key_values
            for name, pick in (("h", 0), ("c", 1)):
                found[name].append(torch.cat([state[pick][0] for state in past.states]).numpy())
    return {name: np.array(rows) for name, rows in found.items()}


@pytest.mark.parametrize("cell_type", ["lstm", "gru", "rnn"])
def test_the_difference_is_that_of_the_states_which_the_models_layers_compute(make_model, tokenizer, cell_type):
    model = make_model(cell_type=cell_type)
    found = difference_by_distance(model, tokenizer, TEXT, 2, "q")
    first, second = (states_of(model, tokenizer, text) for text in (TEXT, TEXT[:2] + "q" + TEXT[3:]))
    for name, ours in (("h", found["output"]), ("c", found["cell_state"])):
        assert ours.shape == (1 + REACH,)
        after = slice(3, 4 + REACH)  # the newline was read first, so the changed letter is the fourth
        wanted = np.linalg.norm((second[name] - first[name])[after], axis=1) / np.linalg.norm(
            first[name][after], axis=1
        )
        np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-6)


def test_a_cell_that_forgets_nothing_remembers_the_letter_and_one_that_forgets_all_does_not(make_model, tokenizer):
    lasting = {}
    for bias in (-30.0, 30.0):
        model = make_model(num_hidden_layers=1)
        with torch.no_grad():
            layer = model.model.layers[0]
            layer.weight_hh_l0.zero_()
            layer.bias_ih_l0[16:32] = bias  # the forget gates
        lasting[bias] = difference_by_distance(model, tokenizer, TEXT, 2, "q")["cell_state"][5]
    assert lasting[-30.0] < 1e-6
    assert lasting[30.0] > 0.01


def test_the_letter_that_is_changed_is_the_first_that_another_letter_follows():
    assert changed_letter("  a 11 zzab") == 8
    assert changed_letter("a b\nc d") is None
    assert changed_letter("") is None


def test_models_that_cannot_read_the_text_are_left_out_and_a_state_is_named_only_where_there_are_two(
    make_model, tokenizer
):
    few = build_tokenizer(["lamp"])
    models = {
        "LSTM": (make_model(), tokenizer),
        "GRU": (make_model(cell_type="gru"), tokenizer),
        "few letters": (make_model(vocab_size=len(few)), few),
    }
    found = compare_memories(models, normalise(tokenizer, TEXT))
    assert (found["position"], found["was"], found["now"]) == (2, "l", "a")
    assert [(curve["title"], curve["cell"]) for curve in found["curves"]] == [("LSTM", "lstm"), ("GRU", "gru")]
    assert len(found["curves"][0]["state"]) == len(found["curves"][1]["output"]) == 1 + REACH
    assert found["curves"][1]["state"] is None
    assert compare_memories(models, "a b")["curves"] == []
