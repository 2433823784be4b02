"""What a step of training reads: sentences joined to rows, windows, lanes, and the batches that they come in."""

from itertools import pairwise

import numpy as np
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler

from scripts.build_corpus import CorpusError, lengths_of


class Sentences(torch.utils.data.Dataset):
    """The rows of a corpus without their padding; `sentences[first, last]` are those from `first` to before `last`,
    joined as they follow each other in the text. They are read as they are needed, so the corpus may be a large one.

    `expected` (characters, vocab): what else there is to learn of every character of the text, its n-gram
    distribution; a row then carries its own part of it.
    """

    def __init__(self, rows: Dataset, expected: np.ndarray | None = None):
        self.lengths = torch.from_numpy(lengths_of(rows)) - 1  # (rows,), the newline in front left out
        self.rows = rows.with_format("torch", columns=["input_ids"])
        self.ends = self.lengths.cumsum(0)  # of each row in the text
        self.expected = expected

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, span: tuple[int, int]) -> dict[str, torch.Tensor]:
        first, last = span
        rows = self.rows[first : max(last, first + 1)]["input_ids"]  # (sentences, max_length)
        kept = torch.arange(rows.shape[1]) <= self.lengths[first : first + len(rows)].unsqueeze(1)
        kept[1:, 0] = False  # one newline in front is enough
        kept[last - first :, 1:] = False  # and all there is of a row of no sentence
        input_ids = rows[kept]  # (time,)
        row = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
        if self.expected is not None:
            start = self.ends[first] - self.lengths[first]
            span = slice(start, start + len(input_ids) - 1)
            row["expected"] = torch.from_numpy(self.expected[span]).float()  # (time - 1, vocab): none of the newline
        return row

    def ids(self) -> torch.Tensor:
        """The whole text, the newline in front included: (characters + 1,)."""
        pieces = [self[first, min(first + 1000, len(self))]["input_ids"] for first in range(0, len(self), 1000)]
        return torch.cat([pieces[0], *(piece[1:] for piece in pieces[1:])])


class Windows(torch.utils.data.Dataset):
    """The tutorial's rows: each stretch of `length` characters of a text, with the next one as its only target."""

    def __init__(self, rows: Dataset, length: int):
        self.length = length
        self.ids = Sentences(rows).ids()[1:]  # (characters,)
        if len(self.ids) <= length:
            raise CorpusError(f"the text has {len(self.ids)} characters, too few for --window_length {length}")

    def __len__(self) -> int:
        return len(self.ids) - self.length

    def __getitem__(self, start: int) -> dict[str, torch.Tensor]:
        input_ids = self.ids[start : start + self.length + 1]
        is_target = torch.arange(self.length + 1) == self.length
        labels = input_ids.masked_fill(~is_target, -100)
        return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}


class Lanes(torch.utils.data.Dataset):
    """A text in as many stretches as a batch has rows, which are read side by side, `length` characters a batch: row
    `step * lanes + lane`. Each row goes on where the lane's last one ended, for a state that is carried along.

    Labels are the next characters, (time,), already shifted. The last lane begins a little early, so that all have
    one length; `expected` is that of `Sentences`.
    """

    def __init__(self, rows: Dataset, lanes: int, length: int, expected: np.ndarray | None = None):
        self.ids = Sentences(rows).ids()  # (characters + 1,): the newline in front
        self.lanes, self.length, self.expected = lanes, length, expected
        characters = len(self.ids) - 1
        self.lane_length = -(-characters // lanes)
        self.starts = (torch.arange(lanes) * self.lane_length).clamp(max=characters - self.lane_length).tolist()

    def __len__(self) -> int:
        return self.lanes * -(-self.lane_length // self.length)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        step, lane = divmod(row, self.lanes)
        start, end = self.starts[lane] + step * self.length, self.starts[lane] + self.lane_length
        span = slice(start, min(start + self.length, end))
        input_ids, labels = self.ids[:-1][span], self.ids[1:][span]
        row = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}
        if self.expected is not None:
            row["expected"] = torch.from_numpy(self.expected[span]).float()  # (time, vocab)
        return row


class JoinedSentences(Sampler):
    """An epoch: every sentence once, joined to rows of about `row_length` that begin elsewhere each time, in batches.

    A row that goes on past a sentence's end teaches how the next one begins. Rows of like length come in the same
    step, so that little of it is padding, and the steps in random order. Where the rows do not fill whole steps,
    half of the rest is a step of the shortest rows and half one of the longest, whose lengths differ most.

    A step's rows are the same however many processes and accumulated batches share them. Where there are fewer rows
    than shares, a batch is one row of no sentence: the newline alone, which teaches nothing.

    Args:
        lengths: (sentences,), in characters.
        row_length: characters of a row; 0 leaves each sentence in a row of its own.
        batch_size: rows of a batch.
        seed: of the order and the cuts, which differ from epoch to epoch (`set_epoch`) and are the same after a resume.
        accumulated: batches that a process reads for one step.
        processes: how many read the text together.
        process: which of them this one is.
    """

    def __init__(
        self,
        lengths: torch.Tensor,
        row_length: int,
        batch_size: int,
        seed: int = 0,
        *,
        accumulated: int = 1,
        processes: int = 1,
        process: int = 0,
    ):
        self.ends, self.seed, self.epoch = lengths.cumsum(0), seed, 0
        self.accumulated, self.processes, self.process = accumulated, processes, process
        batch_size *= accumulated * processes  # from here on of a step
        wanted = -(-int(self.ends[-1]) // row_length) if row_length else len(lengths)
        self.rows = min(wanted, len(lengths))
        whole, rest = divmod(self.rows, batch_size)
        self.sizes = [size for size in (rest // 2, *[batch_size] * whole, rest - rest // 2) if size]

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

    `expected` (batch, predictions, vocab), where the rows have it, is zero at pads.
    """
    lengths = torch.tensor([int(row["attention_mask"].sum()) for row in rows])  # (batch,)
    input_ids = pad_sequence([row["input_ids"][:length] for row, length in zip(rows, lengths, strict=True)], True)
    attention_mask = (torch.arange(input_ids.shape[1]) < lengths.unsqueeze(1)).long()
    labels = [row.get("labels", row["input_ids"])[:length] for row, length in zip(rows, lengths, strict=True)]
    batch = {
        "input_ids": input_ids,  # a pad is 0, the tokenizer's first token
        "attention_mask": attention_mask,
        "labels": pad_sequence(labels, True, padding_value=-100),
    }
    if "expected" in rows[0]:
        batch["expected"] = pad_sequence([row["expected"] for row in rows], True)
    return batch
