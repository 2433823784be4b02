"""The recurrent step of `cells.py` laid out for speed, in numpy: one character at a time, without any framework.

The embedding and the input weights of the first layer become one table look-up, every gate of a layer comes from one
matrix product into a buffer that is used again, and a sigmoid is half a tanh, sigmoid(x) = (1 + tanh(x / 2)) / 2, with
the inner half folded into the weights.
"""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np


class CharLstmDecoder:
    """A language model as numpy arrays: the weights that `CharLstmForCausalLM` saves, by their names, and two objects
    with the attributes of `CharLstmConfig` and `GenerationConfig`."""

    known_items: frozenset[int] | None = None  # hashes of the items that it was trained on

    def __init__(self, weights: Mapping[str, np.ndarray], config, generation_config):
        self.config, self.generation_config = config, generation_config
        weights = {name: np.asarray(weight, np.float32) for name, weight in weights.items()}
        embedding = weights["model.embed_tokens.weight"]  # (vocab, input)
        self.layers = []
        for index in range(config.num_hidden_layers):
            layer = {name: weights[f"model.layers.{index}.{name}_l0"] for name in PARTS}
            self.layers.append(LAYERS[config.cell_type](**layer, embedding=None if index else embedding))
        head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
        self.head, self.head_bias = weights[head], weights["lm_head.bias"]

    def resume(self, states: list[tuple[np.ndarray, np.ndarray]]) -> "DecoderState":
        """The state that holds the given output and cell state of each layer, each (batch, hidden)."""
        state = DecoderState(self, len(states[0][0]))
        for buffers, (output, cell_state) in zip(state.buffers, states, strict=True):
            buffers.output[:], buffers.cell_state[:] = output, cell_state
        return state

    def encode_prompts(self, prompts: list[list[int]]) -> "DecoderState":
        """The state after each of the prompts (ids, none empty), whose lengths may differ."""
        state = DecoderState(self, len(prompts))
        for prompt in {*map(tuple, prompts)}:
            rows = [row for row, other in enumerate(prompts) if tuple(other) == prompt]
            alone = DecoderState(self, 1)
            for character in prompt:
                self.step(alone, np.array([character]))
            for ours, theirs in zip(state.buffers, alone.buffers, strict=True):
                ours.output[rows], ours.cell_state[rows] = theirs.output[0], theirs.cell_state[0]
        return state

    def select(self, state: "DecoderState", rows: np.ndarray) -> "DecoderState":
        """The state of some of the texts, by their rows."""
        return self.resume([(buffers.output[rows], buffers.cell_state[rows]) for buffers in state.buffers])

    def step(self, state: "DecoderState", ids: np.ndarray) -> None:
        """Reads one character a row, ids (batch,), into the state."""
        for layer, buffers in zip(self.layers, state.buffers, strict=True):
            layer.step(buffers, ids)

    def logits(self, state: "DecoderState") -> np.ndarray:
        """Scores of the next character, (batch, vocab)."""
        return state.buffers[-1].output @ self.head.T + self.head_bias


class DecoderState:
    """The recurrent state of some texts: the buffers of each layer, whose outputs lie side by side."""

    def __init__(self, decoder: CharLstmDecoder, batch: int):
        hidden = decoder.config.hidden_size
        outputs = np.zeros((batch, len(decoder.layers) * hidden), np.float32)
        self.buffers = []
        for index, layer in enumerate(decoder.layers):
            below = max(index - 1, 0)  # the first layer has none, and sees its own output alone
            self.buffers.append(layer.make_buffers(outputs[:, below * hidden : (index + 1) * hidden]))


GATES = {"lstm": 4, "gru": 3, "rnn": 1}  # blocks of `hidden` rows in a layer's weights
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # a layer's weights


def expected_shapes(config) -> dict[str, tuple[int, ...]]:
    """Every weight of a `CharLstmForCausalLM` as it is saved, and its shape."""
    vocab, hidden, rows = config.vocab_size, config.hidden_size, GATES[config.cell_type] * config.hidden_size
    shapes = {"model.embed_tokens.weight": (vocab, config.embedding_size or vocab), "lm_head.bias": (vocab,)}
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (vocab, hidden)
    for index in range(config.num_hidden_layers):
        width = hidden if index else config.embedding_size or vocab
        of_layer = dict(zip(PARTS, [(rows, width), (rows, hidden), (rows,), (rows,)], strict=True))
        shapes |= {f"model.layers.{index}.{name}_l0": shape for name, shape in of_layer.items()}
    return shapes


