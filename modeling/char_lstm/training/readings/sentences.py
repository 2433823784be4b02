"""Sentences that follow each other, joined to rows of like length: the assignment's padded sequences."""

from dataclasses import KW_ONLY, dataclass
from itertools import islice, pairwise

import numpy as np
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer

from ...corpus.sequences import lengths_of
from ...tokenization_char_lstm import end_of_item
from ..targets import soft_targets
from .base import Reading, process_loader


class SentenceReading(Reading):
    """Whole sentences, joined to rows of about `row_length` characters that begin elsewhere in every epoch; or items, a
    row each."""

    def __init__(self, recipe):
        super().__init__(recipe)
        self.rows = Sentences(*soft_targets(recipe, self.training_rows(), self.tokenizer))

    def loader(self, trainer: Trainer) -> DataLoader:
        recipe = self.recipe
        batches = JoinedSentences(
            self.rows.lengths,
            0 if end_of_item(self.tokenizer) else recipe.row_length,
            recipe.train_batch_size,
            recipe.data_seed or recipe.seed,
            accumulated=recipe.gradient_accumulation_steps,
            processes=recipe.world_size,
            process=recipe.process_index,
        )
        return process_loader(self.rows, recipe, batch_sampler=batches, collate_fn=collate)


class Sentences(torch.utils.data.Dataset):
    """The rows of a corpus without their padding, read as they are needed; `sentences[first, last]` are those from
    `first` to before `last`, joined as they follow each other in the text, with their part of `soft_targets`
    (characters, vocab).
    """

    def __init__(self, rows: Dataset, soft_targets: np.ndarray | None = None):
        self.lengths = torch.from_numpy(lengths_of(rows)) - 1  # (rows,), the newline in front left out
        self.rows = rows.with_format("torch", columns=["input_ids"])
        self.ends = self.lengths.cumsum(0)  # of each row in the text
        self.soft_targets = soft_targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, span: tuple[int, int]) -> dict[str, torch.Tensor]:
        return self.__getitems__([span])[0]

    def __getitems__(self, spans: list[tuple[int, int]]) -> list[dict[str, torch.Tensor]]:
        """The rows of a batch, for which torch asks at once: reading a sentence alone takes ten times as long."""
        counts = [max(last - first, 1) for first, last in spans]
        places = [first + index for (first, _), count in zip(spans, counts, strict=True) for index in range(count)]
        read = iter(self.rows[places]["input_ids"])  # (time,) each, with a newline in front
        return [self.join(*span, list(islice(read, count))) for span, count in zip(spans, counts, strict=True)]

    def join(self, first: int, last: int, rows: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        real = [row[1 : 1 + length] for row, length in zip(rows, self.lengths[first:last].tolist(), strict=False)]
        input_ids = torch.cat([rows[0][:1], *real])  # (time,): one newline is enough, and all of a row of no sentence
        row = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
        if self.soft_targets is not None:
            start = int(self.ends[first] - self.lengths[first])
            targets = self.soft_targets[start : start + len(input_ids) - 1]  # (time - 1, vocab), newline aside
            row["soft_targets"] = torch.from_numpy(targets).float()
        return row

    def ids(self) -> torch.Tensor:
        """The whole text, the newline in front included: (characters + 1,)."""
        pieces = [self[first, min(first + 1000, len(self))]["input_ids"] for first in range(0, len(self), 1000)]
        return torch.cat([pieces[0], *(piece[1:] for piece in pieces[1:])])


@dataclass(eq=False)
class JoinedSentences(Sampler):
    """An epoch: every sentence once, joined to rows of about `row_length` that begin elsewhere each time, in batches.

    Rows of like length come in the same step, so that little of it is padding, and the steps in random order. Where
    the rows do not fill whole steps, half of the rest is a step of the shortest rows and half one of the longest.

    A step's rows are the same however many processes and accumulated batches share them. Where there are fewer rows
    than shares, a batch is one row of no sentence: the newline alone, which teaches nothing.
    """

    lengths: torch.Tensor  # (sentences,), in characters
    row_length: int  # characters; 0 leaves each sentence in a row of its own
    batch_size: int  # rows
    seed: int = 0  # of the order and the cuts, which differ between epochs and are the same after a resume
    _: KW_ONLY
    accumulated: int = 1  # batches that a process reads for one step
    processes: int = 1  # that read the text together
    process: int = 0  # this one among them
    epoch = 0

    def __post_init__(self):
        self.ends = self.lengths.cumsum(0)
        wanted = -(-int(self.ends[-1]) // self.row_length) if self.row_length else len(self.lengths)
        self.rows = min(wanted, len(self.lengths))
        step = self.batch_size * self.accumulated * self.processes  # rows
        whole, rest = divmod(self.rows, step)
        self.sizes = [size for size in (rest // 2, *[step] * whole, rest - rest // 2) if size]

    def __len__(self) -> int:
        return len(self.sizes) * self.accumulated

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def cuts(self, generator: torch.Generator) -> torch.Tensor:
        """Where rows begin and end, (rows + 1,), as numbers of sentences: near even shares of the text, shifted."""
        inner = torch.arange(1, self.rows)
        shares = (inner + torch.rand((), generator=generator) - 0.5) / self.rows  # of the text before each cut
        cuts = torch.searchsorted(self.ends, (shares * self.ends[-1]).long())
        cuts = (cuts - inner).clamp(min=0).cummax(0).values + inner  # a sentence at least in every row,
        cuts = torch.minimum(cuts, len(self.ends) - self.rows + inner)  # those at the end included
        return torch.cat([torch.tensor([0]), cuts, torch.tensor([len(self.ends)])])

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        cuts = self.cuts(generator)
        ends = torch.cat([torch.tensor([0]), self.ends])[cuts]
        shuffled = torch.randperm(self.rows, generator=generator)
        by_length = shuffled[ends.diff()[shuffled].argsort(stable=True)]  # rows of one length in random order
        steps, spans = by_length.split(self.sizes), list(pairwise(cuts.tolist()))
        for number in torch.randperm(len(steps), generator=generator).tolist():
            shares = steps[number].tensor_split(self.accumulated * self.processes)
            for share in shares[self.process :: self.processes]:
                yield [spans[row] for row in share.tolist()] or [(0, 0)]


def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
    """A batch, (batch, time), without the columns that are padding in every row; pads carry no label.

    `soft_targets` (batch, predictions, vocab), where the rows have them, are zero at pads.
    """
    ids = [row["input_ids"][row["attention_mask"].bool()] for row in rows]
    labels = [row.get("labels", real) for row, real in zip(rows, ids, strict=True)]
    batch = {
        "input_ids": pad_sequence(ids, True),  # a pad is 0, the tokenizer's first token
        "attention_mask": pad_sequence([torch.ones_like(real) for real in ids], True),
        "labels": pad_sequence(labels, True, padding_value=-100),
    }
    if "soft_targets" in rows[0]:
        batch["soft_targets"] = pad_sequence([row["soft_targets"] for row in rows], True)
    return batch
