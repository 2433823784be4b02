"""Gates that are held open or shut, whatever the model reads."""

import pytest
import torch

from char_lstm import inspect_text
from char_lstm.inspection.holding import hold_gates

TEXT = "the lamp was lit"
GATES = [("lstm", "forget"), ("lstm", "input"), ("lstm", "output"), ("gru", "reset"), ("gru", "update")]


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize(("cell", "gate"), GATES)
def test_a_gate_that_is_held_has_its_value_in_every_cell_and_the_model_stays_as_it_was(
    make_model, tokenizer, cell, gate, value
):
    model = make_model(cell_type=cell)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    gates = inspect_text(hold_gates(model, {gate: value}), tokenizer, TEXT).gates
    assert (gates[gate] == value).all()
    assert all(((gates[other] > 0) & (gates[other] < 1)).any() for other in gates if other not in (gate, "candidate"))
    assert all(torch.equal(weights, before[name]) for name, weights in model.state_dict().items())


@pytest.mark.parametrize(("cell", "gate"), [("lstm", "candidate"), ("lstm", "update"), ("rnn", "forget")])
def test_a_gate_that_a_cell_does_not_have_is_refused(make_model, cell, gate):
    with pytest.raises(ValueError, match=f"has no gate '{gate}'"):
        hold_gates(make_model(cell_type=cell), {gate: 1})