class RnnLayer:
    """h' = tanh(W [below; h] + b), or with a row of a table instead of W below + b in the first layer."""

    gates: tuple[str, ...] = ("candidate",)  # the blocks of rows, as arranged
    sigmoids = 0  # so many of them, the first

    def __init__(self, weight_ih, weight_hh, bias_ih, bias_hh, embedding):
        bias = bias_ih + bias_hh  # (rows,)
        if embedding is None:
            self.bias = self.arrange(bias)
            self.matrix = self.arrange(np.concatenate([weight_ih, weight_hh], axis=1))  # (rows, 2 * hidden)
        else:
            inputs = self.arrange(weight_ih @ embedding.T + bias[:, None])  # (rows, vocab)
            self.table = np.ascontiguousarray(inputs.T)
            self.matrix = self.arrange(weight_hh)  # (rows, hidden)
        self.is_first = embedding is not None
        self.hidden_size = weight_hh.shape[1]

    def arrange(self, rows: np.ndarray) -> np.ndarray:
        """`rows` (rows, ...) in the order and at the scale that `step` wants."""
        return rows

    def make_buffers(self, below_and_own: np.ndarray) -> SimpleNamespace:
        """What a step reads and writes. `below_and_own`: a view of the layer below's output and this layer's own."""
        batch, output = len(below_and_own), below_and_own[:, -self.hidden_size :]  # (batch, hidden)
        gates = np.empty((batch, len(self.matrix)), np.float32)
        return SimpleNamespace(
            below_and_own=below_and_own,
            output=output,
            cell_state=output,  # an LSTM has one of its own
            gates=gates,
            sigmoids=gates[:, : self.sigmoids * self.hidden_size],
            scratch=np.empty((batch, self.hidden_size), np.float32),
            **dict(zip(self.gates, np.split(gates, len(self.gates), axis=1), strict=True)),  # views
        )

    def sum_inputs(self, buffers: SimpleNamespace, ids: np.ndarray) -> None:
        """The weighted inputs of every gate into `gates`, (batch, rows)."""
        np.dot(buffers.below_and_own, self.matrix.T, out=buffers.gates)
        buffers.gates += self.table[ids] if self.is_first else self.bias

    def step(self, buffers: SimpleNamespace, ids: np.ndarray) -> None:
        self.sum_inputs(buffers, ids)
        np.tanh(buffers.gates, out=buffers.output)


class LstmLayer(RnnLayer):
    """c' = forget c + input candidate; h' = show tanh(c')."""

    gates, sigmoids = ("input", "forget", "show", "candidate"), 3

    def arrange(self, rows: np.ndarray) -> np.ndarray:
        input_, forget, candidate, output = np.split(rows, 4)  # torch's order; the sigmoids go first, halved
        return np.concatenate([input_ / 2, forget / 2, output / 2, candidate])

    def make_buffers(self, below_and_own: np.ndarray) -> SimpleNamespace:
        buffers = super().make_buffers(below_and_own)
        buffers.cell_state = np.zeros_like(buffers.scratch)
        return buffers

    def step(self, buffers: SimpleNamespace, ids: np.ndarray) -> None:
        self.sum_inputs(buffers, ids)
        np.tanh(buffers.gates, out=buffers.gates)
        buffers.sigmoids *= 0.5
        buffers.sigmoids += 0.5
        buffers.cell_state *= buffers.forget
        np.multiply(buffers.input, buffers.candidate, out=buffers.scratch)
        buffers.cell_state += buffers.scratch
        np.tanh(buffers.cell_state, out=buffers.scratch)
        np.multiply(buffers.scratch, buffers.show, out=buffers.output)


class GruLayer(RnnLayer):
    """n = tanh(Wx below + bx + reset (Wh h + bh)); h' = n + update (h - n). The rows hold reset, update, Wx."""

    gates, sigmoids = ("reset", "update", "candidate"), 2

    def __init__(self, weight_ih, weight_hh, bias_ih, bias_hh, embedding):
        hidden = weight_hh.shape[1]
        self.candidate_matrix, self.candidate_bias = weight_hh[2 * hidden :], bias_hh[2 * hidden :]
        gates_alone = np.arange(3 * hidden) < 2 * hidden  # Wh and bh are not summed with the rest: reset comes first
        super().__init__(weight_ih, weight_hh * gates_alone[:, None], bias_ih, bias_hh * gates_alone, embedding)

    def arrange(self, rows: np.ndarray) -> np.ndarray:
        reset, update, candidate = np.split(rows, 3)
        return np.concatenate([reset / 2, update / 2, candidate])

    def step(self, buffers: SimpleNamespace, ids: np.ndarray) -> None:
        self.sum_inputs(buffers, ids)
        np.tanh(buffers.sigmoids, out=buffers.sigmoids)
        buffers.sigmoids *= 0.5
        buffers.sigmoids += 0.5
        np.dot(buffers.output, self.candidate_matrix.T, out=buffers.scratch)
        buffers.scratch += self.candidate_bias
        buffers.scratch *= buffers.reset
        buffers.candidate += buffers.scratch
        np.tanh(buffers.candidate, out=buffers.candidate)
        buffers.output -= buffers.candidate
        buffers.output *= buffers.update
        buffers.output += buffers.candidate


LAYERS = {"lstm": LstmLayer, "gru": GruLayer, "rnn": RnnLayer}
