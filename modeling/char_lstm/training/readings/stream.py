"""A stream: text that is read as training needs it, for a corpus that need not fit in memory or on the disk."""

from collections.abc import Iterator
from pathlib import Path

import torch
from datasets import DatasetDict
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast, Trainer, TrainerCallback

from ...corpus.sequences import MAX_LENGTH, encode_rows, encoded_rows
from ...corpus.stream import Documents, TextStream
from ...loading import checkpoint_folder
from ..checkpoints import writing_checkpoint
from .base import Reading, process_loader, refuse_items
from .sentences import JoinedSentences


class StreamReading(Reading):
    """Blocks of files or of a dataset on the Hub, cleaned and cut as they come; the first block is held out."""

    option = "streaming"

    def __init__(self, recipe):
        self.recipe = recipe
        named = recipe.tokenizer or checkpoint_folder(recipe.init_from, None)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(named)
        refuse_items(self.tokenizer, self.option)
        self.rows = TextStream(
            Documents(recipe.dataset, recipe.text_column),
            self.tokenizer,
            self.batches_of_block,
            length=recipe.max_steps * recipe.gradient_accumulation_steps,
            max_length=MAX_LENGTH,
            seed=recipe.seed,
            workers=recipe.dataloader_num_workers,
            processes=recipe.world_size,
            process=recipe.process_index,
            hold_out="validation" not in recipe.train_split.split("+"),
        )
        recipe.ignore_data_skip = True  # the stream itself knows where it was
        self.corpus = DatasetDict(validation=encoded_rows(self.rows.first_rows(), self.tokenizer, MAX_LENGTH))

    @classmethod
    def clashes(cls, recipe) -> Iterator[str]:
        if recipe.dataset is None or recipe.max_steps <= 0:
            yield "a stream has no default text and no end: give --dataset and --max_steps"
        if recipe.teachers:
            yield "the rows of a stream come in any order, and --teachers teach a stored corpus: choose one"
        if recipe.train_split not in ("train", "train+validation"):
            yield f"a stream has no split {recipe.train_split}: it is train, or train+validation"
        if not (recipe.init_from or recipe.tokenizer):
            yield (
                "a stream is not read for its alphabet first: give --tokenizer, say that of a corpus which "
                "char-lstm build made of a part of the text, or --init_from"
            )

    def batches_of_block(self, rows: list[str], seed: int) -> Iterator[dict]:
        """The batches of a block of the stream, which is a little epoch."""
        lengths = torch.tensor([len(row) for row in rows])
        for spans in JoinedSentences(lengths, self.recipe.row_length, self.recipe.train_batch_size, seed):
            texts = ["".join(rows[first:last]) for first, last in spans]
            encoded = encode_rows({"text": texts}, self.tokenizer, 1 + max(map(len, texts)))
            input_ids, mask = (torch.from_numpy(encoded[name]).long() for name in ("input_ids", "attention_mask"))
            yield {"input_ids": input_ids, "attention_mask": mask, "labels": input_ids.masked_fill(mask == 0, -100)}

    def loader(self, trainer: Trainer) -> DataLoader:
        own = torch.Generator()  # so that making the loader after an interruption draws no number of the model's
        return process_loader(self.rows, self.recipe, batch_size=None, generator=own)

    def callbacks(self, checkpoint: Path | None) -> list[TrainerCallback]:
        return [KeepPlaces(self.rows, checkpoint)]

    def begin_step(self, inputs: dict) -> dict:
        self.rows.note(inputs)
        return inputs


class KeepPlaces(TrainerCallback):
    """Writes into each checkpoint where a stream is read on, counts the run as one epoch, and ends with a report."""

    def __init__(self, stream: TextStream, checkpoint: Path | None):
        self.stream = stream
        if checkpoint:
            stream.go_on_from(checkpoint)

    def on_step_end(self, args, state, control, **kwargs):
        state.epoch = state.global_step / state.max_steps  # the library starts anew after an interruption

    def on_train_end(self, args, state, control, **kwargs):
        self.stream.report()

    def on_save(self, args, state, control, **kwargs):
        with writing_checkpoint(args, state) as checkpoint:
            self.stream.save(checkpoint)
