"""Models whose gates are held open or shut, to see what a gate is for."""

import copy
from collections.abc import Mapping

import torch

BLOCKS = {  # of a layer's weights, in torch's order
    "lstm": ("input", "forget", "candidate", "output"),
    "gru": ("reset", "update", "candidate"),
    "rnn": (),
}
FAR = 100.0  # where float32 takes a sigmoid for 0 or 1


@torch.no_grad()
def hold_gates(model, held: Mapping[str, float]):
    """A copy of a model, in each cell of which some gates stay open (1) or shut (0) whatever it reads. It writes and is
    looked into as any model. Raises ValueError if its cells have no such gate."""
    model = copy.deepcopy(model)
    blocks, size = BLOCKS[model.config.cell_type], model.config.hidden_size
    for gate, value in held.items():
        if gate not in blocks or gate == "candidate":
            raise ValueError(f"a cell of this model has no gate {gate!r}")
        rows = slice(blocks.index(gate) * size, (blocks.index(gate) + 1) * size)
        for layer in model.model.layers:
            for weights in layer.parameters():
                weights[rows] = 0
            layer.bias_ih_l0[rows] = FAR if value else -FAR
    return model
