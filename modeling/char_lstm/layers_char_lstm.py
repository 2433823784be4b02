"""The recurrent layers over a padded batch: exact padding, dropout, and long rows one segment at a time."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers.modeling_layers import GradientCheckpointingLayer

RECURRENT_LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
SEGMENT = 256  # characters of a row that gradient checkpointing recomputes at a time
ONEDNN_HAS_BFLOAT16 = torch.backends.cpu.get_cpu_capability() == "AVX512"


class LockedDropout(nn.Dropout):
    """Dropout with one mask a row, the same at every character (Gal and Ghahramani 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * super().forward(x.new_ones(x.shape[0], 1, x.shape[2]))  # (batch, time, hidden)

    def hold_mask(self, ones: Tensor) -> Callable[[Tensor], Tensor]:
        """This dropout with one mask for every call, drawn from `ones`, (batch, 1, hidden)."""
        return partial(torch.mul, super().forward(ones))


class Padding:
    """Makes pads invisible: real characters move to the front, run as packed sequences, and move back.

    `order` (batch, time) says where each position's character comes from, `lengths` (batch,) how many are real;
    both are `None` where there is nothing to do.
    """

    def __init__(self, order: Tensor | None = None, lengths: Tensor | None = None):
        self.order, self.lengths = order, lengths

    @classmethod
    def from_mask(cls, attention_mask: Tensor | None, time: int, *, state_wanted: bool) -> "Padding":
        """The padding of the last `time` columns of a mask, (batch, time) or longer, in which 0 marks a pad."""
        if attention_mask is None or attention_mask.is_meta:
            return cls()
        real = attention_mask[:, -time:].bool()  # (batch, time)
        if time == 1:  # one step of decoding: no data-dependent branch, so that it can be captured and exported
            return cls(lengths=real.sum(dim=1))
        if real.all():
            return cls()
        if (real[:, 1:] <= real[:, :-1]).all():  # pads on the right alone: outputs are causal, only the state sees them
            return cls(lengths=real.sum(dim=1)) if state_wanted else cls()
        order = real.int().argsort(dim=1, descending=True, stable=True)
        return cls(order, real.sum(dim=1) if state_wanted else None)

    def slice_columns(self, start: int, stop: int) -> "Padding":
        """The padding of the columns from `start` to before `stop`, once the real characters are at the front."""
        return Padding(lengths=None if self.lengths is None else (self.lengths - start).clamp(0, stop - start))

    def compact(self, x: Tensor) -> Tensor:
        """(batch, time, width) with the real characters first."""
        return x if self.order is None else _gather_columns(x, self.order)

    def restore(self, x: Tensor) -> Tensor:
        """(batch, time, width) with every character back in its place."""
        return x if self.order is None else _gather_columns(x, self.order.argsort(dim=1))

    def run_layer(self, layer: nn.Module, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer's output over x, (batch, time, width), and its state after the last real character.

        The output is (batch, time, hidden); a state is h, and c in an LSTM, each (batch, hidden).
        """
        if x.shape[1] == 0:  # nothing to read
            return x.new_zeros(x.shape[0], 0, state[0].shape[1]), state
        parts = tuple(part.unsqueeze(0) for part in state)  # (1, batch, hidden) each
        past = parts if len(parts) == 2 else parts[0]

        if self.lengths is None or x.shape[1] == 1:
            output, last = layer(x, past)
        else:
            lengths = self.lengths.clamp(min=1).cpu()
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            output, last = layer(packed, past)
            output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])

        after = tuple(part.squeeze(0) for part in (last if len(parts) == 2 else (last,)))  # (batch, hidden) each
        if self.lengths is not None:  # a row without a real character keeps its state
            moved = (self.lengths > 0).unsqueeze(1)  # (batch, 1)
            after = tuple(torch.where(moved, new, old) for new, old in zip(after, state, strict=True))
        return output, after


class RecurrentStack(GradientCheckpointingLayer, nn.ModuleList):
    """The recurrent layers, one above the other, each with its dropout before it."""

    def forward(
        self,
        hidden: Tensor,
        *state: Tensor,
        padding: Padding,
        dropouts: Sequence[Callable[[Tensor], Tensor]],
        every_layer: bool,
    ) -> tuple[Tensor, ...]:
        """Runs every layer over `hidden`, (batch, time, input), each after its dropout.

        Tensors are passed and returned flat, since reentrant checkpointing follows no others: `state` is the parts of
        each layer's state in turn, as in `Padding.run_layer`, and they follow the outputs of every layer, or of the
        last alone, (batch, time, hidden) each.
        """
        parts = len(state) // len(self)
        pasts = [state[start : start + parts] for start in range(0, len(state), parts)]
        outputs: list[Tensor] = []
        states: list[Tensor] = []
        for layer, dropout, past in zip(self, dropouts, pasts, strict=True):
            hidden, after = padding.run_layer(layer, dropout(hidden), past)
            outputs.append(hidden)
            states.extend(after)
        return *(outputs if every_layer else outputs[-1:]), *states

    def run_in_segments(
        self, hidden: Tensor, *state: Tensor, padding: Padding, dropouts: Sequence[nn.Dropout], every_layer: bool
    ) -> tuple[Tensor, ...]:
        """`forward` for long rows: backward recomputes the inside of each segment from the state before it.

        The gradients are exact all along the row; until backward only the segments' outputs and states are kept (Chen
        et al. 2016, here along the time).
        """
        ones = hidden.new_ones(hidden.shape[0], 1, state[0].shape[1])  # (batch, 1, hidden)
        held = [dropout.hold_mask(ones) if isinstance(dropout, LockedDropout) else dropout for dropout in dropouts]
        outputs, start = [], 0
        for segment in hidden.split(SEGMENT, dim=1):
            inside = padding.slice_columns(start, start + segment.shape[1])
            flat = self(segment, *state, padding=inside, dropouts=held, every_layer=every_layer)
            output, state = flat[: -len(state)], flat[-len(state) :]
            outputs.append(output)
            start += segment.shape[1]
        return *(torch.cat(layer, dim=1) for layer in zip(*outputs, strict=True)), *state


def trains_in_bfloat16(cell_type: str, device: torch.device) -> bool:
    """Whether a training step under autocast to bfloat16 runs layers of this cell in it: oneDNN's LSTM, on a CPU.

    The cell state is then rounded to eight bits at every character, which the loss of a long row hardly shows; a GPU
    would gain nothing from it, and keeps the recurrence in full.
    """
    return ONEDNN_HAS_BFLOAT16 and cell_type == "lstm" and device.type == "cpu"


def make_dropout(rate: float, *, locked: bool) -> nn.Dropout:
    """Dropout of hidden units, with one mask a row or one a character."""
    return LockedDropout(rate) if locked else nn.Dropout(rate)


def _gather_columns(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(1, order.unsqueeze(-1).expand_as(x))
