"""One step of a recurrent cell, written out as a lecture writes it: lesson, inspector, reference.

The weights are those of `torch.nn.LSTM`, so the same layer can be run whole (fast) or stepped here (readable).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class LstmStep(NamedTuple):
    """What one step computes; every tensor is (batch, hidden)."""

    output: Tensor
    cell_state: Tensor
    gates: dict[str, Tensor]  # forget, input, candidate, output


def lstm_step(layer: nn.LSTM, x: Tensor, past_output: Tensor, past_cell_state: Tensor) -> LstmStep:
    """One step of a long short-term memory cell.

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000.

    Args:
        layer: a one-layer, one-direction `nn.LSTM`, whose weights are read.
        x: (batch, input), the input of this step.
        past_output: (batch, hidden), h of the step before.
        past_cell_state: (batch, hidden), c of the step before.
    """
    weight = torch.cat([layer.weight_hh_l0, layer.weight_ih_l0], dim=1)  # (4 * hidden, hidden + input)
    bias = layer.bias_hh_l0 + layer.bias_ih_l0  # (4 * hidden,)
    to_input, to_forget, to_candidate, to_output = zip(weight.chunk(4), bias.chunk(4), strict=True)

    combined = torch.cat([past_output, x], dim=1)  # (batch, hidden + input)
    forget = torch.sigmoid(nn.functional.linear(combined, *to_forget))  # (batch, hidden), what to keep
    input_ = torch.sigmoid(nn.functional.linear(combined, *to_input))  # (batch, hidden), what to write
    candidate = torch.tanh(nn.functional.linear(combined, *to_candidate))  # (batch, hidden), the new content
    cell_state = forget * past_cell_state + input_ * candidate  # (batch, hidden)
    output_gate = torch.sigmoid(nn.functional.linear(combined, *to_output))  # (batch, hidden), what to show
    output = output_gate * torch.tanh(cell_state)  # (batch, hidden)

    gates = {"forget": forget, "input": input_, "candidate": candidate, "output": output_gate}
    return LstmStep(output, cell_state, gates)
