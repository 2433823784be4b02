"""The written-out cells are the library's layers."""

import pytest
import torch
from torch import nn

from char_lstm.cells import CELL_STEPS, initial_state, unroll

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
GATES = {
    "lstm": ["forget", "input", "candidate", "output"],
    "gru": ["reset", "update", "candidate"],
    "rnn": [],
}


@pytest.fixture(params=LAYERS)
def cell_type(request):
    return request.param


@pytest.fixture
def layer(cell_type):
    torch.manual_seed(0)
    layer = LAYERS[cell_type](5, 7, batch_first=True, dtype=torch.float64)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def run_whole(layer, x, state):
    """The library's layer: outputs, (batch, time, hidden), and the last output and cell state, (batch, hidden)."""
    past = tuple(part[None] for part in state) if isinstance(layer, nn.LSTM) else state[0][None]
    outputs, last = layer(x, past)
    return outputs, *(part[0] for part in (last if isinstance(last, tuple) else (last, last)))


def run_stepped(cell_type, layer, x, state):
    """The same from the written-out cell."""
    steps = unroll(CELL_STEPS[cell_type], layer, x.unbind(dim=1), state)
    return torch.stack([step.output for step in steps], dim=1), steps[-1].output, steps[-1].cell_state


def test_the_step_repeated_is_the_layer(cell_type, layer):
    x, state = torch.randn(3, 11, 5).double(), (torch.randn(3, 7).double(), torch.randn(3, 7).double())
    expected = run_whole(layer, x, state)
    torch.testing.assert_close(run_stepped(cell_type, layer, x, state), expected, rtol=0, atol=1e-10)


def test_the_step_repeated_has_the_gradients_of_the_layer(cell_type, layer):
    x, h, c = (torch.randn(*size).double().requires_grad_() for size in [(3, 11, 5), (3, 7), (3, 7)])
    leaves = [x, h, *([c] if cell_type == "lstm" else []), *layer.parameters()]
    weight = torch.randn(3, 11, 7).double()
    gradients, expected = (
        torch.autograd.grad((outputs * weight).sum(), leaves)
        for outputs in (run_stepped(cell_type, layer, x, (h, c))[0], run_whole(layer, x, (h, c))[0])
    )
    torch.testing.assert_close(gradients, expected, rtol=0, atol=1e-9)


def test_single_precision_agrees_to_a_millionth(cell_type, layer):
    layer, x = layer.float(), torch.randn(3, 11, 5)
    outputs, *_ = run_stepped(cell_type, layer, x, initial_state(layer, batch=3))
    torch.testing.assert_close(outputs, layer(x)[0], rtol=0, atol=1e-6)


def test_the_gates_are_the_ones_that_made_the_state(cell_type, layer):
    x, h, c = torch.randn(3, 5).double(), torch.randn(3, 7).double(), torch.randn(3, 7).double()
    step = CELL_STEPS[cell_type](layer, x, (h, c))
    gates = step.gates
    assert list(gates) == GATES[cell_type]
    assert all(gate.shape == (3, 7) for gate in gates.values())
    if cell_type == "lstm":
        torch.testing.assert_close(step.cell_state, gates["forget"] * c + gates["input"] * gates["candidate"])
        torch.testing.assert_close(step.output, gates["output"] * torch.tanh(step.cell_state))
    else:
        assert step.cell_state is step.output
    if cell_type == "gru":
        torch.testing.assert_close(step.output, gates["update"] * h + (1 - gates["update"]) * gates["candidate"])


def test_a_fully_connected_layer_over_100_inputs_and_10_past_outputs_is_the_rnn_cell():
    torch.manual_seed(0)
    dense, layer = nn.Linear(110, 10), nn.RNN(100, 10)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(dense.weight[:, :100])
        layer.weight_hh_l0.copy_(dense.weight[:, 100:])
        layer.bias_ih_l0.copy_(dense.bias)
        layer.bias_hh_l0.zero_()
    assert dense.weight.numel() == 110 * 10
    x, state = torch.randn(4, 100), initial_state(layer, batch=4, random=True)
    past_output, _ = state
    expected = torch.tanh(dense(torch.cat([x, past_output], dim=1)))
    torch.testing.assert_close(CELL_STEPS["rnn"](layer, x, state).output, expected, rtol=0, atol=1e-6)


def test_a_text_starts_from_zero_and_on_request_at_random(layer):
    assert all(part.shape == (3, 7) and not part.any() for part in initial_state(layer, batch=3))
    h, c = initial_state(layer, batch=3, random=True, generator=torch.Generator().manual_seed(1))
    again, _ = initial_state(layer, batch=3, random=True, generator=torch.Generator().manual_seed(1))
    assert h.abs().max() <= 1
    assert h.unique().numel() == h.numel()
    assert not torch.equal(h, c)
    assert torch.equal(h, again)
    assert h.dtype == layer.weight_hh_l0.dtype
