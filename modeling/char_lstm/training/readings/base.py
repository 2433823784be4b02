"""What every way to read a text has in common."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import DataLoaderShard
from datasets import Dataset, DatasetDict, concatenate_datasets
from huggingface_hub import snapshot_download
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast, Trainer, TrainerCallback

from ...corpus.build import build_corpus, load_corpus
from ...errors import CorpusError, TrainingError
from ...tokenization_char_lstm import end_of_item

DEFAULT_CORPUS = Path("data/alice")


class Reading:
    """How a run reads a stored corpus: its rows, its batches, its labels, and the settings that it excludes.

    Raises:
        TrainingError: the corpus holds items, and the recipe asks for what only running text has.
    """

    option = ""  # the setting that asks for it
    corpus: DatasetDict  # the stored rows, or of a stream the first; a run knows its text by them
    tokenizer: PreTrainedTokenizerFast
    rows: Any  # the torch data set that the Trainer trains on

    def __init__(self, recipe):
        self.recipe = recipe
        self.corpus, self.tokenizer = open_corpus(recipe)
        refuse_items(self.tokenizer, self.option or ("teachers" if recipe.teachers else ""))

    @classmethod
    def clashes(cls, recipe) -> Iterator[str]:
        """A sentence for each thing in the recipe that this reading excludes."""
        yield from ()

    def training_rows(self) -> Dataset:
        wanted, names = self.recipe.train_split, ", ".join(self.corpus)
        for name in wanted.split("+"):
            if name not in self.corpus:
                raise TrainingError(f"train_split {wanted}: the corpus has no split {name}; it has {names}")
        return concatenate_datasets([self.corpus[name] for name in wanted.split("+")])

    def held_out_rows(self) -> Dataset | None:
        """The rows to evaluate on, made up to whole batches for every process by rows of the newline alone; None where
        the validation split is trained on.

        The library would repeat real rows, and then no mean over rows is the one of a single process.
        """
        if "validation" in self.recipe.train_split.split("+"):
            return None
        rows, recipe = self.corpus["validation"], self.recipe
        wanted = recipe.per_device_eval_batch_size * recipe.world_size if recipe.world_size > 1 else 1
        missing = -len(rows) % wanted
        mask = [1] + [0] * (len(rows[0]["input_ids"]) - 1)
        blank = rows[0] | {"text": "", "attention_mask": mask, "length": 1}
        blanks = Dataset.from_dict({name: [value] * missing for name, value in blank.items()}, features=rows.features)
        return concatenate_datasets([rows, blanks]).with_format("torch")

    def loader(self, trainer: Trainer) -> DataLoader:
        """The batches of an epoch; here those of the library, in random order."""
        return Trainer.get_train_dataloader(trainer)

    def callbacks(self, checkpoint: Path | None) -> list[TrainerCallback]:
        """What keeps this reading's place in checkpoints; `checkpoint` is the one to go on from."""
        return []

    def begin_step(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """A batch as the model takes it."""
        return inputs

    def end_step(self, outputs: Any) -> None:
        """Sees the model's output for the batch."""


def process_loader(rows: torch.utils.data.Dataset, recipe, **batching: Any) -> DataLoader:
    """A loader whose batches are this process's already."""
    workers, pinned = recipe.dataloader_num_workers, recipe.dataloader_pin_memory
    return DataLoaderShard(rows, device=recipe.device, num_workers=workers, pin_memory=pinned, **batching)


def open_corpus(recipe) -> tuple[DatasetDict, PreTrainedTokenizerFast]:
    """The recipe's corpus, built first where none is named, and its tokenizer."""
    if recipe.dataset is None:
        recipe.dataset = str(DEFAULT_CORPUS)
        if not DEFAULT_CORPUS.exists():
            build_corpus(DEFAULT_CORPUS)
    source = recipe.dataset
    if not Path(source).is_dir():
        try:
            source = snapshot_download(source, repo_type="dataset", allow_patterns="tokenizer*")
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CorpusError(
                f"--dataset {source}: not a local folder, and could not be loaded from the Hub: {reason}"
            ) from error
    return load_corpus(recipe.dataset), PreTrainedTokenizerFast.from_pretrained(source)


def refuse_items(tokenizer: PreTrainedTokenizerFast, option: str) -> None:
    if option and end_of_item(tokenizer):
        raise TrainingError(f"--{option} is for running text, and this is a corpus of items: leave it out")
