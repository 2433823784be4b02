"""What a model computes while it reads a text: surprisal, predictions, gates, cell states, connectivity."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..cells import CELL_STEPS, initial_state, unroll
from ..tokenization_char_lstm import end_of_item, normalise

TOP = 5  # predictions kept for each character


@dataclass(frozen=True)
class Inspection:
    """A text as a model read it. Arrays are float64.

    Index t along `time` means the step that predicts `chars[t]`, for every field. That step starts from the state
    before it, reads `chars[t - 1]` (at t = 0 the bos, from a zero state), and changes the state; so for an LSTM
    `cell_state[:, t] = forget[:, t] * cell_state[:, t - 1] + input[:, t] * candidate[:, t]`, with zero before t = 0.
    The last character is predicted but not read.
    """

    chars: list[str]  # (time,): the normalised text, and the eos token where the model's texts end
    surprisal: np.ndarray  # (time,), nats: -log p(chars[t] | bos, chars[:t])
    top_predictions: list[list[tuple[str, float]]]  # (time,): the likeliest characters, with their probabilities
    gates: dict[str, np.ndarray]  # each (layers, time, hidden); the names are those of the cell's `Step`
    cell_state: np.ndarray  # (layers, time, hidden), after the step; in a GRU or an RNN, its output
    output: np.ndarray  # (layers, time, hidden): h, which the next layer and the next step see
    log_odds: np.ndarray  # (time, vocab): log p(any character of the tokenizer | bos, chars[:t])
    _log_likelihood: list[Tensor] = field(repr=False)  # (time,) scalars with their graph
    _inputs: Tensor = field(repr=False)  # (1 + time, input): vectors of bos and chars

    def connectivity(self, position: int | Sequence[int]) -> np.ndarray:
        """How strongly the prediction of `chars[position]` depends on each character before it.

        Entry t is the size (Euclidean norm) of the gradient of log p(chars[position]) with respect to the input
        vector of `chars[t]`; from `position` on it is zero, since the model has not read that far.

        Returns:
            (time,), or (positions, time) if several positions were given.

        Raises:
            IndexError: there is no such character.
        """
        positions = np.atleast_1d(np.asarray(position, dtype=int))
        for index in positions:
            if not 0 <= index < len(self.chars):
                raise IndexError(f"position {index} is outside the text of {len(self.chars)} characters")
        chosen = torch.stack([self._log_likelihood[index] for index in positions])  # (positions,)
        (gradients,) = torch.autograd.grad(
            chosen,
            self._inputs,
            torch.eye(len(positions)).to(chosen),  # each prediction separately
            retain_graph=True,
            is_grads_batched=True,
        )  # (positions, 1 + time, input)
        sizes = _array(gradients[:, 1:].double().norm(dim=2))  # (positions, time)
        return sizes if np.ndim(position) else sizes[0]


@torch.enable_grad()
def inspect_text(model, tokenizer, text: str) -> Inspection:
    """Reads `text` step by step with the written-out cells and keeps everything they compute.

    The model is a `CharLstmForCausalLM`, which reads without dropout; the text is any, even an empty one, and is
    normalised as the corpus was. A model of items reads it as a whole item.
    """
    read = normalise(tokenizer, text) + end_of_item(tokenizer)
    ids = tokenizer.backend_tokenizer.encode(read, add_special_tokens=False).ids
    ids_read = torch.tensor([model.config.bos_token_id, *ids], device=model.device)  # (1 + time,)
    inputs = model.get_input_embeddings()(ids_read).detach().requires_grad_()  # (1 + time, input)

    step = CELL_STEPS[model.config.cell_type]
    layers, hidden = [], inputs.split(1)  # (1 + time) x (1, input)
    for layer in model.model.layers:
        layers.append(unroll(step, layer, hidden, initial_state(layer, batch=1)))
        hidden = [step.output for step in layers[-1]]  # (1 + time) x (1, hidden)

    scores = [torch.log_softmax(model.lm_head(output[0]), dim=0) for output in hidden[:-1]]  # time x (vocab,)
    log_likelihood = [score[index] for score, index in zip(scores, ids, strict=True)]
    return Inspection(
        chars=tokenizer.convert_ids_to_tokens(ids),
        surprisal=np.array([-score.item() for score in log_likelihood]),
        top_predictions=[_likeliest(score, tokenizer) for score in scores],
        gates={name: _stack([[step.gates[name] for step in steps] for steps in layers]) for name in layers[0][0].gates},
        cell_state=_stack([[step.cell_state for step in steps] for steps in layers]),
        output=_stack([[step.output for step in steps] for steps in layers]),
        log_odds=np.array([_array(score[: len(tokenizer)]) for score in scores]).reshape(len(scores), len(tokenizer)),
        _log_likelihood=log_likelihood,
        _inputs=inputs,
    )


def _likeliest(scores: Tensor, tokenizer) -> list[tuple[str, float]]:
    top = scores[: len(tokenizer)].exp().topk(min(TOP, len(tokenizer)))
    return list(zip(tokenizer.convert_ids_to_tokens(top.indices.tolist()), top.values.tolist(), strict=True))


def _stack(steps: list[list[Tensor]]) -> np.ndarray:
    """(layers, time, hidden) from layers x (1 + time) x (1, hidden), without the step that reads the last character."""
    return _array(torch.stack([torch.cat(layer)[:-1] for layer in steps]))


def _array(x: Tensor) -> np.ndarray:
    return x.detach().double().cpu().numpy()
