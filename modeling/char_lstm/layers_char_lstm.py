"""The recurrent layers over a padded batch: exact padding, dropout, and long rows a segment at a time."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .configuration_char_lstm import CharLstmConfig


class LockedDropout(nn.Dropout):
    """Dropout with one mask a row, the same at every character (Gal and Ghahramani 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * super().forward(x.new_ones(x.shape[0], 1, x.shape[2]))  # (batch, time, hidden)


def _without_autocast(device: torch.device) -> AbstractContextManager:
    """Recurrence in the weights' own precision: a cell state counts far, and bfloat16 has eight bits to count with."""
    active = torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if active else nullcontext()


def _hidden_dropout(config: CharLstmConfig, rate: float) -> nn.Dropout:
    return LockedDropout(rate) if config.locked_dropout else nn.Dropout(rate)


class Padding:
    """Makes pads invisible: real characters move to the front, run as packed sequences, and move back.

    `order` (batch, time) says where each position's character comes from, `lengths` (batch,) how many are real;
    both are `None` where there is nothing to do.
    """

    def __init__(self, order: Tensor | None = None, lengths: Tensor | None = None):
        self.order, self.lengths = order, lengths

    @classmethod
    def of(cls, attention_mask: Tensor | None, time: int, *, state_wanted: bool) -> "Padding":
        if attention_mask is None:
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

    def between(self, start: int, stop: int) -> "Padding":
        """That of the columns from `start` to before `stop`, once the real characters are at the front."""
        return Padding(lengths=None if self.lengths is None else (self.lengths - start).clamp(0, stop - start))

    def to_front(self, x: Tensor) -> Tensor:
        """(batch, time, width) with the real characters first."""
        return x if self.order is None else _take(x, self.order)

    def to_place(self, x: Tensor) -> Tensor:
        """(batch, time, width) with every character where it was."""
        return x if self.order is None else _take(x, self.order.argsort(dim=1))

    def run(self, layer: nn.RNNBase, x: Tensor, state: tuple[Tensor, Tensor], is_lstm: bool):
        """Runs one layer over x, (batch, time, width); returns its output, (batch, time, hidden), and its state."""
        past = tuple(part.unsqueeze(0) for part in state) if is_lstm else state[0].unsqueeze(0)

        if x.shape[1] == 0:  # nothing to read
            return x.new_zeros(x.shape[0], 0, state[0].shape[1]), state
        if self.lengths is None or x.shape[1] == 1:
            output, last = layer(x, past)
        else:
            lengths = self.lengths.clamp(min=1).cpu()
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            output, last = layer(packed, past)
            output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])

        last = tuple(part.squeeze(0) for part in last) if is_lstm else (last.squeeze(0),) * 2
        if self.lengths is not None:  # a row without a real character keeps its state
            moved = (self.lengths > 0).unsqueeze(1)  # (batch, 1)
            last = tuple(torch.where(moved, new, old) for new, old in zip(last, state, strict=True))
        return output, last


def _take(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(1, order.unsqueeze(-1).expand_as(x))
