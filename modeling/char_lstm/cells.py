"""One step of a recurrent cell, written out as a lecture writes it: lesson, inspector, reference.

The weights are those of `torch.nn.RNN`, `LSTM` and `GRU` (one layer, one direction), so the same layer can be run whole
(fast) or stepped here (readable). All cells have one shape, `step(layer, x, state) -> Step`, where x is the input,
(batch, input), and a text is read by a for-loop over them, `unroll`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = tuple[Tensor, Tensor]  # past output h and past cell state c, each (batch, hidden)


class Step(NamedTuple):
    """What one step computes; every tensor is (batch, hidden). The first two are the state of the next step."""

    output: Tensor
    cell_state: Tensor  # the output again, in a cell that has no state of its own
    gates: dict[str, Tensor]  # lstm: forget, input, candidate, output; gru: reset, update, candidate; rnn: none


def combine(layer: nn.RNNBase, past_output: Tensor, x: Tensor) -> Tensor:
    """What a cell makes of its past output, (batch, hidden), and its input, (batch, input), before any gate.

    The same as one fully connected layer over both side by side, (batch, hidden + input), whose weight is
    [weight_hh | weight_ih]: 100 inputs and 10 past outputs make 110 x 10 weights.

    Returns:
        (batch, blocks * hidden): one block for each gate, in torch's order.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = layer.all_weights[0]
    return linear(past_output, weight_hh, bias_hh) + linear(x, weight_ih, bias_ih)


def rnn_step(layer: nn.RNN, x: Tensor, state: State) -> Step:
    """One step of a simple recurrent network (Elman 1990), with tanh.

    h' = tanh(W [h, x] + b)
    """
    past_output, _ = state  # (batch, hidden)

    output = torch.tanh(combine(layer, past_output, x))  # (batch, hidden)

    return Step(output, output, {})


def lstm_step(layer: nn.LSTM, x: Tensor, state: State) -> Step:
    """One step of a long short-term memory cell.

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000.

    f, i, o = sigmoid(W [h, x] + b), g = tanh(W [h, x] + b), each with its own W and b
    c' = f * c + i * g,  h' = o * tanh(c')
    """
    past_output, past_cell_state = state  # each (batch, hidden)
    to_input, to_forget, to_candidate, to_output = combine(layer, past_output, x).chunk(4, dim=1)  # (batch, hidden)

    forget = torch.sigmoid(to_forget)  # (batch, hidden), what to keep
    input_ = torch.sigmoid(to_input)  # (batch, hidden), what to write
    candidate = torch.tanh(to_candidate)  # (batch, hidden), the new content
    cell_state = forget * past_cell_state + input_ * candidate  # (batch, hidden)
    output_gate = torch.sigmoid(to_output)  # (batch, hidden), what to show
    output = output_gate * torch.tanh(cell_state)  # (batch, hidden)

    return Step(output, cell_state, {"forget": forget, "input": input_, "candidate": candidate, "output": output_gate})


def gru_step(layer: nn.GRU, x: Tensor, state: State) -> Step:
    """One step of a gated recurrent unit (Cho et al. 2014), in torch's variant of the reset gate.

    The paper resets the past output before its matrix, W (r * h); torch and cuDNN reset what the matrix made of it,
    r * (W h + b), so that one product serves all gates.

    r, z = sigmoid(W [h, x] + b), each with its own W and b
    n = tanh(W_x x + b_x + r * (W_h h + b_h)),  h' = z * h + (1 - z) * n
    """
    past_output, _ = state  # (batch, hidden)
    weight_ih, weight_hh, bias_ih, bias_hh = layer.all_weights[0]
    from_past = linear(past_output, weight_hh, bias_hh).chunk(3, dim=1)  # 3 x (batch, hidden)
    from_input = linear(x, weight_ih, bias_ih).chunk(3, dim=1)  # 3 x (batch, hidden)

    reset = torch.sigmoid(from_past[0] + from_input[0])  # (batch, hidden), how much of the past the candidate sees
    update = torch.sigmoid(from_past[1] + from_input[1])  # (batch, hidden), what to keep
    candidate = torch.tanh(reset * from_past[2] + from_input[2])  # (batch, hidden), the new content
    output = update * past_output + (1 - update) * candidate  # (batch, hidden)

    return Step(output, output, {"reset": reset, "update": update, "candidate": candidate})


CELL_STEPS: dict[str, Callable[..., Step]] = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}
KEEPER = {"lstm": "forget", "gru": "update"}  # the gate that keeps a cell's past, all of it at 1; an RNN has none


def initial_state(
    layer: nn.RNNBase, batch: int, *, random: bool = False, generator: torch.Generator | None = None
) -> State:
    """The state before the first step, h and c, each (batch, hidden): zero, or uniform in (-1, 1) where tanh lives."""
    zeros = next(layer.parameters()).new_zeros(batch, layer.hidden_size)
    if not random:
        return zeros, zeros
    return zeros.clone().uniform_(-1, 1, generator=generator), zeros.clone().uniform_(-1, 1, generator=generator)


def unroll(step: Callable[..., Step], layer: nn.RNNBase, inputs: Iterable[Tensor], state: State) -> list[Step]:
    """The for-loop: reads one input after another, each (batch, input), from a state; returns every step."""
    steps = []
    for x in inputs:
        steps.append(step(layer, x, state))
        state = steps[-1].output, steps[-1].cell_state
    return steps
