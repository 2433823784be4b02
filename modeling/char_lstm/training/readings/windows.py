"""The tutorial's windows: stretches of a text from anywhere in it, each with the next character as its only target."""

from collections.abc import Iterator

import torch
from datasets import Dataset

from ...errors import CorpusError
from .base import Reading
from .sentences import Sentences


class WindowReading(Reading):
    option = "window_length"

    def __init__(self, recipe):
        super().__init__(recipe)
        self.rows = Windows(self.training_rows(), recipe.window_length)

    @classmethod
    def clashes(cls, recipe) -> Iterator[str]:
        if recipe.teachers:
            yield "--window_length has one target a window and --teachers teach every character: choose one"


class Windows(torch.utils.data.Dataset):
    def __init__(self, rows: Dataset, length: int):
        self.length = length
        self.ids = Sentences(rows).ids()[1:]  # (characters,)
        if len(self.ids) <= length:
            raise CorpusError(f"the text has {len(self.ids)} characters, too few for --window_length {length}")

    def __len__(self) -> int:
        return len(self.ids) - self.length

    def __getitem__(self, start: int) -> dict[str, torch.Tensor]:
        input_ids = self.ids[start : start + self.length + 1]
        labels = input_ids.masked_fill(torch.arange(self.length + 1) < self.length, -100)
        return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}
