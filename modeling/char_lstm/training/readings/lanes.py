"""Lanes: a text in as many stretches as a batch has rows, with the state carried along each (a stateful LSTM)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from transformers import Trainer, TrainerCallback

from ...state_char_lstm import RecurrentCache
from ..checkpoints import writing_checkpoint
from ..targets import soft_targets
from .base import Reading, process_loader
from .sentences import Sentences, collate

LANES = "lanes.safetensors"  # the state within an epoch, in a checkpoint


class LaneReading(Reading):
    """Rows of `row_length` characters, each of which goes on where its lane's last one ended."""

    option = "stateful"

    def __init__(self, recipe):
        super().__init__(recipe)
        rows, targets = soft_targets(recipe, self.training_rows(), self.tokenizer)
        self.rows = Lanes(rows, recipe.train_batch_size, recipe.row_length, targets)

    @classmethod
    def clashes(cls, recipe) -> Iterator[str]:
        if recipe.world_size > 1 or not recipe.row_length:
            yield "--stateful carries the state within one process, from rows of --row_length to the next"

    def loader(self, trainer: Trainer) -> DataLoader:
        batches = BatchSampler(SequentialSampler(self.rows), self.recipe.train_batch_size, drop_last=False)
        return process_loader(self.rows, self.recipe, batch_sampler=batches, collate_fn=collate)

    def callbacks(self, checkpoint: Path | None) -> list[TrainerCallback]:
        self.carried = CarryState(checkpoint)
        return [self.carried]

    def begin_step(self, inputs: dict) -> dict:
        carried = {"past_key_values": self.carried.state, "use_cache": True}
        labels = inputs["labels"][:, 1:].contiguous()  # (batch, time)
        return inputs | carried | {"labels": labels, "shift_labels": labels}

    def end_step(self, outputs) -> None:
        self.carried.keep(outputs.past_key_values)


class Lanes(torch.utils.data.Dataset):
    """A text in `lanes` stretches, read side by side, `length` characters a batch: row `step * lanes + lane`.

    Labels are the next characters, already shifted, after one place without a label, (1 + time,): the library counts
    all but the first. The last lane begins a little early, so that all have one length; `soft_targets` are those of
    `Sentences`.
    """

    def __init__(self, rows: Dataset, lanes: int, length: int, soft_targets: np.ndarray | None = None):
        self.ids = Sentences(rows).ids()  # (characters + 1,): the newline in front
        self.lanes, self.length, self.soft_targets = lanes, length, soft_targets
        characters = len(self.ids) - 1
        self.lane_length = -(-characters // lanes)
        self.starts = (torch.arange(lanes) * self.lane_length).clamp(max=characters - self.lane_length).tolist()

    def __len__(self) -> int:
        return self.lanes * -(-self.lane_length // self.length)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        step, lane = divmod(index, self.lanes)
        start, end = self.starts[lane] + step * self.length, self.starts[lane] + self.lane_length
        span = slice(start, min(start + self.length, end))
        input_ids, labels = self.ids[:-1][span], self.ids[1:][span]
        labels = torch.cat([labels.new_tensor([-100]), labels])
        row = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}
        if self.soft_targets is not None:
            row["soft_targets"] = torch.from_numpy(self.soft_targets[span]).float()  # (time, vocab)
        return row


class CarryState(TrainerCallback):
    """The state that each lane's rows leave to the next, without its gradient; lanes begin anew in every epoch.

    A checkpoint within an epoch holds it.
    """

    state: RecurrentCache | None = None

    def __init__(self, checkpoint: Path | None):
        self.checkpoint = checkpoint

    def keep(self, state: RecurrentCache) -> None:
        self.state = RecurrentCache([(h.detach(), c.detach()) for h, c in state.states], state.get_seq_length())

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.state = None
        if self.checkpoint and (self.checkpoint / LANES).exists():
            states = load_file(self.checkpoint / LANES, device=str(args.device))["states"]  # (layers, 2, batch, hidden)
            self.state = RecurrentCache([(h, c) for h, c in states], seen=0)
        self.checkpoint = None

    def on_save(self, args, state, control, **kwargs):
        if self.state is None or not state.epoch % 1:  # the next row begins an epoch
            return
        states = torch.stack([torch.stack(layer) for layer in self.state.states])
        with writing_checkpoint(args, state) as checkpoint:
            save_file({"states": states}, checkpoint / LANES)
